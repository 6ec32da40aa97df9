"""An unknown option or command is answered with the one that was meant."""

import click
import pytest
from conftest import Run, commands

from chargen.cli.suggestions import COMMANDS_ELSEWHERE, OPTIONS_ELSEWHERE, suggestions


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("temp", ["temperature"]),  # its beginning
        ("top_k", ["top-k"]),
        ("top", ["top-k", "top-p"]),
        ("nucleus", ["top-p"]),  # another program's name
        ("tepmerature", ["temperature"]),  # a slip
        ("TEMP", ["temperature"]),
        ("zebra", []),
        ("", []),
    ],
)
def test_beginnings_come_first_then_other_names_then_slips(word: str, meant: list[str]):
    assert suggestions(word, ["top-k", "top-p", "temperature"], OPTIONS_ELSEWHERE) == meant


def test_a_name_elsewhere_counts_only_where_the_option_is():
    assert suggestions("model", ["checkpoint", "cell"], OPTIONS_ELSEWHERE) == ["checkpoint", "cell"]
    assert suggestions("model", ["checkpoint"], OPTIONS_ELSEWHERE) == ["checkpoint"]


def test_every_name_elsewhere_stands_for_something_here():
    found = commands()
    assert set(COMMANDS_ELSEWHERE) - {"--help"} <= set(found)
    options = {
        name.removeprefix("--")
        for command in found.values()
        for each in command.params
        if isinstance(each, click.Option)
        for name in [*each.opts, *each.secondary_opts]
    }
    assert set(OPTIONS_ELSEWHERE) <= options
    for name, others in OPTIONS_ELSEWHERE.items():
        assert name not in others.split()
        # What begins our name is found without a table.
        assert not [other for other in others.split() if name.startswith(other)]
    assert not set(" ".join(COMMANDS_ELSEWHERE.values()).split()) & set(found)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("generate", "No such command 'generate'; did you mean sample?"),
        ("help", "No such command 'help'; did you mean --help?"),
        ("trian", "No such command 'trian'; did you mean train?"),
        ("sample --temp 1", "No such option '--temp'; did you mean --temperature?"),
        ("train text --hidden 5", "No such option '--hidden'; did you mean --units?"),
        ("train text --output a", "No such option '--output'; did you mean --checkpoint?"),
        ("train text --steps 5", "No such option '--steps'; did you mean --epochs?"),
        ("train text --prompt a", "No such option '--prompt'; chargen sample has it"),
        ("sample -y", "No such option '-y'"),
    ],
)
def test_the_answer_is_one_line(line: str, answer: str, run: Run):
    result = run(*line.split())
    assert result.returncode == 2
    assert result.stderr.decode().startswith(f"chargen: error: {answer} (see chargen")
    assert result.stderr.count(b"\n") == 1
