"""What is compared, and what came of it: plain records, as `comparison.json` keeps them."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from chargen.checkpoint.architecture import parameter_count, title
from chargen.checkpoint.atomic import write_file
from chargen.checkpoint.directory import Checkpoint, best_of, bits_of
from chargen.checkpoint.sources import locate, relative_to
from chargen.config import MAX_SEED, TRAIN_OPTIONS, ModelConfig, TrainOptions, check_validation
from chargen.data.directories import EVERY_FILE
from chargen.errors import CheckpointError, OptionError, reason_of
from chargen.training.defaults import with_preset
from chargen.training.tries import (
    DEFAULT_BUDGET,
    DEFAULT_TRIES,
    CompareOptions,
    check_options_of_all,
    check_try,
    words_of,
)

__all__ = ["COMPARISON", "Comparison", "Contender", "Question", "Run", "read"]

COMPARISON = "comparison.json"
"""The file in the folder of a comparison that holds all of it."""
FASTEST = 10_000_000
"""More characters per second than a network learns from. Within a budget the passes over the text
are as many as that would make of them, so that only time ends a run, and all runs have the same."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be compared.

    Attributes:
        texts: the paths of the texts.
        tries: what each network chooses.
        options: what is chosen for all of them, unless a try says otherwise.
        glob: what the names of files in a directory match.
    """

    texts: tuple[str, ...]
    tries: tuple[TrainOptions, ...] = ()
    options: CompareOptions
    glob: str = EVERY_FILE

    def checked(self) -> "Question":
        """Return the question with its defaults filled in.

        Raises:
            OptionError: an option is out of range, two options conflict, or there is nothing to
                compare.
        """
        options = check_options_of_all(self.options)
        check_validation(options.get("validation", 0.0))
        if "cell" in options and not self.tries:
            raise OptionError(
                f"--cell {options['cell']} leaves nothing to compare, as the networks are the "
                "cells if no others are given; give --try for each network, or leave out --cell"
            )
        if "budget" in options and "epochs" in options:
            raise OptionError(
                "--budget gives every network the same time, and --epochs the same passes over the "
                "text; give one of them"
            )
        if "epochs" not in options:
            options.setdefault("budget", DEFAULT_BUDGET)
        options = {"seeds": 1, "random_seed": 0} | options
        if options["random_seed"] > MAX_SEED - (options["seeds"] - 1):
            raise OptionError(
                f"--random-seed {options['random_seed']} is too large for --seeds "
                f"{options['seeds']}, as the last random seed may be {MAX_SEED} at most; give a "
                "smaller --random-seed"
            )
        tries = []
        for index, each in enumerate(self.tries or DEFAULT_TRIES):
            try:
                tries.append(check_try(each))
            except OptionError as error:
                raise OptionError(f"{self.label(index)}: {error.as_typed}") from None
        if len(tries) == 1 and options["seeds"] == 1:
            raise OptionError(
                "one network with one random seed leaves nothing to compare; give --try for each "
                "network, or --seeds to see how far its runs differ"
            )
        checked = Question(
            texts=self.texts,
            tries=tuple(tries),
            options=cast("CompareOptions", options),
            glob=self.glob,
        )
        names = checked.names
        for index, name in enumerate(names):
            if (first := names.index(name)) < index:
                raise checked.repeated(index, first)
        return checked

    def label(self, network: int) -> str:
        """Return what messages call a network."""
        words = words_of(self.tries[network])
        return f"try {network + 1} ({words})" if words else f"try {network + 1}"

    def repeated(self, network: int, other: int) -> OptionError:
        """Return the error of a network that is the same as another."""
        return OptionError(
            f"{self.label(network)} is the same network as {self.label(other)}; leave one of them "
            "out"
        )

    @property
    def budget(self) -> float | None:
        """The seconds of each run, or None if all make the same passes over the text."""
        return cast("float | None", self.options.get("budget"))

    @property
    def random_seeds(self) -> range:
        """The random seeds of each network's runs."""
        first = self.options["random_seed"]
        return range(first, first + self.options["seeds"])

    @property
    def names(self) -> list[str]:
        """The name of each network: its cell, and whatever else it chooses for itself.

        So a network keeps its name when others are added.
        """
        found = []
        for each in self.tries:
            chosen = with_preset(cast("TrainOptions", {**self.options, **each}))
            words = [_word(*pair) for pair in each.items() if pair[0] != "cell"]
            found.append("-".join([chosen.get("cell", ModelConfig.cell), *filter(None, words)]))
        return found

    def run_name(self, network: int, random_seed: int) -> str:
        """Return the name of a run's directory: the network's, and any random seed but the first.

        So more random seeds can be added to a comparison, whose runs keep their names.
        """
        name = self.names[network]
        first = random_seed == self.random_seeds[0]
        return name if first else f"{name}-seed{random_seed}"

    def run_options(
        self, network: int, random_seed: int, train_characters: int | None = None
    ) -> TrainOptions:
        """Return the options of a run, as `chargen.train` takes them.

        Args:
            network: the index of its try.
            random_seed: the run's.
            train_characters: the length of the text to learn from, which the most passes within a
                budget follow from; None leaves them out.
        """
        options: dict[str, Any] = {**self.options, **self.tries[network]}
        del options["seeds"]
        options |= {"random_seed": random_seed, "patience": 0}
        if self.budget is not None and train_characters is not None:
            options["epochs"] = math.ceil(self.budget * FASTEST / train_characters)
        return cast("TrainOptions", options)

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return all of it by name, with paths relative to the folder of the comparison."""
        options: dict[str, Any] = dict(self.options)
        if isinstance(path := options.get("validation"), str):
            options["validation"] = relative_to(folder, path)
        return {
            "texts": [relative_to(folder, text) for text in self.texts],
            "glob": self.glob,
            "options": options,
            "tries": [dict(each) for each in self.tries],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], folder: Path) -> "Question":
        """Build from what `to_json` gave.

        Raises:
            AttributeError, KeyError, OptionError, TypeError, ValueError: it is something else.
        """
        options = dict(values["options"])
        if isinstance(path := options.get("validation"), str):
            options["validation"] = locate(folder, path)
        return cls(
            texts=tuple(locate(folder, text) for text in values["texts"]),
            tries=tuple(values["tries"]),
            options=cast("CompareOptions", options),
            glob=str(values["glob"]),
        ).checked()


@dataclass(frozen=True)
class Run:
    """One training of a network.

    Attributes:
        checkpoint: the checkpoint that it wrote.
        history: the lines of its history.
        error: why it could not be finished, or None.
    """

    checkpoint: Checkpoint
    history: Sequence[dict[str, Any]]
    error: str | None = None

    @property
    def random_seed(self) -> int:
        """The random seed of the run."""
        return self.checkpoint.training.random_seed

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The line of the best weights; if nothing is held out, that of the newest."""
        return best_of(self.history)

    @property
    def bits(self) -> float | None:
        """The bits per character of the best weights; None if it failed or took no step."""
        return None if self.best is None or self.error is not None else bits_of(self.best)

    @property
    def accuracy(self) -> float | None:
        """The share of characters that the best weights predict, on the same text."""
        if self.best is None or self.error is not None:
            return None
        held_out = self.best["validation_accuracy"]
        return cast("float", self.best["train_accuracy"] if held_out is None else held_out)

    @property
    def steps(self) -> int:
        """The steps that were taken until the last line."""
        return self.history[-1]["step"] if self.history else 0

    @property
    def seconds(self) -> float:
        """The seconds that they took, start-up included."""
        return self.history[-1]["seconds"] if self.history else 0.0

    @property
    def recoveries(self) -> int:
        """How often the run diverged and went back."""
        return sum(1 for line in self.history if line.get("diverged"))

    @property
    def characters_per_second(self) -> float | None:
        """The median throughput between two evaluations, so that start-up does not count."""
        rates = [
            (after["characters"] - before["characters"]) / (after["seconds"] - before["seconds"])
            for before, after in pairwise(self.history)
            if after["characters"] > before["characters"] and after["seconds"] > before["seconds"]
        ]
        return statistics.median(rates) if rates else None

    @property
    def gradient_norms(self) -> list[float]:
        """The norm of the gradient at each line that has it."""
        found = (line.get("gradient_norm") for line in self.history)
        return [norm for norm in found if norm is not None]

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return all of it by name, with the path relative to the folder of the comparison."""
        return {
            "random_seed": self.random_seed,
            "checkpoint": relative_to(folder, str(self.checkpoint.path)),
            "error": self.error,
            "seconds": self.seconds,
            "steps": self.steps,
            "characters_per_second": self.characters_per_second,
            "gradient_norm": _median(self.gradient_norms),
            "recoveries": self.recoveries,
            "best": self.best,
            "history": list(self.history),
        }


@dataclass(frozen=True)
class Contender:
    """A network and its runs.

    Figures are means over the runs that have bits per character; if none has, only bits and
    accuracy are None.

    Attributes:
        name: what it is called.
        options: what it chooses for itself.
        runs: those that have ended, by their random seeds.
    """

    name: str
    options: TrainOptions
    runs: tuple[Run, ...]

    @property
    def counted(self) -> Sequence[Run]:
        """The runs that figures are taken from."""
        return [run for run in self.runs if run.bits is not None] or self.runs

    @property
    def all_bits(self) -> list[float]:
        """The bits per character of each run that has any, the lowest first."""
        return sorted(run.bits for run in self.runs if run.bits is not None)

    @property
    def bits(self) -> float | None:
        """The bits per character."""
        return _mean(self.all_bits)

    @property
    def accuracy(self) -> float | None:
        """The share of characters that are predicted."""
        return _mean(run.accuracy for run in self.counted)

    @property
    def characters_per_second(self) -> float | None:
        """The throughput of training."""
        return _mean(run.characters_per_second for run in self.counted)

    @property
    def steps(self) -> int | None:
        """The steps of a run."""
        mean = _mean(run.steps for run in self.counted)
        return None if mean is None else round(mean)

    @property
    def parameters(self) -> int | None:
        """How many numbers are trained."""
        return parameter_count(self.runs[0].checkpoint.model) if self.runs else None

    @property
    def gradient_norm(self) -> float | None:
        """The median of the gradient's norm over the lines of their histories."""
        return _median([norm for run in self.counted for norm in run.gradient_norms])

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return all of it by name, with paths relative to the folder of the comparison."""
        spread = self.all_bits
        held_out = any(run.best and run.best["validation_bits"] is not None for run in self.runs)
        return {
            "name": self.name,
            "options": dict(self.options),
            "model": title(self.runs[0].checkpoint.model) if self.runs else None,
            "parameters": self.parameters,
            "characters_per_second": self.characters_per_second,
            "steps": self.steps,
            "validation_bits": self.bits if held_out else None,
            "train_bits": None if held_out else self.bits,
            "lowest_bits": spread[0] if spread else None,
            "highest_bits": spread[-1] if spread else None,
            "accuracy": self.accuracy,
            "gradient_norm": self.gradient_norm,
            "runs": [run.to_json(folder) for run in self.runs],
        }


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as it has come.

    Attributes:
        folder: where its checkpoints are, and `comparison.json`.
        question: what is compared.
        runs: those that have ended, by the index of their network and their random seed.
    """

    folder: Path
    question: Question
    runs: Mapping[tuple[int, int], Run]

    @property
    def networks(self) -> list[Contender]:
        """The networks, those with the fewest bits per character first, the untried ones last."""
        found = [
            Contender(
                name,
                self.question.tries[index],
                tuple(run for (network, _), run in sorted(self.runs.items()) if network == index),
            )
            for index, name in enumerate(self.question.names)
        ]
        return sorted(
            found, key=lambda each: (math.inf if each.bits is None else each.bits, not each.runs)
        )

    @property
    def best(self) -> Run | None:
        """The run with the fewest bits per character, or None if none has any."""
        found = [run for run in self.runs.values() if run.bits is not None]
        return min(found, key=lambda run: cast("float", run.bits), default=None)

    @property
    def is_held_out(self) -> bool:
        """Whether the networks are compared on text that they did not learn from."""
        return all(run.checkpoint.corpus.validation_characters for run in self.runs.values())

    def to_json(self) -> dict[str, Any]:
        """Return all of it by name, ready for `json.dumps`."""
        question = self.question.to_json(self.folder)
        return question | {"networks": [each.to_json(self.folder) for each in self.networks]}

    def write(self) -> None:
        """Write `comparison.json`.

        Raises:
            CheckpointError: it cannot be written.
        """
        content = json.dumps(self.to_json(), indent=2) + "\n"
        try:
            write_file(self.folder / COMPARISON, content.encode())
        except OSError as error:
            raise CheckpointError(
                f"cannot write {error.filename}: {error.strerror}; the runs that have ended are "
                "kept: fix this and compare again, with --resume"
            ) from None


def read(folder: Path) -> tuple[Question, dict[Path, str | None]]:
    """Read `comparison.json`: what was asked, and the runs that have ended.

    Returns:
        The question, and for each run's directory why it failed, or None.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = folder / COMPARISON
    try:
        content = json.loads(path.read_bytes())
        ended = {
            folder / run["checkpoint"]: run["error"]
            for network in content["networks"]
            for run in network["runs"]
        }
        if not all(isinstance(error, str | None) for error in ended.values()):
            raise TypeError("an error is not a text")
        return Question.from_json(content, folder), ended
    except FileNotFoundError:
        raise CheckpointError(
            f"no comparison in {folder} to resume: it has no {COMPARISON}; leave out --resume, or "
            "name its folder with --output"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from None
    except (AttributeError, KeyError, OptionError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged ({reason_of(error)}); compare again, with --force or with another "
            "--output"
        ) from None


def _word(name: str, value: Any) -> str:
    """Return what the name of a network says of an option."""
    if isinstance(value, bool):
        return "".join(TRAIN_OPTIONS[name].typed(value)).removeprefix("--")
    shown = f"{value}".removesuffix(".0")
    # A word of a few says what it is of, and the units are what tutorials vary.
    explains = name == "units" or isinstance(value, str)
    return shown if explains else f"{name.replace('_', '-')}-{shown}"


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
