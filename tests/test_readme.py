"""What the README shows can be typed in."""

import re
from pathlib import Path

import pytest
from conftest import FABLES, ROOT, commands

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "poems.txt").write_text("Once" + FABLES[:3000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        small = block.replace("units=256, epochs=20", "units=8, epochs=1")
        exec(compile(small, "README.md", "exec"), {})
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
    assert not re.search(r"\b(MEASURED|TODO|TBD|XXX)\b", README)


def test_every_option_is_documented():
    for name, command in commands().items():
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    assert f"`{option}" in README, f"README does not mention {option} of {name}"
