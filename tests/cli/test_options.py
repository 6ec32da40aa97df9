"""Options have help in their groups, and a checkpoint that is not named is found."""

import re
import shutil
from pathlib import Path

import click
import pytest
from conftest import Run, commands

from chargen.cli.options import GroupedOption
from chargen.config import SAMPLE_OPTIONS, TRAIN_OPTIONS
from chargen.fields import GROUPS, Field, flag_of


def options(name: str) -> list[GroupedOption]:
    """The options of a command, each of which must be in a group."""
    found = [each for each in commands()[name].params if isinstance(each, click.Option)]
    assert all(isinstance(each, GroupedOption) for each in found)
    return [each for each in found if isinstance(each, GroupedOption)]


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(name: str, run: Run):
    result = run(name, "--help")
    assert result.returncode == 0
    assert f"Example: chargen {name}" in result.stdout.decode()
    assert result.stderr == b""
    for parameter in options(name):
        assert parameter.help, f"{name} {parameter.opts} has no help"
        words = parameter.help.split("  [default: ")[0]
        assert words.endswith("."), f"{name} {parameter.opts}: {words}"


@pytest.mark.parametrize("name", commands())
def test_each_option_stands_in_its_group(name: str, run: Run):
    result = run(name, "--help", COLUMNS="80")
    lines = result.stdout.decode().split("\n")
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    groups = {parameter.group for parameter in options(name)}
    if len(groups) < 2:
        assert headings == ["Options:"]
        return
    assert headings == [f"{group.capitalize()}:" for group in GROUPS if group in groups]
    heading, found = "", {}
    for line in lines:
        if line in headings:
            heading = line
        elif line.startswith("  -"):
            found[re.findall(r"--[\w-]+", line)[0]] = heading
    for parameter in options(name):
        long = next(option for option in parameter.opts if option.startswith("--"))
        assert found.pop(long) == f"{parameter.group.capitalize()}:"
    assert found == {"--help": "Output:"}


@pytest.mark.parametrize(
    ("name", "fields"),
    [("train", TRAIN_OPTIONS), ("sample", SAMPLE_OPTIONS)],
    ids=["train", "sample"],
)
def test_the_options_are_those_of_the_fields(name: str, fields: dict[str, Field]):
    found = {parameter.name: parameter for parameter in options(name)}
    for field in fields.values():
        option = found[field.name]
        assert flag_of(field.name) in option.opts
        assert str(option.help).startswith(field.option.help)
        assert option.group == field.option.group
        if field.default_words and field.option.bare is None:
            assert f"[default: {field.default_words}]" in str(option.help)
        if field.choices:
            assert isinstance(option.type, click.Choice)
            assert tuple(option.type.choices) == field.choices


@pytest.mark.parametrize("arguments", ["sample -n 3", "evaluate -", "info", "info --json"])
def test_which_checkpoint_is_used_is_said_where_none_was_named(
    arguments: str, checkpoint: Path, run: Run, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "poems\x1b[2J")
    said = run(*arguments.split(), stdin=b"abc")
    assert said.returncode == 0
    assert said.stderr == b"chargen: using checkpoints/poems\\x1b[2J\n"
    quiet = run(*arguments.split(), "-q", stdin=b"abc")
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    assert len(quiet.stdout) > 3


@pytest.mark.parametrize("arguments", ["sample -n 3 -c", "evaluate - -c", "info"])
def test_a_checkpoint_is_named_by_its_path_or_by_its_name_alone(
    arguments: str, checkpoint: Path, run: Run, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "poems")
    for name in ("checkpoints/poems", "poems"):
        result = run(*arguments.split(), name, stdin=b"abc")
        assert (result.returncode, result.stderr) == (0, b"")
    by_environment = run("info", CHARGEN_CHECKPOINT="poems")
    assert (by_environment.returncode, by_environment.stderr) == (0, b"")
    (tmp_path / "poems").mkdir()
    result = run(*arguments.split(), "poems", stdin=b"abc")
    assert b"poems is not a checkpoint: it has no config.json" in result.stderr


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(
    checkpoint: Path, run: Run, tmp_path: Path
):
    none = run("sample", "-c", "peoms").stderr.decode()
    assert "no checkpoint at peoms; train one with `chargen train TEXT -o peoms`" in none
    for number in range(7):
        shutil.copytree(checkpoint, tmp_path / "checkpoints" / f"poems{number}")
    result = run("sample", "-c", "peoms")
    assert result.returncode == 1
    said = result.stderr.decode()
    assert said.startswith("chargen: error: no checkpoint at peoms; there is checkpoints/poems")
    assert said.count("checkpoints/poems") == 5
    assert " and 2 more: name one of these, or train" in said
