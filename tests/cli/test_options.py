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
