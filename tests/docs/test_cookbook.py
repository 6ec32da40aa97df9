"""Each recipe of docs/cookbook.md does what it says, on little data and with small networks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FABLES, ROOT

from docs.conftest import blocks_of, prepare, type_in

PAGE = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
SECTIONS = {section.partition("\n")[0]: blocks_of(section) for section in PAGE.split("\n## ")[1:]}

TAIL = """#!/bin/bash
arguments=()
for each in "$@"; do [ "$each" = -f ] || arguments+=("$each"); done
exec /usr/bin/tail "${arguments[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all recipes are tried, one after the other: some need what others have learnt."""
    folder = tmp_path_factory.mktemp("cookbook")
    prepare(folder)
    (folder / "bin" / "tail").write_text(TAIL)
    (folder / "bin" / "tail").chmod(0o755)
    log = "".join(
        f"Nov {day:2} 12:00:0{day % 10} host cron[{day}]: job done\n" for day in range(30)
    )
    (folder / "yesterday.log").write_text(log * 8)
    (folder / "today.log").write_text(log + "KERNEL PANIC @@ 0xDEADBEEF\n" + log)
    (folder / "one.txt").write_text(FABLES[:9_000])
    (folder / "two.txt").write_text((ROOT / "corpora" / "tunes.abc").read_text())
    (folder / "notes.md").write_text(FABLES[:6_000])
    (folder / "letters").mkdir()
    for number in range(3):
        start = 20_000 * (number + 1)
        (folder / "letters" / f"letter {number}.txt").write_text(FABLES[start : start + 500])
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def follow(folder: Path, section: str, blocks: slice = slice(None)) -> str:
    """Type in a recipe, or some blocks of it; its standard output."""
    return type_in(folder, SECTIONS[section][blocks])


def test_every_recipe_is_tried():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in SECTIONS if f'"{name}"' not in tests] == []


@pytest.fixture(scope="module")
def names(folder: Path) -> list[str]:
    """What the first recipe writes."""
    return follow(folder, "Names that do not exist", slice(1)).splitlines()[1:]


@pytest.fixture(scope="module")
def authors(folder: Path) -> str:
    """What the comparison of two authors shows."""
    return follow(folder, "Two authors")


@pytest.mark.slow
def test_names_that_do_not_exist(folder: Path, names: list[str]):
    assert len(set(names)) == len(names) == 20
    towns = set((folder / "corpora" / "names.txt").read_text().split("\n"))
    assert not set(names) & towns
    more = follow(folder, "Names that do not exist", slice(1, 2)).splitlines()
    assert all(re.fullmatch(r"\w+ \w+", name) for name in more[:5])


@pytest.mark.slow
def test_odd_lines_in_a_log(folder: Path):
    path, *ranked = follow(folder, "Odd lines in a log", slice(1)).splitlines()
    assert path == "checkpoints/log"
    assert len(ranked) == 5
    assert "KERNEL PANIC" in ranked[0]
    watched = follow(folder, "Odd lines in a log", slice(1, 2)).splitlines()
    assert any("KERNEL PANIC" in line for line in watched)
    assert len(watched) < 61


@pytest.mark.slow
def test_tunes(folder: Path):
    follow(folder, "Tunes in ABC notation")
    assert (folder / "new.abc").read_text().startswith("X:1\nT:")


@pytest.mark.slow
def test_python(folder: Path):
    shown = follow(folder, "Python from the standard library")
    path, _, code = shown.partition("\n")
    assert path == "checkpoints/python"
    assert code.startswith("def read_")
    assert (folder / "stdlib.py").stat().st_size > 1_000_000


@pytest.mark.slow
def test_a_hook_refuses_odd_prose(folder: Path):
    follow(folder, "A commit hook that scores prose")
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    environment |= {"PYTHON": sys.executable}

    def commit(line: str) -> "subprocess.CompletedProcess[str]":
        with (folder / "notes.md").open("a") as file:
            file.write(line)
        subprocess.run(["git", "add", "notes.md"], cwd=folder, check=True)
        who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
        return subprocess.run(
            ["git", *who, "commit", "-q", "-m", "more"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    hook = folder / ".git" / "hooks" / "pre-commit"
    hook.write_text(hook.read_text().replace("--threshold 5", "--threshold 6"))  # it learnt little
    usual = commit('"It is the rain," said the heron to the fox.\n')
    assert usual.returncode == 0, usual.stderr
    odd = commit("QZX#@~ {}[]|\\ %%^^ 0x7f JJQK\n")
    assert odd.returncode == 1
    assert "QZX#@~" in odd.stderr
    assert odd.stderr.count("\n") == 2


@pytest.mark.slow
def test_data_in_bulk(folder: Path, names: list[str]):
    follow(folder, "Test data in bulk")
    towns = [json.loads(line) for line in (folder / "towns.jsonl").read_text().splitlines()]
    assert [town["id"] for town in towns] == list(range(1, 1001))
    assert len({town["town"] for town in towns}) == 1000


@pytest.mark.slow
def test_two_authors_are_told_apart(authors: str):
    found = re.findall(r"^(\w+) by the model of (\w+): ([\d.]+) bits", authors, re.MULTILINE)
    bits = {(text, model): float(value) for text, model, value in found}
    assert len(bits) == 4
    assert bits["one", "one"] < bits["one", "two"]
    assert bits["two", "two"] < bits["two", "one"]
    assert "this model: LSTM" in authors
    assert "n-grams" in authors


@pytest.mark.slow
@pytest.mark.parametrize("with_parallel", [False, True])
def test_many_files_are_scored(folder: Path, authors: str, with_parallel: bool):
    if with_parallel:
        follow(folder, "Many files", slice(1, 2))
        lines = (folder / "scores.jsonl").read_text().splitlines()
        scores = {json.loads(line)["file"]: json.loads(line) for line in lines}
        assert all(score["bits_per_character"] > 0 for score in scores.values())
        names = set(scores)
    else:
        follow(folder, "Many files", slice(1))
        rows = [line.split("\t") for line in (folder / "scores.tsv").read_text().splitlines()]
        figures = [float(bits) for bits, _ in rows]
        assert figures == sorted(figures, reverse=True)
        names = {name for _, name in rows}
    assert names == {f"letters/letter {number}.txt" for number in range(3)}
