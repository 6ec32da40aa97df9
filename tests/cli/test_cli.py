"""The command group: help, the exit status, and errors of one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, make_checkpoint

from cli.conftest import shell


def test_the_version_is_printed_and_an_unknown_command_refused(run: Run):
    assert run("--version").stdout.startswith(b"chargen, version ")
    result = run("frobnicate")
    assert result.returncode == 2
    assert result.stderr.decode().startswith("chargen: error: No such command 'frobnicate'")


def test_control_codes_and_markup_in_names_are_shown_as_escape_sequences(
    checkpoint: Path, run: Run, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "[red]\x1b[2J")
    for arguments in (["list"], ["info"]):
        result = run(*arguments)
        assert result.returncode == 0
        assert b"\x1b" not in result.stdout
        assert rb"[red]\x1b[2J" in result.stdout


def test_control_characters_in_errors_are_escape_sequences(run: Run, tmp_path: Path):
    result = run("info", "nowhere\x1b]0;title\x07")
    assert result.returncode == 1
    assert rb"nowhere\x1b]0;title\x07" in result.stderr
    make_checkpoint(tmp_path / "ck")
    config = tmp_path / "ck" / "config.json"
    config.write_text(config.read_text().replace('"lstm"', '"\\u001b[2J"'))
    result = run("sample", "-c", "ck")
    assert result.returncode == 1
    assert b"\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("chargen sample -c ck -n 5 > /dev/full", 1, "No space left on device"),
        ("chargen sample -c ck -n 5 >&-", 1, "standard output is closed"),
        ("chargen sample -c ck --seeds - <&-", 1, "standard input is closed"),
        ("chargen evaluate - -c ck <&-", 1, "standard input is closed"),
        ("chargen train nowhere 2>&-", 1, ""),
    ],
)
def test_closed_and_full_streams_are_one_line_too(
    line: str, status: int, message: str, checkpoint: Path, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "ck")
    result = shell(line, tmp_path)
    shown = result.stderr.decode()
    assert result.returncode == status, shown
    assert message in shown
    assert shown.count("\n") == bool(message)


@pytest.mark.parametrize(
    ("line", "status"),
    [("chargen --loud", 2), ("chargen sample -c ck -n 2 --count 2 --unique --random-seed 1", 0)],
)
def test_a_message_that_cannot_be_written_changes_no_status(
    line: str, status: int, checkpoint: Path, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "ck")
    expected = shell(line, tmp_path)
    result = shell(f"{line} 2> /dev/full", tmp_path)
    assert result.returncode == expected.returncode == status
    assert result.stdout == expected.stdout
    assert expected.stderr


@pytest.mark.parametrize("module", ["chargen.cli", "click", "chargen.cli.sample", "numpy"])
def test_ctrl_c_during_an_import_is_silence_and_130(module: str, checkpoint: Path):
    script = f"""
import runpy, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv = ["chargen", "sample", "-c", {str(checkpoint)!r}, "-n", "3"]
runpy.run_module("chargen", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    # Click ends the line that a terminal shows ^C in.
    assert (result.returncode, result.stdout, result.stderr.strip()) == (130, b"", b"")


def test_the_bare_command_shows_its_help(run: Run):
    result = run()
    assert result.returncode == 2
    assert result.stdout == b""
    assert "\nCommands:\n" in result.stderr.decode()
