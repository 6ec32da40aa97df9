"""What the README and the page on Python show can be typed in."""

import re
from pathlib import Path

import pytest
from conftest import FABLES, ROOT

from docs.conftest import blocks_of, prepare, type_in

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_of_the_readme_can_be_typed_in(tmp_path: Path):
    prepare(tmp_path)
    path, *shown = type_in(tmp_path, blocks_of(README)).splitlines()
    assert path == "checkpoints/fables"
    assert shown[0].startswith("The heron")
    assert any(line.startswith("bits per character") for line in shown)
    assert shown[-1] == "checkpoints/quick"


def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "poems.txt").write_text("Once" + FABLES[:3000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        small = block.replace("units=256, epochs=20", "units=8, epochs=1")
        exec(compile(small, "python.md", "exec"), {})
    shown = capsys.readouterr().out
    assert len(shown) > 500
    assert "Total params" in shown


def test_the_readme_opens_with_the_two_commands():
    commands = re.findall(r"^    (make \w+)", README, re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\ndemo:" in makefile
    assert "\ntest:" in makefile


def test_no_placeholder_is_left():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        assert not re.search(r"\b(MEASURED|TODO|TBD|XXX)\b", page.read_text(encoding="utf-8"))
