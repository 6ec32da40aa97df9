"""A directory stands for the texts in it."""

import gzip
import sys
from pathlib import Path

import pytest

from chargen.checkpoint.directory import FILES
from chargen.data.directories import CHECKPOINT_FILES, expanded
from chargen.data.text import read_text
from chargen.errors import CorpusError, OptionError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with texts, and with what is not to be read."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "ck").mkdir()
    for name, data in {
        "c.md": b"three",
        "a.txt": b"one",
        "b/x.md": b"two",
        "b/wide.txt": "wide".encode("utf-16"),
        "d.txt.gz": gzip.compress(b"four"),
        "picture.png": b"\x89PNG\0\0",
        "pack.tar.gz": gzip.compress(b"name\0\0"),
        "ck/config.json": b"{}",
        "ck/vocabulary.json": b"{}",
        "ck/history.jsonl": b"",
        ".hidden": b"not this",
        ".git/config": b"nor this",
    }.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("pattern", "names", "note"),
    [
        (
            "*",
            ["a.txt", "b/wide.txt", "b/x.md", "c.md", "d.txt.gz"],
            "5 text files are read in the order of their paths, and 2 that are not text",
        ),
        ("c.*", ["c.md"], "1 text file that matches c.* is read in the order"),
        ("*.md", ["b/x.md", "c.md"], "2 text files that match *.md are read in the order of their"),
    ],
)
def test_a_directory_stands_for_its_text_files(
    folder: Path, pattern: str, names: list[str], note: str
):
    notes: list[str] = []
    found = expanded(["first", str(folder), "-"], pattern, notes.append)
    assert found == ["first", *(str(folder / name) for name in names), "-"]
    assert len(notes) == 1
    assert notes[0].startswith(f"{folder}: {note}")
    if pattern == "*":
        assert "".join(read_text(found[1:-1])) == "onewidetwothreefour"


def test_a_directory_without_texts_and_a_pattern_without_a_directory_are_refused(folder: Path):
    with pytest.raises(CorpusError, match=r"folder has no text files that match \*\.png;"):
        expanded([str(folder)], "*.png")
    with pytest.raises(OptionError, match="glob narrows a directory"):
        expanded([str(folder / "a.txt")], "*.md")
    if sys.version_info < (3, 13):
        with pytest.raises(OptionError, match=r"glob \*\*\.md is not a pattern"):
            expanded([str(folder)], "**.md")
    for pattern in ("", "/etc/*"):
        with pytest.raises(OptionError, match="glob must be a pattern of file names"):
            expanded([str(folder)], pattern)


def test_the_files_of_checkpoints_that_are_left_out_are_those_that_checkpoints_have():
    assert set(CHECKPOINT_FILES) < set(FILES)
