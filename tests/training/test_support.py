"""Where nothing can be trained, `train` says why in one line, and all else works."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from chargen.training.support import LIBRARIES

# A module that is None there cannot be imported, as if it were not installed.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({names!r}))
"""
COMMAND = """
from chargen.cli import main
sys.argv = ["chargen", *{arguments!r}]
main()
"""


def run_without(
    names: tuple[str, ...], code: str, folder: Path
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=names) + code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        timeout=60,
        check=False,
    )


def train_without(names: tuple[str, ...], folder: Path) -> str:
    """The line that `chargen train` ends with."""
    (folder / "text").write_text("abc\n" * 99)
    result = run_without(names, COMMAND.format(arguments=["train", "text"]), folder)
    assert result.returncode == 1
    assert result.stdout == b""
    (line,) = result.stderr.decode().splitlines()
    assert [entry.name for entry in folder.iterdir()] == ["text"]
    return line


def test_train_names_what_is_not_installed(tmp_path: Path):
    line = train_without(LIBRARIES, tmp_path)
    assert line.startswith(
        "chargen: error: training needs tensorflow, keras, rich, which this "
        "installation does not have; install what is missing with: pip install "
    )
    assert line.endswith((" chargen", " 'chargen-light[train]'"))


def test_train_names_the_systems_on_which_it_works(tmp_path: Path):
    line = train_without(("fcntl",), tmp_path)
    assert line.startswith("chargen: error: training needs a POSIX system, such as Linux or macOS,")


@pytest.mark.parametrize("names", [LIBRARIES, ("fcntl",)])
def test_chargen_train_raises_an_error_of_chargen_there(names: tuple[str, ...], tmp_path: Path):
    code = """
import chargen
try:
    chargen.train("text", units=8)
except chargen.TrainingError as error:
    assert str(error).startswith("training needs "), error
else:
    raise AssertionError("it trained")
"""
    result = run_without(names, code, tmp_path)
    assert result.returncode == 0, result.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sample", "-c", "CK", "-s", "abc", "-n", "9"], "abc"),
        (["evaluate", "TEXT", "-c", "CK"], "bits per character"),
        (["novelty", "TEXT", "--corpus", "TEXT"], "longest copy"),
        (["gradients", "CK", "--text", "TEXT"], "steps back"),
        (["info", "CK"], "vocabulary"),
        (["list", "CK"], "random"),
        (["export", "CK", "-o", "model.safetensors"], "model.safetensors"),
        (["completion", "bash"], "complete"),
        (["train", "--help"], "Example: chargen train"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_all_other_commands_work_without_training(
    arguments: list[str], shown: str, checkpoint: Path, tmp_path: Path
):
    text = tmp_path / "text"
    text.write_text("abc\n" * 99)
    folder = checkpoint.parent if arguments[0] == "list" else checkpoint
    places = {"CK": str(folder), "TEXT": str(text)}
    arguments = [places.get(argument, argument) for argument in arguments]
    names = (*LIBRARIES, "fcntl")
    result = run_without(names, COMMAND.format(arguments=arguments), tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    assert shown in result.stdout.decode()


def test_the_light_install_leaves_out_what_training_asks_for():
    table = tomllib.loads((ROOT / "light" / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = table["tool"]["hatch"]["metadata"]["hooks"]["custom"]["leave-out"]
    assert sorted(left_out) == sorted(LIBRARIES)
