"""`chargen evaluate` scores a text, its lines and its characters."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import (
    CLOSE,
    COMMAND,
    HANG,
    ROOT,
    SCORE_NAMES,
    TINY_SHAKESPEARE,
    Run,
    needs_tinyshakespeare,
    run_here,
)

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.cli import cli
from chargen.scoring import score as score_module
from cli.conftest import on_terminal_entirely, shell


@pytest.mark.numeric
@pytest.mark.parametrize("part", [1, 7, 30, 1000])
def test_records_do_not_depend_on_how_much_is_scored_at_a_time(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
):
    text = tmp_path / "text"
    text.write_text("abc\n\ndefX ghij\n" * 5 + "the end")

    def records(*options: str) -> list[dict[str, Any]]:
        arguments = ["evaluate", str(text), "-c", str(checkpoint), "--json", *options]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    whole = {per: records("--per", per) for per in ("text", "line", "char")}
    monkeypatch.setattr(score_module, "PART", part)
    for per, expected in whole.items():
        found = records("--per", per)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            for name in ("line", "text", "character", "position", "characters"):
                assert one.get(name) == other.get(name)
            for name in ("bits", "bits_per_character", "accuracy"):
                wanted = other.get(name)
                assert one.get(name) == (wanted and pytest.approx(wanted, **CLOSE))
    bits = [record["bits"] for record in whole["char"] if record["bits"] is not None]
    lines = [
        record["bits_per_character"] * (record["characters"] - record["unknown_characters"])
        for record in whole["line"]
        if record["bits_per_character"] is not None
    ]
    total = whole["text"][0]["bits_per_character"] * len(bits)
    assert sum(bits) == pytest.approx(total, **CLOSE)
    assert sum(lines) == pytest.approx(total, **CLOSE)


@pytest.mark.numeric
def test_evaluate_has_the_names_of_the_contract_and_its_parts_sum(checkpoint: Path, run: Run):
    text = b"abc\n\ndefXg\nhij"
    whole = run("evaluate", "-", "-c", checkpoint, "--json", stdin=text)
    assert whole.stderr == b""
    total = json.loads(whole.stdout)
    assert list(total) == SCORE_NAMES
    assert total["characters"] == len(text)
    assert total["unknown_characters"] == 1
    known = total["characters"] - total["unknown_characters"]

    per_char = run("evaluate", "-", "-c", checkpoint, "--per", "char", "--json", stdin=text)
    characters = [json.loads(line) for line in per_char.stdout.splitlines()]
    assert [record["character"] for record in characters] == list(text.decode())
    assert [record["position"] for record in characters] == list(range(len(text)))
    assert all(list(record) == ["position", "character", "bits"] for record in characters)
    assert [record["bits"] is None for record in characters] == [c == "X" for c in text.decode()]
    bits = sum(record["bits"] or 0 for record in characters)
    assert bits == pytest.approx(total["bits_per_character"] * known, **CLOSE)

    per_line = run("evaluate", "-", "-c", checkpoint, "--per", "line", "--json", stdin=text)
    lines = [json.loads(line) for line in per_line.stdout.splitlines()]
    assert [record["text"] for record in lines] == text.decode().split("\n")
    assert [record["line"] for record in lines] == [1, 2, 3, 4]
    # Lines are scored together, so that none has a time of its own.
    names = [name for name in SCORE_NAMES if name not in ("seconds", "characters_per_second")]
    assert all(list(record) == [*names, "line", "text"] for record in lines)
    summed = sum(
        (record["characters"] - record["unknown_characters"]) * (record["bits_per_character"] or 0)
        for record in lines
    )
    assert summed == pytest.approx(bits, **CLOSE)


def test_evaluate_prints_a_sheet_or_rows_for_people(checkpoint: Path, run: Run):
    sheet = run("evaluate", "-", "-c", checkpoint, stdin=b"abcX").stdout.decode()
    assert "unknown characters" in sheet
    assert "bits per character" in sheet
    clean = run("evaluate", "-", "-c", checkpoint, stdin=b"abc").stdout.decode()
    assert "unknown" not in clean
    rows = run("evaluate", "-", "-c", checkpoint, "--per", "line", stdin=b"abc\nd\te\n").stdout
    cells = [row.split("\t") for row in rows.decode().splitlines()]
    assert [len(row) for row in cells] == [6, 6]
    assert [row[5] for row in cells] == ["abc", r"d\te"]
    marks = run("evaluate", "-", "-c", checkpoint, "--per", "char", stdin=b"a\n").stdout.decode()
    assert [row.split("\t")[2] for row in marks.splitlines()] == ["a", "\N{RETURN SYMBOL}"]
    nothing = run("evaluate", "-", "-c", checkpoint, "--json", stdin=b"")
    assert nothing.returncode == 0
    assert json.loads(nothing.stdout)["bits_per_character"] is None


@pytest.mark.numeric
def test_evaluate_without_a_text_scores_the_held_out_one(run: Run, tmp_path: Path):
    text = (ROOT / "corpora" / "tunes.abc").read_bytes()
    (tmp_path / "tunes.abc").write_bytes(text)
    options = ("--epochs", "1", "--units", "8")
    assert run_here(tmp_path, "train", "tunes.abc", *options).returncode == 0
    score = json.loads(run("evaluate", "--json").stdout)
    held_out = text[int(len(text) * 0.9) :]
    assert score["characters"] == len(held_out)
    best = Checkpoint.open(tmp_path / "checkpoints" / "tunes").best()
    assert best is not None
    assert score["nats_per_character"] == pytest.approx(best["validation_nats"], **CLOSE)
    named = json.loads(run("evaluate", "-", "--json", stdin=held_out).stdout)
    assert named["nats_per_character"] == pytest.approx(score["nats_per_character"], **CLOSE)
    rows = run("evaluate", "--per", "char").stdout.splitlines()
    assert len(rows) == len(held_out)
    (tmp_path / "tunes.abc").write_bytes(text + b"!")
    changed = run("evaluate")
    assert changed.returncode == 1
    assert "not the text that the run" in changed.stderr.decode()


def test_what_is_piped_in_is_scored_without_being_named(checkpoint: Path, run: Run, tmp_path: Path):
    named = json.loads(run("evaluate", "-", "-c", checkpoint, "--json", stdin=b"abc").stdout)
    piped = run("evaluate", "-c", checkpoint, "--json", stdin=b"abc")
    assert piped.stderr == b""
    assert json.loads(piped.stdout)["characters"] == 3
    assert json.loads(piped.stdout)["bits_per_character"] == named["bits_per_character"]
    (tmp_path / "text").write_text("abcabc")
    line = f"chargen evaluate -c {checkpoint} --json"
    for typed in (f"{line} < text", f"cat text | {line}"):
        result = shell(typed, tmp_path)
        assert json.loads(result.stdout)["characters"] == 6


def test_a_pipe_that_sends_nothing_is_not_waited_for_and_that_is_said(
    checkpoint: Path, tmp_path: Path
):
    """Many a program leaves a pipe open for the commands that it starts."""
    reading, writing = os.pipe()
    options = {"cwd": tmp_path, "stdin": reading, "capture_output": True, "timeout": HANG}
    commands = {
        "the held-out text is scored": ["evaluate"],
        "the text begins with a new line": ["sample", "-n", "5"],
    }
    for instead, command in commands.items():
        result = subprocess.run([*COMMAND, *command, "-c", str(checkpoint)], **options)
        said = f"chargen: nothing has been piped in yet, so {instead}; give - to wait for a text\n"
        assert result.stderr.startswith(said.encode())
        result = subprocess.run([*COMMAND, *command, "-q", "-c", str(checkpoint)], **options)
        assert b"piped" not in result.stderr
    os.close(reading)
    os.close(writing)


def test_empty_lines_are_not_judged(checkpoint: Path, run: Run):
    text = b"abc\n\n\ndef\n"
    options = ("evaluate", "-c", checkpoint, "--per", "line", "--json")

    def lines(*more: str) -> list[str]:
        records = run(*options, *more, stdin=text).stdout.splitlines()
        return [json.loads(record)["text"] for record in records]

    assert sorted(lines("--rank")[:2]) == ["abc", "def"]
    assert lines("--rank")[2:] == ["", ""]
    assert lines("--rank", "--invert") == [*reversed(lines("--rank")[:2]), "", ""]
    assert lines("--threshold", "0") == ["abc", "def"]
    assert lines("--threshold", "0", "--invert") == ["", ""]


def test_rows_have_a_heading_on_a_terminal_only(checkpoint: Path, run: Run, tmp_path: Path):
    (tmp_path / "text").write_text("ab\nc\n")
    for per, heading, rows in (
        ("line", ["line", "bits", "nats", "length", "unknown", "text"], 2),
        ("char", ["place", "bits", "text"], 5),
    ):
        arguments = ["evaluate", "text", "-c", str(checkpoint), "--per", per]
        piped = run(*arguments).stdout.decode().splitlines()
        assert len(piped) == rows
        shown = on_terminal_entirely(arguments, tmp_path).split("\r\n")
        assert shown == ["\t".join(heading), *piped, ""]
        assert len(on_terminal_entirely([*arguments, "--json"], tmp_path).splitlines()) == rows


def test_an_empty_text_has_no_lines(checkpoint: Path, run: Run):
    for per in ("line", "char"):
        result = run("evaluate", "-", "-c", checkpoint, "--per", per)
        assert (result.returncode, result.stdout) == (0, b"")


@pytest.mark.slow
@needs_tinyshakespeare
def test_tinyshakespeare_splits_and_scores_as_published(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options: list[Any] = ["--validation", "0.1", "--epochs", "1", "-o", "ck", "--units", "128"]
    trained = run("train", TINY_SHAKESPEARE, *options)
    assert trained.returncode == 0, trained.stderr
    opened = Checkpoint.open(tmp_path / "ck")
    assert opened.corpus.train_characters == 1_003_854
    assert opened.corpus.validation_characters == 111_540
    (tmp_path / "tail").write_text(TINY_SHAKESPEARE.read_text()[-111_540:])
    score = json.loads(run("evaluate", "tail", "-c", "ck", "--json").stdout)
    best = opened.best()
    assert best is not None
    assert score["characters"] == 111_540
    assert score["nats_per_character"] == pytest.approx(best["validation_nats"], abs=0.001)
    assert score["nats_per_character"] < 2.2
    own = json.loads(run("evaluate", "-c", "ck", "--json").stdout)
    assert own["accuracy"] == pytest.approx(score["accuracy"], **CLOSE)
    # In one stream the figure is the same to 0.001 bits.
    monkeypatch.setattr(score_module, "FEWEST_CHARACTERS", 10**9)
    one = chargen.load(tmp_path / "ck").evaluate((tmp_path / "tail").read_text())
    assert one.bits_per_character == pytest.approx(score["bits_per_character"], abs=0.001)


def test_a_training_text_that_is_gone_is_reported_before_the_text_is_read(
    checkpoint: Path, tmp_path: Path
):
    arguments = [*COMMAND, "evaluate", "-", "-c", str(checkpoint), "--baselines"]
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(HANG) == 1  # though nothing was piped in, and the pipe is still open
        assert process.stderr is not None
        assert process.stderr.read().count(b"\n") == 1


def test_a_pipe_that_does_not_block_is_read_to_its_end(checkpoint: Path, tmp_path: Path):
    """Other programs that share a pipe may have made it so; then a read may find nothing yet."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    arguments = [*COMMAND, "evaluate", "-", "-c", str(checkpoint), "--json"]
    with subprocess.Popen(
        arguments, cwd=tmp_path, stdin=reading, stdout=subprocess.PIPE
    ) as process:
        os.close(reading)
        for _ in range(3):
            time.sleep(0.3)
            os.write(writing, b"abc\n")
        os.close(writing)
        output, _ = process.communicate(timeout=HANG)
    assert json.loads(output)["characters"] == 12
