"""The shipped texts are what corpora/README.md says."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

CORPORA = ROOT / "corpora"


@pytest.mark.parametrize("path", sorted(CORPORA.glob("*.*")), ids=lambda path: path.name)
def test_each_text_is_ascii_described_and_clean(path: Path):
    if path.name == "README.md":
        return
    text = path.read_bytes().decode("ascii")
    assert text.endswith("\n")
    assert "\r" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    row = next(
        line
        for line in (CORPORA / "README.md").read_text(encoding="utf-8").splitlines()
        if f"`{path.name}`" in line and line.startswith("|")
    )
    assert f"{len(text):,} characters" in row


def test_the_fables_are_many_and_none_repeats():
    text = (CORPORA / "fables.txt").read_text(encoding="utf-8")
    assert len(text) >= 100_000
    blocks = text.rstrip("\n").split("\n\n")
    titles, bodies = blocks[::2], blocks[1::2]
    assert len(titles) == len(bodies) == len(set(titles)) == 177
    sentences = [line for body in bodies for line in body.split("\n")]
    assert len(sentences) == len(set(sentences))
    assert all(body.split("\n")[-1].startswith("So ") for body in bodies)


def test_the_names_are_many_and_none_repeats():
    names = (CORPORA / "names.txt").read_text(encoding="utf-8").splitlines()
    assert len(names) >= 1_500
    assert len(set(names)) == len(names)
    assert all(name and name == name.strip() for name in names)
    assert names != sorted(names)


def test_each_tune_has_its_fields_and_two_repeated_parts():
    tunes = (CORPORA / "tunes.abc").read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert len(tunes) == 24
    for number, tune in enumerate(tunes, 1):
        fields = re.findall(r"^([A-Z]):", tune, re.MULTILINE)
        assert fields == ["X", "T", "R", "M", "L", "K"]
        assert tune.startswith(f"X:{number}\n")
        assert tune.count("|:") == tune.count(":|") == 2
