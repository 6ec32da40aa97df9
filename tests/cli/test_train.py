"""`chargen train` prints the path of the checkpoint, and a signal stops it with all saved."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, HANG, ROOT, Run, run_here
from safetensors import safe_open

from chargen.checkpoint.directory import Checkpoint
from chargen.data.windows import make_windows
from cli.conftest import shell


def test_training_prints_the_path_and_nothing_else_on_standard_output(
    tutorial: Path, run: Run, tmp_path: Path
):
    # The fixture has seen to standard output.
    shown = (tutorial.parent.parent / "shown").read_text()
    assert "SimpleRNN 1x50" in shown
    assert "finished" in shown
    assert "\x1b" not in shown, "control codes in a pipe"
    shutil.copytree(tutorial, tmp_path / "checkpoints" / "stdin")
    text = (ROOT / "corpora" / "tunes.abc").read_bytes()
    again = run("train", "-", stdin=text)
    assert again.returncode == 1
    assert again.stdout == b""
    assert "already holds a checkpoint" in again.stderr.decode()
    options = ("--epochs", "1", "--units", "9", "--no-calibrate", "--force", "-q")
    forced = run_here(tmp_path, "train", "-", *options, stdin=text)
    assert forced.stdout == b"checkpoints/stdin\n"
    assert forced.stderr == b""
    # The newest under ./checkpoints is used where none is named.
    info = json.loads(run("info", "--json").stdout)
    assert info["model"]["units"] == 9
    assert info["training"]["calibrate"] is False


@pytest.mark.parametrize("more", [(), ("--budget", "10m"), ("--predict", "last")])
def test_a_plan_is_printed_and_nothing_written(more: tuple[str, ...], tmp_path: Path):
    text = (ROOT / "corpora" / "tunes.abc").read_bytes().replace(b"\n", b"\r\n")
    options = ("--units", "9", "--window", "8", "--epochs", "3", "--dropout", "0.25", *more)
    result = run_here(tmp_path, "train", "-", "--plan", *options, stdin=text)
    assert result.returncode == 0, result.stderr
    assert result.stderr == (
        b"standard input: CRLF at the ends of lines is read as LF; --newlines keep keeps it\n"
    )
    rows = dict(line.split("  ", 1) for line in result.stdout.decode().splitlines())
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["checkpoint"] == "checkpoints/stdin"
    assert rows["text"].startswith("5,996 characters, ")
    assert rows["held out"] == "600, which leaves 5,396 to learn from"
    assert rows["network"].startswith("LSTM 1x9, one-hot")
    assert rows["steps"].startswith("3 epochs of ")
    assert "0.25 of the outputs" in rows["dropped"]
    assert re.fullmatch(
        r"about [\d,]+ (seconds?|minutes?) on this machine as it is now", rows["time"]
    )
    assert not list(tmp_path.iterdir())


def test_a_plan_does_not_touch_what_is_there(checkpoint: Path, tmp_path: Path):
    shutil.copytree(checkpoint, tmp_path / "ck")
    before = {file.name: file.read_bytes() for file in (tmp_path / "ck").iterdir()}
    text = ROOT / "corpora" / "tunes.abc"
    result = run_here(tmp_path, "train", text, "-o", "ck", "--plan", "--epochs", "1", "-q")
    assert result.returncode == 0, result.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "ck").iterdir()} == before


def stopped(arguments: list[str], number: int, cwd: Path) -> tuple[int, bytes, bytes, bytes]:
    """Send a signal when the first step is due; the status, the output, and the messages so far
    and from then on.
    """
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Under nohup, for one, the tests ignore it, and so would the process.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert process.stderr is not None
    try:
        heading = b""
        while b"char/s" not in heading:  # the table's heading is written then
            heading += process.stderr.readline()
            assert process.poll() is None
        process.send_signal(number)
        output, errors = process.communicate(timeout=HANG)
    finally:
        process.kill()
    return process.returncode, output, heading, errors


def test_signals_save_a_run_that_resume_continues(run: Run, tmp_path: Path):
    options = ["--units", "8", "--epochs", "3000", "--patience", "0"]
    begin = ["train", str(ROOT / "corpora" / "tunes.abc"), "-o", "ck", *options]
    resume = ["train", "--resume", "-o", "ck"]
    for arguments, number, status in ((begin, signal.SIGINT, 130), (resume, signal.SIGTERM, 143)):
        code, output, heading, errors = stopped(arguments, number, tmp_path)
        assert code == status
        assert output == b""
        assert b"\n* marks the best so far" in heading
        assert b"resume with: chargen train --resume -o ck" in errors
        assert b"Traceback" not in errors
        assert (tmp_path / "ck" / "history.jsonl").exists()
        assert run("sample", "-c", "ck", "-n", "5").returncode == 0
    # Now it ends with the epoch that it came to.
    checkpoint = Checkpoint.open(tmp_path / "ck")
    with safe_open(tmp_path / "ck" / "resume.safetensors", framework="numpy") as file:
        steps = json.loads(file.metadata()["run"])["step"]
    text = np.zeros(checkpoint.corpus.train_characters, np.uint8)
    epochs = steps // make_windows(text, checkpoint.model, checkpoint.training).steps + 1
    extended = run_here(tmp_path, *resume, "--epochs", str(epochs), "-q")
    assert extended.returncode == 0, extended.stderr
    assert extended.stdout == b"ck\n"
    assert Checkpoint.open(tmp_path / "ck").history()[-1]["epoch"] == epochs


@pytest.mark.slow
def test_a_run_told_to_ignore_ctrl_c_continues_to_its_end(tmp_path: Path):
    text, options = ROOT / "corpora" / "tunes.abc", "-o ck --units 8 --epochs 2"
    line = f"trap '' INT; exec chargen train {text} {options}"
    process = subprocess.Popen(
        ["bash", "-c", line.replace("chargen", " ".join(COMMAND), 1)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        while b"char/s" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown = process.communicate(timeout=HANG)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"finished" in shown
    assert Checkpoint.open(tmp_path / "ck").history()[-1]["epoch"] == 2


@pytest.mark.parametrize("end", [pytest.param("2>&-", marks=pytest.mark.slow), "2> /dev/full"])
def test_training_needs_no_standard_error(tmp_path: Path, end: str):
    (tmp_path / "text").write_text("to be or not to be " * 5)
    result = shell(f"chargen train text --units 8 --epochs 1 {end}", tmp_path)
    assert result.returncode == 0
    assert result.stdout == b"checkpoints/text\n"


@pytest.mark.slow
def test_the_path_of_a_checkpoint_is_printed_as_the_bytes_that_it_is(run: Run, tmp_path: Path):
    name = b"caf\xe9"
    text = tmp_path / os.fsdecode(name)
    text.write_text("to be or not to be " * 5)
    result = run("train", text.name, "--units", "8", "--epochs", "1", "-q")
    assert result.returncode == 0, result.stderr
    assert result.stdout == b"checkpoints/" + name + b"\n"
    assert run("sample", "-c", os.fsdecode(result.stdout.strip()), "-n", "3").returncode == 0


@pytest.mark.slow
def test_a_run_that_is_killed_outright_can_be_resumed(run: Run, tmp_path: Path):
    text = ROOT / "corpora" / "tunes.abc"
    options = ("--units", "8", "--epochs", "6", "--precision", "float32")
    process = subprocess.Popen(
        [*COMMAND, "train", str(text), "-o", "ck", *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    seen = 0
    while seen < 2:  # two evaluations
        seen += b" * " in process.stderr.readline()
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert run("sample", "-c", "ck", "-n", "5").returncode == 0
    assert run("evaluate", "-c", "ck").returncode == 0
    assert run("train", "--resume", "-o", "ck", "-q").stdout == b"ck\n"


@pytest.mark.slow
def test_a_run_goes_on_when_nobody_reads_its_messages(tmp_path: Path):
    """`chargen train ... 2>&1 | head` must not end a run of hours."""
    text = ROOT / "corpora" / "tunes.abc"
    options = "--units 8 --epochs 3 --random-seed 1 --threads 1"
    line = f"(chargen train {text} -o ck {options}; echo $? > status) 2>&1 | head -1"
    result = shell(line, tmp_path)
    assert result.stdout.endswith(b"held out\n")
    assert (tmp_path / "status").read_text().strip() in {"0", "141"}  # the path is not read either
    assert Checkpoint.open(tmp_path / "ck").history()[-1]["epoch"] == 3


@pytest.mark.slow
def test_a_closed_terminal_saves_the_run(tmp_path: Path):
    text = str(ROOT / "corpora" / "tunes.abc")
    arguments = ["train", text, "-o", "ck", "--units", "8", "--epochs", "3000", "--patience", "0"]
    code, _, _, errors = stopped(arguments, signal.SIGHUP, tmp_path)
    assert code == -signal.SIGHUP
    assert b"and saved" in errors
