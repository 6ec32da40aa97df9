"""`evaluate` as a part of a pipeline, by the real command."""

import json
import math
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

COMMAND = [sys.executable, "-m", "chargen"]
TEXT = "abc\n\nfade gag\nXYZ\naXbc\n" * 3 + "the end"


def records(run: Run, checkpoint: Path, *options: str) -> list[dict[str, Any]]:
    command = ("evaluate", "-", "-c", checkpoint, "--json", *options)
    result = run(*command, stdin=TEXT.encode())
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_each_line_is_scored_before_the_next_is_sent(checkpoint: Path, terminal: bool):
    reading, writing = pty.openpty() if terminal else os.pipe()
    # What is written at one end of a terminal is read at the other.
    ours, theirs = (reading, writing) if terminal else (writing, reading)
    command = [*COMMAND, "evaluate", "-", "-c", str(checkpoint), "--per", "line"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stdout is not None
        for number, line in enumerate(("abc", "fade", "gag"), start=1):
            os.write(ours, f"{line}\n".encode())
            cells = process.stdout.readline().decode().rstrip("\n").split("\t")
            assert cells[0] == str(number)
            assert cells[5] == line
        if terminal:
            os.write(ours, b"\x04")  # Ctrl-D
        else:
            os.close(ours)
        assert process.stdout.read() == b""
        assert process.wait(30) == 0
    if terminal:
        os.close(ours)


@pytest.mark.parametrize("reset", ["none", "line"])
def test_characters_lines_and_the_text_sum_up(checkpoint: Path, run: Run, reset: str):
    (total,) = records(run, checkpoint, "--reset", reset)
    scored = total["characters"] - total["unknown_characters"]
    bits = scored * total["bits_per_character"]
    characters = records(run, checkpoint, "--reset", reset, "--per", "char")
    assert sum(c["bits"] or 0 for c in characters) == pytest.approx(bits, abs=1e-6)
    lines = records(run, checkpoint, "--reset", reset, "--per", "line")
    assert sum(
        (line["characters"] - line["unknown_characters"]) * (line["bits_per_character"] or 0)
        for line in lines
    ) == pytest.approx(bits, abs=1e-6)


def test_lines_that_are_reset_do_not_depend_on_those_before(checkpoint: Path, run: Run):
    lines = records(run, checkpoint, "--per", "line", "--reset", "line")
    scores: dict[str, set[float]] = {}
    for line in lines:
        scores.setdefault(line["text"], set()).add(line["bits_per_character"])
    assert all(len(found) == 1 for found in scores.values())
    carried = records(run, checkpoint, "--per", "line")
    assert len({line["bits_per_character"] for line in carried if line["text"] == "abc"}) > 1
    assert carried[0]["bits_per_character"] == pytest.approx(lines[0]["bits_per_character"])


def test_a_threshold_parts_the_odd_lines_from_the_others(checkpoint: Path, run: Run):
    lines = records(run, checkpoint, "--per", "line")
    threshold = sorted(line["bits_per_character"] or 0 for line in lines)[len(lines) // 2]
    options = ("--per", "line", "--threshold", str(threshold))
    above = records(run, checkpoint, *options)
    below = records(run, checkpoint, *options, "--invert")
    assert 0 < len(above) < len(lines)
    assert sorted(line["line"] for line in above + below) == [line["line"] for line in lines]
    assert all((line["bits_per_character"] or math.inf) > threshold for line in above)
    assert all(line["bits_per_character"] <= threshold for line in below)
    assert [line["line"] for line in above] == sorted(line["line"] for line in above)


def test_lines_are_ranked(checkpoint: Path, run: Run):
    options = ("--per", "line", "--reset", "line")
    lines = records(run, checkpoint, *options)
    ranked = records(run, checkpoint, *options, "--rank")
    figures = [line["bits_per_character"] for line in ranked]
    assert figures == sorted(figures, reverse=True)
    assert sorted(line["line"] for line in ranked) == [line["line"] for line in lines]
    lowest = records(run, checkpoint, *options, "--rank", "--invert")
    assert [line["bits_per_character"] for line in lowest] == figures[::-1]


def test_a_line_of_unknown_characters_is_odd_and_an_unscored_one_is_not(tmp_path: Path, run: Run):
    from conftest import make_checkpoint

    path = make_checkpoint(tmp_path / "ck", "abc ").path  # knows no line end either
    text = b"\xc3\xa9\xc3\xa9\nabc\n"
    command = ("evaluate", "-", "-c", path, "--per", "line", "--reset", "line")
    odd = run(*command, "--threshold", "99", stdin=text).stdout.decode().splitlines()
    assert [row.split("\t")[0] for row in odd] == ["1"]
    assert odd[0].split("\t")[1:5] == ["-", "-", "3", "3"]
    ranked = run(*command, "--rank", stdin=text).stdout.decode().splitlines()
    assert [row.split("\t")[0] for row in ranked] == ["1", "2"]
