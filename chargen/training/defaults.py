"""What to train where the user did not say: every default that follows from the text, with reasons.

A choice is taken from the first that has it: the caller's options, the preset, the rung of
`LADDER` for the text's size, the defaults of `chargen.config`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

import numpy as np

from chargen.checkpoint.architecture import GATES, parameter_count
from chargen.config import (
    MAX_COUNT,
    TRAIN_OPTIONS,
    ModelConfig,
    TrainConfig,
    TrainOptions,
    check_validation,
)
from chargen.data.windows import epoch_size
from chargen.errors import TrainingError
from chargen.training.machine import Machine, memory_bytes

__all__ = [
    "EVALUATIONS",
    "LADDER",
    "PRESETS",
    "REACHES",
    "Rung",
    "Settings",
    "TextSize",
    "check_memory",
    "check_options",
    "default_validation",
    "settle",
    "with_preset",
]


@dataclass(frozen=True, kw_only=True)
class TextSize:
    """What of a text its settings follow from, in characters."""

    vocabulary: int
    """Distinct characters."""
    characters: int
    """All of them."""
    train: int
    """Those to learn from."""
    validation: int
    """Those that are held out."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What follows from how much there is to learn from."""

    units: int
    batch_size: int = 32
    dropout: float = 0.0
    weight_drop: float = 0.0
    average: float = 0.0
    weight_decay: float = 0.0
    """With Adam and a gated cell; AdamW has its own, the others none."""
    rate: float = 1.0
    """Of `LEARNING_RATES`: more for larger batches, and where little is read more than once."""


@dataclass(frozen=True, kw_only=True)
class Rung(Settings):
    """Settings for texts up to a size."""

    characters: float
    """The longest it is for, the held-out part included."""
    epochs: int
    window: int = 64


# Small texts want much dropped and many epochs of few short windows; large ones want as large a
# network as the machine trains in reasonable time, and few epochs. Measured on the shipped corpora,
# parts of them, tinyshakespeare and Python's own source; the table is in benchmarks/STUDY.md.
LADDER = (
    # Too little to hold anything out: it is memorised.
    Rung(characters=999, units=64, epochs=100, batch_size=1, window=16),
    Rung(characters=3_000, units=64, epochs=15, batch_size=2, window=32, dropout=0.3),
    Rung(characters=10_000, units=128, epochs=18, batch_size=4, dropout=0.4),
    Rung(
        characters=30_000, units=256, epochs=40, batch_size=8,
        dropout=0.4, weight_drop=0.6, average=0.98,
    ),
    Rung(characters=100_000, units=256, epochs=60, dropout=0.3, weight_drop=0.6, average=0.99),
    Rung(characters=300_000, units=384, epochs=50, dropout=0.3, weight_drop=0.5, average=0.99),
    Rung(
        characters=3_000_000, units=512, epochs=15, batch_size=64,
        dropout=0.1, weight_drop=0.3, average=0.998, rate=1.3,
    ),
    Rung(
        characters=30_000_000, units=512, epochs=2, batch_size=64,
        weight_drop=0.1, average=0.998, rate=1.3,
    ),
    Rung(characters=math.inf, units=512, epochs=1, batch_size=64, average=0.998, rate=1.3),
)  # fmt: skip

# Adam's, at the peak of the cosine, for up to 256 units.
LEARNING_RATES = {
    # The gates hold back what a high rate does to a long chain; a plain RNN has none.
    "lstm": 1.2e-2,
    "gru": 1e-2,
    "rnn": 3e-3,
}
OPTIMIZER_FACTORS = {
    "adam": 1.0,
    "adamw": 1.0,
    "rmsprop": 0.5,  # as Adam without momentum: the same step, less smoothed
    "sgd": 100.0,  # steps follow the gradient's own size, clipped to a norm of 1
}
ADAMW_DECAY = 0.1
"""What AdamW is chosen for."""
LAST_RATE = 1 / 3
"""Predict last learns from one character a window, so its gradients are noisier."""

LAST_WINDOW = 24
"""Predict last runs a whole window for each character: shorter ones than the rung's."""
LAST_UNITS = 128
LAST_DROPOUT = 0.4
"""So that it learns more slowly, and from fewer epochs: both at most."""
LAST_EPOCHS = ((999, 100), (3_000, 15), (10_000, 12), (30_000, 10), (300_000, 5), (3_000_000, 2))
"""Passes over texts up to so many characters; one over longer ones."""
LAST_BATCH_SIZES = (8, 128)
"""A hundredth of the text within these bounds: a window is one character to learn from, so that
a step needs many to be worth its overhead, and a short text needs some steps."""

EMBEDDING_ABOVE = 256
"""Characters above which one-hot inputs cost more than they are worth; then an embedding of 64."""
EMBEDDING = 64

SMALLEST_SPLIT = 1_000
"""Below this, a tenth of the text is too little to judge by and too much to go without."""
LARGEST_HELD_OUT = 1_000_000
"""Characters that settle the figure to a thousandth of a bit; more only take time."""
VALIDATION = 0.1

EVALUATIONS = 20
"""In a run, or in its budget: enough to draw a curve and to stop in time."""
EVALUATION_SHARE = 5
"""Training characters per held-out one between evaluations: reading costs about a third of
learning, so that evaluating takes at most a fifteenth of the time."""

SMALL_TEXT = 300_000
"""Up to here the text says when to stop, not the time: a budget only shortens the run."""
PATIENT_TEXT = 100_000
PATIENT_REACH = 250
PATIENT = Settings(units=512, dropout=0.4, weight_drop=0.5, average=0.99)
"""For a text of which `PATIENT_TEXT` characters or more can be read `PATIENT_REACH` times in a
budget; shorter ones gain nothing from it."""
PATIENT_EPOCHS = 60
REACHES: tuple[tuple[float, Settings], ...] = (
    (1_500_000, Settings(units=128)),
    (30_000_000, Settings(units=256, weight_drop=0.1, average=0.99, weight_decay=0.05)),
    (
        60_000_000,
        Settings(units=384, dropout=0.1, weight_drop=0.3, average=0.998, weight_decay=0.05),
    ),
    (
        math.inf,
        Settings(units=512, batch_size=64, dropout=0.1, weight_drop=0.3, average=0.998, rate=1.3),
    ),
)
"""Settings for longer texts by what a budget lets this machine learn from: up to so many
characters, counted as an LSTM of 256 units would read them."""
MOST_EPOCHS = 60
"""In a budget, for texts that the time ends: more never helped."""
FEW_EPOCHS = 3
"""A text that is not read more often than this is not memorised: dropping and decaying only slow
the learning, and larger steps get further."""
FEW_EPOCHS_RATE = 4 / 3
MANY_EPOCHS = 45
MANY_EPOCHS_DROPOUT, MANY_EPOCHS_WEIGHT_DROP = 0.2, 0.4
"""A text that 512 units read more often than this can do with more of them dropped."""

WEIGHT_COPIES = 5
"""Of the weights in memory, at least: they, their gradients, Adam's two moments, and those that
are exported."""

PRESETS: dict[str, dict[str, Any]] = {
    # The recipe of the usual first tutorial on RNN text generation, to the letter.
    "tutorial": {
        "cell": "rnn",
        "units": 50,
        "layers": 1,
        "activation": "relu",
        "embedding": 0,  # one-hot
        "dropout": 0.0,
        "window": 3,
        "predict": "last",
        "validation": 0.0,
        "epochs": 100,
        "batch_size": 32,  # what `fit` does when it is not told
        "optimizer": "adam",
        "learning_rate": 1e-3,  # Keras' Adam as it comes, in this and the next three
        "beta_2": 0.999,
        "schedule": "constant",
        "clip_norm": 0.0,
        "patience": 0,
        "weight_drop": 0.0,
        "average": 0.0,
        "precision": "float32",
        "random_seed": 7,  # so that a lesson comes out the same for every reader
    }
}


def default_validation(characters: int, options: TrainOptions) -> float | str:
    """The share of the text, or the file, to hold out."""
    value: float | str | None = with_preset(options).get("validation")
    if value is not None:
        return value
    if characters < SMALLEST_SPLIT:
        return 0.0
    return min(VALIDATION, LARGEST_HELD_OUT / characters)


def check_options(options: TrainOptions) -> TrainOptions:
    """Return what the caller chose, numbers as Python's own.

    Raises:
        OptionError: a choice is out of range, whatever the text may be.
    """
    check_validation(options.get("validation", 0.0))
    return cast(
        "TrainOptions", {name: TRAIN_OPTIONS[name].check(value) for name, value in options.items()}
    )


def settle(
    options: TrainOptions,
    text: TextSize,
    *,
    validation: float | str,
    speed: float,
    machine: Callable[[], Machine],
) -> tuple[ModelConfig, TrainConfig]:
    """Settle every choice for a text.

    Args:
        options: what the caller chose, from `check_options`.
        text: how long it is.
        validation: from `default_validation`.
        speed: how many characters a second an LSTM of 256 units would learn from here; it counts
            where a budget was chosen.
        machine: tells what the run computes on; asked last, as it takes seconds to answer.

    Raises:
        OptionError: two choices do not go together.
        TrainingError: the text is too short for what was chosen, or the memory too small.
    """
    chosen = with_preset(options) | {"validation": validation}
    if text.train < 2:
        raise TrainingError(
            f"the text to learn from has {text.train} character(s); training needs at least 2, one "
            "to read and one to predict"
        )
    if text.vocabulary < 2:
        raise TrainingError(
            "the text has only one distinct character, so that there is nothing to predict; give "
            "another text, or a lower --min-count where that has folded the rest"
        )
    rung = next(rung for rung in LADDER if text.characters <= rung.characters)
    last = chosen.get("predict", ModelConfig.predict) == "last"
    if last:
        rung = _for_last(rung, text.characters)
    elif (budget := chosen.get("budget")) is not None:
        rung = _within(rung, text.characters, budget * speed)
    _set_sizes(chosen, rung, last, text)
    model: ModelConfig = _build(ModelConfig, chosen, vocabulary_size=text.vocabulary)
    batch_size: int = chosen["batch_size"]
    _check_length(model, batch_size, text.train)
    check_memory(model, batch_size)
    _set_steps(chosen, model, rung)
    chosen.setdefault("random_seed", int(np.random.SeedSequence().generate_state(1)[0]))
    found = machine()
    precision, reason = found.precision(chosen.pop("precision", "auto"))
    training: TrainConfig = _build(
        TrainConfig,
        chosen,
        evaluate_every=_evaluate_every(chosen, model, text),
        precision=precision,
        precision_reason=reason,
        shards=found.shards(model, batch_size),
    )
    return model, training


def with_preset(options: TrainOptions) -> dict[str, Any]:
    """Return the caller's options, and beside them those of the preset."""
    name = options.get("preset")
    return (PRESETS[name] if name else {}) | dict(options)


def _within(rung: Rung, characters: int, reach: float) -> Rung:
    """The rung for a text of a size, changed for what can be learnt from in the time."""
    if characters <= SMALL_TEXT:
        if characters < PATIENT_TEXT or reach < PATIENT_REACH * characters:
            return rung
        return replace(rung, **asdict(PATIENT), epochs=PATIENT_EPOCHS)
    settings = next(settings for most, settings in REACHES if reach <= most)
    # A step's work grows with the square of the units.
    epochs = reach * min(1, (256 / settings.units) ** 2) / characters
    if epochs > MANY_EPOCHS and settings is REACHES[-1][1]:
        settings = replace(
            settings, dropout=MANY_EPOCHS_DROPOUT, weight_drop=MANY_EPOCHS_WEIGHT_DROP
        )
    if epochs <= FEW_EPOCHS:
        settings = replace(
            settings, dropout=0.0, weight_drop=0.0, weight_decay=0.0, rate=FEW_EPOCHS_RATE
        )
    return replace(rung, **asdict(settings), epochs=MOST_EPOCHS)


def _for_last(rung: Rung, characters: int) -> Rung:
    """The rung for predict last."""
    return replace(
        rung,
        units=min(rung.units, LAST_UNITS),
        window=min(rung.window, LAST_WINDOW),
        epochs=next((epochs for most, epochs in LAST_EPOCHS if characters <= most), 1),
        dropout=min(rung.dropout, LAST_DROPOUT),
        weight_drop=0.0,
        average=0.0,
        weight_decay=0.0,
        rate=LAST_RATE,
    )


def _set_sizes(chosen: dict[str, Any], rung: Rung, last: bool, text: TextSize) -> None:
    for name in ("units", "dropout", "weight_drop", "average", "epochs"):
        chosen.setdefault(name, getattr(rung, name))
    chosen.setdefault("embedding", EMBEDDING if text.vocabulary > EMBEDDING_ABOVE else 0)
    chosen.setdefault("window", min(rung.window, text.train - 1))
    fewest, most = LAST_BATCH_SIZES
    # Fewer streams where a given window leaves no room for the rung's.
    streams = min(rung.batch_size, max(1, (text.train - 1) // chosen["window"]))
    chosen.setdefault("batch_size", max(fewest, min(most, text.train // 100)) if last else streams)


def _set_steps(chosen: dict[str, Any], model: ModelConfig, rung: Rung) -> None:
    optimizer = chosen.get("optimizer", TrainConfig.optimizer)
    rung_decay = rung.weight_decay if model.cell != "rnn" else 0.0  # a plain RNN lost by it
    decay = {"adam": rung_decay, "adamw": ADAMW_DECAY}.get(optimizer, 0.0)
    chosen.setdefault("weight_decay", decay)
    factor = OPTIMIZER_FACTORS.get(optimizer, 1.0)
    # Wider and deeper networks take smaller steps: rates found at 1x256, 1x512 and 2x192.
    size = math.sqrt(min(1, 256 / model.units)) / model.layers
    chosen.setdefault("learning_rate", LEARNING_RATES[model.cell] * factor * size * rung.rate)


def _build(kind: Any, chosen: Mapping[str, Any], **more: Any) -> Any:
    names = [field.name for field in fields(kind) if field.name in chosen]
    return kind(**{name: chosen[name] for name in names}, **more)


def _check_length(model: ModelConfig, batch_size: int, train_characters: int) -> None:
    if train_characters <= model.window:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; a window of "
            f"{model.window:,} needs {model.window + 1:,}: give a longer text, or --window "
            f"{train_characters - 1} or less"
        )
    needed = batch_size * model.window + 1
    if model.predict == "all" and train_characters < needed:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; {batch_size:,} "
            f"streams of {model.window:,} need {needed:,}: give a longer text, or --batch-size "
            f"{(train_characters - 1) // model.window} or less"
        )


def check_memory(model: ModelConfig, batch_size: int) -> None:
    """Refuse what cannot fit, rather than have the system end this process, or others.

    Raises:
        TrainingError: there is less memory than the run takes at least.
    """
    # Of each layer, its gates at each time step of each stream.
    layers = model.layers * (2 if model.bidirectional else 1) * GATES[model.cell] * model.units
    activations = batch_size * model.window * (layers + model.vocabulary_size)
    needed, there = 4 * (WEIGHT_COPIES * parameter_count(model) + activations), memory_bytes()
    if needed > there:
        raise TrainingError(
            f"training this takes {needed / 1e9:,.1f} GB of memory at least, and this machine has "
            f"{there / 1e9:,.1f}: choose fewer --units, --layers or --batch-size, or a shorter "
            "--window"
        )


def _evaluate_every(chosen: Mapping[str, Any], model: ModelConfig, text: TextSize) -> int:
    """Steps between evaluations: a part of an epoch, or a whole number of epochs."""
    epochs: int = chosen["epochs"]
    steps, targets = epoch_size(model.predict, text.train, chosen["batch_size"], model.window)
    if chosen.get("preset") == "tutorial":
        return steps  # tutorials show every epoch
    epoch_share = max(epochs / EVALUATIONS, text.validation * EVALUATION_SHARE / targets)
    if epoch_share < 1:
        return -(-steps // round(1 / epoch_share))
    return min(steps * round(epoch_share), MAX_COUNT)
