"""`chargen sample --interactive` answers prompts on a real terminal until the user has enough."""

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from conftest import COMMAND, HANG, Run

WAIT = 0.4
"""Seconds to wait for what a terminal is sent, before it is looked at again."""


class Terminal:
    """A session, as a person sees it on a screen that is high enough for all of it."""

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        self._screen = pyte.Screen(100, 300)
        self._stream = pyte.ByteStream(self._screen)
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
            # A real terminal answers where the cursor is; this one is not asked.
            env=os.environ | {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )
        os.close(slave)

    def type(self, keys: str, until: str) -> str:
        """Press keys, wait until the screen ends with some text, and return what it shows."""
        os.write(self.master, keys.encode())
        end = time.monotonic() + HANG
        while not self.shown().endswith(until) and self.follow():
            assert time.monotonic() < end, self.shown()
        return self.shown()

    def shown(self) -> str:
        """What is on the screen, up to where the cursor is, which may follow a space."""
        lines = [line.rstrip() for line in self._screen.display[: self._screen.cursor.y + 1]]
        lines[-1] = lines[-1].ljust(self._screen.cursor.x)
        return "\n".join(lines)

    def follow(self) -> bool:
        """Show what the terminal is sent; whether more may come."""
        ready, _, _ = select.select([self.master], [], [], WAIT)
        if ready:
            try:
                self._stream.feed(os.read(self.master, 65536))
            except OSError:  # the other end is closed
                return False
        return True

    def close(self) -> None:
        """End it if it has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def _take_terminal() -> None:
    """Make the terminal the one that Ctrl-C comes from."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def session(checkpoint: Path, tmp_path: Path) -> Iterator[Terminal]:
    shutil.copytree(checkpoint, tmp_path / "ck")
    arguments = ["sample", "-i", "-c", "ck", "-n", "30", "--random-seed", "5"]
    terminal = Terminal(arguments, tmp_path)
    yield terminal
    terminal.close()


def test_a_session_on_a_terminal(session: Terminal, run: Run):
    def text(prompt: str, seed: int, *options: str) -> str:
        arguments = ("sample", prompt, "-c", "ck", "-n", "30", "--random-seed", str(seed), *options)
        lines = run(*arguments).stdout.decode().split("\n")
        return "\n".join(line.rstrip() for line in lines)

    opening = session.type("", "> ")
    assert "LSTM" in opening
    assert "/help says what can be typed" in opening
    session.type("abc\r", f"> abc\n{text('abc', 5)}> ")
    # The same settings, and the next random seed.
    session.type("/again\r", f"> /again\n{text('abc', 6)}> ")
    assert "the model never saw 'X'" in session.type("aXb\r", "--unknown replace\n> ")
    greedy = f"> abc\n{text('abc', 0, '--temperature', '0')}> "
    session.type("/temp 0\r", "  /temperature 0\n> ")
    session.type("abc\r", greedy)
    session.type("/top-k 0\r", "--top-k must be 1 or more; found 0\n> ")
    session.type("/top 3\r", "there is no /top; did you mean /top-k or /top-p?\n> ")
    session.type("/zebra\r", "there is no /zebra; /help helps\n> ")
    assert "/stop off" in session.type("/settings\r", "for the next text\n> ")
    session.type("/help\r", "is typed with two.\n> ")
    # Up and Return: what was typed before is there again, and can be changed.
    session.type("ab\r", "> ")
    session.type("\x1b[A", "> ab")
    session.type("c\r", greedy)
    session.type("\x04", "no more")
    assert session.process.wait(HANG) == 0


def test_ctrl_c_ends_a_text_and_not_the_session(session: Terminal):
    session.type("", "> ")
    session.type("/length off\r", "  /length off\n> ")
    os.write(session.master, b"abc\r")
    while session.shown().count("\n") < 20:  # it goes on and on
        assert session.follow()
    session.type("\x03", "\n> ")
    session.type("half a line", "> half a line")
    session.type("\x03", "\n> ")
    session.type("/length 5\r", "  /length 5\n> ")
    session.type("/quit\r", "no more")
    assert session.process.wait(HANG) == 0


def test_prompts_from_a_terminal_go_on_after_an_unknown_character(checkpoint: Path, tmp_path: Path):
    arguments = ["sample", "--seeds", "-", "-c", str(checkpoint), "-n", "0"]
    terminal = Terminal(arguments, tmp_path)
    terminal.type("aXb\r", "--unknown replace\n")
    terminal.type("abc\r", "abc\nabc\n")  # what was typed, and the text
    terminal.type("\x04", "no more")
    assert terminal.process.wait(HANG) == 0
    terminal.close()


def test_it_needs_a_terminal_and_refuses_what_does_not_go_with_it(checkpoint: Path, run: Run):
    piped = run("sample", "-i", "-c", checkpoint)
    assert piped.returncode == 2
    assert b"--interactive needs a terminal; to answer prompts from a pipe" in piped.stderr
    for more in (("--count", "2"), ("--jsonl",), ("--beam", "3"), ("--endless",)):
        result = run("sample", "-i", "-c", checkpoint, *more)
        assert result.returncode == 2
        assert f"does not go with {more[0]}".encode() in result.stderr
