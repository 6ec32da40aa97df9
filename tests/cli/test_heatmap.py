"""`chargen evaluate --heatmap` shows a text with the bits of each character."""

import json
import os
import re
import subprocess
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pyte
import pytest
from conftest import COMMAND, make_checkpoint, run_here
from hypothesis import given
from hypothesis import strategies as st

from chargen.cli.heatmap import ColouredLines, NumberedLines
from chargen.plain import harmless
from chargen.scoring.surprise import LEVELS, clusters, level_of
from cli.conftest import on_terminal_entirely

SGR = re.compile(r"\x1b\[[\d;]*m")
"""The escape sequences of colours, which `less -R` passes on."""
OF_ANY_SCRIPT = (
    "a\tb\t\tc\n\n\u6f22\u5b57\u304b\u306a, e\u0301te\u0301\tx\n"
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \uac00 \U0001f600!\n\tend"
)
TERMINAL = {"TERM": "xterm-256color", "NO_COLOR": "", "FORCE_COLOR": "", "CLICOLOR_FORCE": ""}
TERMINAL |= {"COLORTERM": "", "COLUMNS": "80"}


def bits_for(text: str) -> Any:
    """Bits of every level in turn, and some that are missing."""
    return np.resize(np.array([0.1, 0.7, 1.5, 3.0, 5.25, 12.0, np.nan], np.float32), len(text))


def screen(shown: str, columns: int = 80) -> pyte.Screen:
    """What a terminal shows."""
    terminal = pyte.Screen(columns, 60)
    terminal.set_mode(pyte.modes.LNM)  # a newline begins a line, as the kernel's terminals have it
    pyte.Stream(terminal).feed(shown)
    return terminal


def rows(terminal: pyte.Screen) -> list[list[str]]:
    """What each column of each row holds; the second column of a wide character is empty."""
    return [
        [terminal.buffer[y][x].data for x in range(terminal.columns)] for y in range(terminal.lines)
    ]


def digit_of(bits: float) -> str:
    if bits != bits:
        return "?"
    return "+" if bits > 9.5 else f"{bits:.0f}"


@pytest.mark.parametrize("width", [None, 80, 12])
def test_digits_stand_below_their_characters_in_any_script(width: int | None):
    bits = bits_for(OF_ANY_SCRIPT)
    lines = NumberedLines(width)
    written = lines.add(OF_ANY_SCRIPT, bits) + lines.end()
    found = rows(screen(written, width or 80))
    seen = []
    for text, digits in zip(found[::2], found[1::2], strict=True):
        for character, digit in zip(text, digits, strict=True):
            if digit == " ":
                # A wide character has one digit, and a tab has one for all its columns.
                assert character in ("", " "), (text, digits)
            else:
                seen.append((character, digit))
    expected = [
        (" " if cluster in "\n\t" else normalize("NFC", cluster), digit_of(cost))
        for cluster, cost in clusters(OF_ANY_SCRIPT, bits)
    ]
    assert [(normalize("NFC", character), digit) for character, digit in seen] == expected


def test_no_line_is_empty_on_a_terminal_that_is_narrower_than_a_tab():
    lines = NumberedLines(4)
    assert lines.add("\ta\n", np.array([1, 2, 3], np.float32)) == "\t\n1\na\n23\n"


@given(st.text(st.sampled_from("ab\n\t\u6f22e\u0301")), st.lists(st.integers(0, 9)))
def test_digits_do_not_depend_on_how_the_text_comes_in_parts(text: str, cuts: list[int]):
    bits = bits_for(text)
    whole, parts = NumberedLines(None), NumberedLines(None)
    expected = whole.add(text, bits) + whole.end()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [parts.add(text[start:end], bits[start:end]) for start, end in pairwise(edges)]
    assert "".join(pieces) + parts.end() == expected


@given(st.text(st.sampled_from("ab\n\t\u6f22")), st.lists(st.integers(0, 9)))
def test_colours_do_not_depend_on_how_the_text_comes_in_parts(text: str, cuts: list[int]):
    bits = bits_for(text)
    whole, parts = ColouredLines(rgb=False), ColouredLines(rgb=False)
    expected = screen(whole.add(text, bits) + whole.end())
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [parts.add(text[start:end], bits[start:end]) for start, end in pairwise(edges)]
    assert screen("".join(pieces) + parts.end()).buffer == expected.buffer


@pytest.mark.parametrize("rgb", [False, True])
def test_each_character_has_the_colour_of_its_bits(rgb: bool):
    bits = bits_for(OF_ANY_SCRIPT)
    lines = ColouredLines(rgb=rgb)
    terminal = screen(lines.add(OF_ANY_SCRIPT, bits) + lines.end())
    column = row = 0
    for cluster, cost in clusters(OF_ANY_SCRIPT, bits):
        cell = terminal.buffer[row][column]
        level = level_of(cost)
        assert cell.underscore == (level is None)
        if level is None:
            assert cell.bg == "default"
        elif rgb:
            assert f"#{cell.bg}" == level.ground.css
            assert f"#{cell.fg}" == level.ink.css
        else:
            assert cell.bg == pyte.graphics.FG_BG_256[level.palette]
        if cluster == "\n":
            assert terminal.buffer[row][column + 1].bg == "default"
            column, row = 0, row + 1
            continue
        after = column + 1
        while after % 8 if cluster == "\t" else terminal.buffer[row][after].data == "":
            after += 1
        assert terminal.buffer[row][after - 1].bg == cell.bg or cluster != "\t"
        column = after


def test_characters_of_one_level_share_an_escape_sequence():
    text = "abc def\n"
    lines = ColouredLines(rgb=False)
    written = lines.add(text, np.full(len(text), 0.1, np.float32))
    assert written == f"\x1b[0;38;5;16;48;5;{LEVELS[0].palette}mabc def \x1b[0m\n"


def test_each_line_and_each_part_ends_without_a_colour():
    """`less -R` shows lines by themselves, and a person may press Ctrl-C between two parts."""
    lines = ColouredLines(rgb=True)
    written = lines.add(OF_ANY_SCRIPT, bits_for(OF_ANY_SCRIPT))
    assert all(line.endswith("\x1b[0m") for line in written.split("\n"))


HOSTILE = "<script>[bold]x[/bold]\x1b[31m \x07\u05d0\u05d1\n\\{'&amp;'}\n"


def test_text_is_shown_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ck = make_checkpoint(tmp_path / "ck", HOSTILE).path
    monkeypatch.setenv("NO_COLOR", "")
    for colours in ("", "1"):
        monkeypatch.setenv("FORCE_COLOR", colours)
        arguments = ("evaluate", "-", "-c", ck, "--heatmap", "-q")
        result = run_here(tmp_path, *arguments, stdin=HOSTILE.encode())
        assert (result.returncode, result.stderr) == (0, b"")
        shown = result.stdout.decode()
        text = SGR.sub("", shown)
        assert "\x1b" not in text
        assert ("\x1b" in shown) == bool(colours)
        found = text.splitlines() if colours else text.splitlines()[::2]
        assert [line.rstrip() for line in found] == harmless(HOSTILE).splitlines()


@pytest.mark.numeric
def test_digits_are_the_bits_of_the_characters(checkpoint: Path, tmp_path: Path):
    run = partial(run_here, tmp_path)
    arguments = ("evaluate", "-", "-c", checkpoint)
    text = b"abc\nXef ghij\n"
    shown = run(*arguments, "--heatmap", stdin=text).stdout.decode()
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[::2][:2] == ["abc", "Xef ghij"]
    records = run(*arguments, "--per", "char", "--json", stdin=text).stdout.splitlines()
    bits = [json.loads(record)["bits"] for record in records]
    expected = "".join("?" if cost is None else str(round(cost)) for cost in bits)
    assert max(cost or 0 for cost in bits) < 9.5
    assert lines[1] + lines[3] == expected
    assert lines[4:] == ["", "below each character its bits; + more than 9, ? not scored"]


def test_reset_goes_with_it(checkpoint: Path, tmp_path: Path):
    run = partial(run_here, tmp_path)
    arguments = ("evaluate", "-", "-c", checkpoint, "--heatmap", "-q", "--reset")
    alone = run(*arguments, "line", stdin=b"abc\n" * 4).stdout
    assert alone == alone[:9] * 4
    assert run(*arguments, "none", stdin=b"abc\n" * 4).stdout.count(b"abc\n") == 4


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_a_pipe_has_colours_only_if_that_is_asked_for(
    environment: dict[str, str],
    coloured: bool,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in (TERMINAL | environment).items():
        monkeypatch.setenv(name, value)
    arguments = ("evaluate", "-", "-c", checkpoint, "--heatmap")
    written = run_here(tmp_path, *arguments, stdin=b"abc\n").stdout.decode()
    assert bool(SGR.search(written)) == coloured
    assert ("\x1b" in written) == coloured


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_a_terminal_has_colours_unless_it_is_to_have_none(
    environment: dict[str, str], coloured: bool, checkpoint: Path, tmp_path: Path
):
    (tmp_path / "text").write_text("abc\n")
    arguments = ["evaluate", "text", "-c", str(checkpoint), "--heatmap"]
    shown = on_terminal_entirely(arguments, tmp_path, **TERMINAL | environment)
    assert ("\x1b" in shown) == coloured


def test_a_terminal_is_told_any_colour_only_if_it_says_that_it_shows_them(
    checkpoint: Path, tmp_path: Path
):
    (tmp_path / "text").write_text("abc\n")
    arguments = ["evaluate", "text", "-c", str(checkpoint), "--heatmap"]
    for named, found in (("truecolor", "48;2;"), ("24bit", "48;2;"), ("", "48;5;")):
        shown = on_terminal_entirely(arguments, tmp_path, **TERMINAL | {"COLORTERM": named})
        assert set(re.findall(r"48;\d;", shown)) == {found}


def test_on_a_terminal_without_colours_long_lines_are_cut_where_it_ends(
    checkpoint: Path, tmp_path: Path
):
    (tmp_path / "text").write_text("abcdefghij" * 10 + "\n")
    arguments = ["evaluate", "text", "-c", str(checkpoint), "--heatmap", "-q"]
    environment = TERMINAL | {"NO_COLOR": "1", "COLUMNS": "40"}
    lines = on_terminal_entirely(arguments, tmp_path, **environment).splitlines()
    assert [len(line) for line in lines] == [40, 40, 40, 40, 20, 21]


def test_each_line_is_shown_before_the_next_is_sent(checkpoint: Path):
    command = [*COMMAND, "evaluate", "-", "-c", str(checkpoint), "--heatmap"]
    for forced in ("", "1"):
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | TERMINAL | {"FORCE_COLOR": forced},
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for word in (b"abc", b"fade", b"gag"):
                process.stdin.write(word + b"\n")
                process.stdin.flush()
                line = process.stdout.readline().decode()
                assert SGR.sub("", line).strip() == word.decode()
                if not forced:
                    assert len(process.stdout.readline().strip()) == len(word) + 1
            process.stdin.close()
            assert process.stdout.read().count(b"\n") == 2  # the legend after an empty line


def test_the_legend_is_left_out_where_there_is_nothing_to_explain(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = partial(run_here, tmp_path)
    arguments = ("evaluate", "-", "-c", checkpoint, "--heatmap")
    assert run(*arguments).stdout == b""
    assert run(*arguments, "-q", stdin=b"ab").stdout.count(b"\n") == 2
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = run(*arguments, stdin=b"ab").stdout.decode()
    text, empty, legend = SGR.sub("", coloured).splitlines()
    assert (text, empty) == ("ab", "")
    assert all(level.label in legend for level in LEVELS)
    assert len(legend) <= 80


@pytest.mark.parametrize(
    "others",
    ["--json", "--per line", "--per char", "--rank", "--threshold 2", "--invert", "--baselines"],
)
def test_other_records_do_not_go_with_it(others: str, tmp_path: Path):
    result = run_here(tmp_path, "evaluate", "-", "-c", "nowhere", "--heatmap", *others.split())
    assert result.returncode == 2
    name = others if others.startswith("--per") else others.split()[0]
    assert result.stderr.decode() == (
        f"chargen: error: --heatmap writes the text itself; it does not go with {name}\n"
    )
