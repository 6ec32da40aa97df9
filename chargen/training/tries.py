"""The options of a comparison: what each of its networks may choose, and what is chosen for all.

A try is what one network chooses: options of `chargen.train` by their names.
"""

import shlex
from collections.abc import Mapping
from itertools import chain
from typing import Any, cast

from chargen.config import TRAIN_OPTIONS, TrainOptions
from chargen.errors import OptionError
from chargen.fields import Field, Group, Option, flag_of

__all__ = [
    "COMPARE_OPTIONS",
    "DEFAULT_BUDGET",
    "DEFAULT_TRIES",
    "TRY_OPTIONS",
    "CompareOptions",
    "check_options_of_all",
    "check_try",
    "refusal",
    "words_of",
]

DEFAULT_TRIES: tuple[TrainOptions, ...] = ({"cell": "rnn"}, {"cell": "gru"}, {"cell": "lstm"})
"""What is tried if nothing else is; the LSTM, usually the best, is the newest checkpoint then."""
DEFAULT_BUDGET = 60.0
"""Seconds for each run: the three cells take little more than three minutes."""
MOST_SEEDS = 1_000
"""The most runs of each network; more are a mistake."""


class CompareOptions(TrainOptions, total=False):
    """What a caller of `compare` may choose for all networks, for type checkers."""

    seeds: int


def _of_all() -> dict[str, Field]:
    """Return the options of `train` as a comparison has them, in the order of `--help`."""
    changed: dict[str, dict[str, Any]] = {
        "cell": {"default": "each in turn, unless --try is given"},
        "random_seed": {
            "help": "The first random seed; with --seeds, the others follow it.",
            "default": "0",
        },
        "epochs": {
            "help": "Number of passes over the text that every network makes, however long they "
            "take; without it, all get the same time.",
            "default": "as many as --budget allows",
        },
        "budget": {
            "help": "Time for each run, such as 90s, 10m or 1h30m; the whole comparison takes this "
            "for each network and random seed.",
            "default": f"{DEFAULT_BUDGET:g}s, unless --epochs is given",
        },
    }
    found = {}
    for name, field in TRAIN_OPTIONS.items():
        if name == "patience":
            continue  # all take the same steps or the same time
        found[name] = field._replace(option=field.option._replace(**changed.get(name, {})))
        if name == "random_seed":
            found["seeds"] = SEEDS
    return found


SEEDS = Field(
    "seeds",
    int,
    False,
    1,
    Option(
        "Number of runs of each network, each with another random seed, to see how far chance "
        "alone changes the result.",
        "learning",
        at_least=1,
        at_most=MOST_SEEDS,
    ),
)
COMPARE_OPTIONS = _of_all()
"""The fields that are chosen for all networks, unless a try says otherwise."""
TRY_OPTIONS = {
    name: field
    for name, field in TRAIN_OPTIONS.items()
    if (field.option.group in ("network", "learning") and name != "random_seed")
    or name == "precision"
}
"""The fields that a network may choose for itself."""
REFUSALS: dict[Group, str] = {
    "where": "each run has a directory of its own, below --output",
    "text": "all networks learn from the same text; give it to the comparison itself",
    "learning": "all networks get the same random seeds; give it to the comparison itself",
    "stopping": "all networks get the same time or the same passes over the text; give --budget "
    "or --epochs to the comparison itself",
    "machine": "all runs compute with the same threads; give it to the comparison itself",
    "output": "it is for a whole command, not for one of its networks",
}
"""Why other options do not belong in a try, by their groups."""
SAVING = "all runs are saved equally often; give it to the comparison itself"
"""Why `save_every` does not, which ends no run, unlike the others of its group."""


def refusal(name: str, group: Group) -> OptionError:
    """Return the error of an option that does not belong in a try.

    Args:
        name: the option's name.
        group: the group that `--help` prints it in.
    """
    reason = SAVING if name == "save_every" else REFUSALS[group]
    return OptionError(f"{flag_of(name)} does not belong in a try: {reason}")


def check_options_of_all(options: Mapping[str, object]) -> dict[str, Any]:
    """Return what is chosen for all networks, with numbers turned into Python's own.

    Raises:
        OptionError: an option is out of range.
    """
    if unknown := set(options) - set(COMPARE_OPTIONS):
        raise TypeError(f"compare() got unknown options: {', '.join(sorted(unknown))}")
    return {name: COMPARE_OPTIONS[name].check(value) for name, value in options.items()}


def check_try(options: Mapping[str, object]) -> TrainOptions:
    """Return what a network chooses, with numbers of other libraries turned into Python's own.

    Raises:
        OptionError: an option is out of range, or does not belong in a try.
    """
    checked = {}
    for name, value in options.items():
        if name not in TRAIN_OPTIONS:
            raise TypeError(f"a try has an unknown option: {name}")
        field = TRAIN_OPTIONS[name]
        if name not in TRY_OPTIONS:
            assert field.option.group is not None  # a caller may choose it
            raise refusal(name, field.option.group)
        checked[name] = field.check(value)
    return cast("TrainOptions", checked)


def words_of(options: Mapping[str, object]) -> str:
    """Return options as they are typed."""
    words = (TRAIN_OPTIONS[name].typed(value) for name, value in options.items())
    return shlex.join(chain.from_iterable(words))
