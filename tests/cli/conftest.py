"""What tests of the command line share: commands on a terminal and in a shell."""

import os
import pty
import subprocess
from pathlib import Path

from conftest import COMMAND, HANG


def on_terminal(arguments: list[str], cwd: Path, **environment: str) -> tuple[bytes, bytes]:
    """Run with standard error on a terminal; what went to standard output and to the terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"} | environment,
    )
    os.close(slave)
    shown = read_to_end(master)
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait(HANG) == 0, shown
    os.close(master)
    return output, shown


def on_terminal_entirely(arguments: list[str], cwd: Path, **environment: str) -> str:
    """What a terminal is sent by a command that ends well."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        stdout=slave,
        stderr=slave,
        env=os.environ | environment,
    )
    os.close(slave)
    shown = read_to_end(master)
    os.close(master)
    assert process.wait(HANG) == 0, shown
    return shown.decode()


def read_to_end(master: int) -> bytes:
    """All that comes to a terminal."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            return shown
        if not piece:
            return shown
        shown += piece


def shell(line: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of bash in which `chargen` is the command."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", line.replace("chargen", " ".join(COMMAND), 1)],
        capture_output=True,
        cwd=cwd,
        env=environment,
        timeout=HANG,
        check=False,
    )
