"""Every default of training that follows from the text or the budget, with its reasons.

A value comes from the first of these that has one: the caller's options, the preset, the rung of
`LADDER` for the text's size, and the defaults in `chargen.config`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, cast

from chargen.config import (
    MAX_COUNT,
    TRAIN_OPTIONS,
    ModelConfig,
    TrainConfig,
    TrainOptions,
    check_validation,
    draw_random_seed,
)
from chargen.data.windows import epoch_size
from chargen.training.limits import TextSize, check_length, check_memory, check_text
from chargen.training.machine import Machine

__all__ = [
    "EVALUATIONS",
    "LADDER",
    "MANY_KINDS",
    "PRESETS",
    "REACHES",
    "Rung",
    "Settings",
    "check_options",
    "default_validation",
    "settle",
    "with_preset",
]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that follow from the amount of text that a run learns from."""

    units: int
    batch_size: int = 32
    dropout: float = 0.0
    weight_drop: float = 0.0
    average: float = 0.0
    weight_decay: float = 0.0
    """For Adam; AdamW has its own value, and the other optimizers have none."""
    rate_factor: float = 1.0
    """A factor on `LEARNING_RATES`."""


HIGH_RATE = 4 / 3
"""A factor on the learning rate where little is dropped. With much, a plain step is safer: dropped
weights make the others larger, and the gradients explode sooner."""


@dataclass(frozen=True, kw_only=True)
class Rung(Settings):
    """Settings for texts up to a certain length."""

    characters: float
    """The longest text that it is for, in characters, the held-out part included."""
    epochs: int
    window: int = 64


# Small texts need a lot of dropout, and many epochs of few short windows. Large texts need few
# epochs, and as large a network as the machine trains in reasonable time. The values were measured
# on the corpora of this project, parts of them, tinyshakespeare and Python's own source; the table
# is in benchmarks/STUDY.md.
LADDER = (
    # There is too little text to hold any of it out, so it is memorised.
    Rung(characters=999, units=64, epochs=100, batch_size=1, window=16),
    Rung(
        characters=3_000, units=64, epochs=30, batch_size=2, window=32,
        dropout=0.3, weight_drop=0.3, average=0.95,
    ),
    Rung(
        characters=10_000, units=128, epochs=40, batch_size=4,
        dropout=0.5, weight_drop=0.5, average=0.98,
    ),
    Rung(
        characters=30_000, units=256, epochs=40, batch_size=8,
        dropout=0.4, weight_drop=0.6, average=0.98,
    ),
    Rung(characters=100_000, units=256, epochs=60, dropout=0.3, weight_drop=0.6, average=0.99),
    Rung(characters=300_000, units=384, epochs=50, dropout=0.3, weight_drop=0.5, average=0.99),
    Rung(
        characters=3_000_000, units=512, epochs=15, batch_size=64,
        dropout=0.1, weight_drop=0.3, average=0.998, rate_factor=HIGH_RATE,
    ),
    Rung(
        characters=30_000_000, units=512, epochs=2, batch_size=64,
        weight_drop=0.1, average=0.998, rate_factor=HIGH_RATE,
    ),
    Rung(
        characters=math.inf, units=512, epochs=1, batch_size=64,
        average=0.998, rate_factor=HIGH_RATE,
    ),
)  # fmt: skip

# The peak learning rate, with Adam and up to 256 units.
LEARNING_RATES = {
    # Gates damp what a high rate does over many time steps; a plain RNN has none.
    "lstm": 2.4e-2,
    "gru": 1.6e-2,
    "rnn": 8e-3,
}
OPTIMIZER_FACTORS = {
    "adam": 1.0,
    "adamw": 1.0,
    "rmsprop": 0.25,  # its steps are as long as Adam's, but less smooth
    "sgd": 50.0,  # its steps are as long as the gradient, which is clipped to a norm of 1
}
RNN_WEIGHT_DROP = 0.1
"""The most weight drop of a plain RNN, which has no cell state to remember by, but only the weights
that are dropped. Weight decay made it worse too, and it has none."""
ADAMW_DECAY = 0.05
"""The default weight decay with AdamW, which is chosen for its decay."""
LAST_RATE_FACTOR = 1 / 3
"""The factor on the learning rate for `predict="last"`. Each window has one target there, so the
gradients are noisier."""

LAST_WINDOW = 24
"""The longest window for `predict="last"`, which reads a whole window for each target."""
LAST_UNITS = 128
LAST_DROPOUT = 0.4
"""The most units and dropout for `predict="last"`, as it learns more slowly and in fewer epochs."""
LAST_EPOCHS = (
    (999, 100),
    (3_000, 15),
    (10_000, 12),
    (30_000, 10),
    (300_000, 5),
    (3_000_000, 2),
    (math.inf, 1),
)
"""Epochs for `predict="last"`, by the longest text in characters."""
LAST_BATCH_SIZES = (8, 128)
"""The smallest and the largest batch for `predict="last"`; between them it is a hundredth of the
text. A window has one target, so a step needs many windows to be worth its overhead, while a short
text needs a fair number of steps."""

EMBEDDING_ABOVE = 256
"""The number of distinct characters above which an embedding is used: one-hot inputs then cost more
than they are worth."""
EMBEDDING_SHARE = 2
"""What the units are divided by for the size of an embedding. A larger one learns more in as many
steps, and as much in the same time."""

SMALLEST_SPLIT = 1_000
"""The shortest text of which a part is held out. A tenth of a shorter one is too little to judge
by, and too much to do without."""
LARGEST_HELD_OUT = 1_000_000
"""The most characters to hold out. They determine the loss to a thousandth of a bit; more would
only take time."""
FEWEST_HELD_OUT = 10_000
"""The characters that are held out of a long text even if a budget allows fewer."""
HELD_OUT_OF_REACH = 0.15
"""The most characters to hold out with a budget, as a share of those that it lets the run learn
from. Scoring takes a third of the time of learning, so that one evaluation takes a twentieth of the
budget."""
VALIDATION = 0.1

EVALUATIONS = 20
"""How many evaluations a run or its budget has: enough to draw a curve and to stop early."""
TRAINED_PER_HELD_OUT = 5
"""The fewest characters to learn from between evaluations, for each held-out character. Reading
takes about a third of the time of learning, so evaluations take at most a fifteenth."""

STARTUP_SECONDS = 10
"""The part of a budget in which nothing is learned: TensorFlow is loaded, XLA compiles, and at the
end the held-out part is read."""
SMALL_TEXT = 300_000
"""Up to this length the text determines when to stop, and a budget can only shorten the run."""
SHORT_READINGS: tuple[tuple[float, Settings | None], ...] = (
    (8, Settings(units=128, batch_size=16, average=0.98)),
    (45, Settings(units=128, batch_size=16, dropout=0.2, weight_drop=0.2, average=0.98)),
    (160, Settings(units=256, dropout=0.2, weight_drop=0.3, average=0.99)),
    (math.inf, None),
)
"""Settings for a small text in a short budget, by the most epochs that an LSTM of 256 units could
read of it; None means those that the text has without a budget. A small network that has read a
text twenty times knows more of it than a large one that has read it five times, and needs less
dropout."""
SHORTENED_ABOVE = 10_000
"""The longest text that keeps its settings in a short budget: its network is small already."""
GENEROUS_TEXT = 100_000
GENEROUS_EPOCHS = 60
GENEROUS_REACH = 250
GENEROUS = Settings(units=512, dropout=0.4, weight_drop=0.5, average=0.99)
"""Settings for a small text of at least `GENEROUS_TEXT` characters, if the budget allows an LSTM of
256 units to read it at least `GENEROUS_REACH` times: a step of 512 units is four times the work, so
`GENEROUS_EPOCHS` with them take as long as 240 with 256. Shorter texts gain nothing from them."""
REACHES: tuple[tuple[float, Settings], ...] = (
    (1_500_000, Settings(units=128)),
    (
        30_000_000,
        Settings(
            units=256, weight_drop=0.1, average=0.99, weight_decay=0.02, rate_factor=HIGH_RATE
        ),
    ),
    (
        60_000_000,
        Settings(units=384, dropout=0.1, weight_drop=0.3, average=0.998, weight_decay=0.02),
    ),
    (
        math.inf,
        Settings(
            units=512,
            batch_size=64,
            dropout=0.1,
            weight_drop=0.3,
            average=0.998,
            rate_factor=HIGH_RATE,
        ),
    ),
)
"""Settings for longer texts, by the reach of the budget: the most characters that an LSTM of 256
units could learn from on this machine in that time, repeated ones included."""
LARGE_VOCABULARY = 2_100
"""The number of distinct characters at which the output layer and the loss take about as long as
the rest of an LSTM of 256 units. With AMX, one core took 75 ms for them with 2,048 rows and 5,387
characters, and about 30 ms for the rest."""
MANY_KINDS = 60
"""The perplexity of the characters above which each says so much, and most are so rare, that a text
is soon memorised: Chinese, Japanese and Korean, unless half of it is markup."""
MANY_KINDS_RATE = 1 / 2
"""The factor on the learning rate for such a text, however often it is read: most of its characters
are rare, and what little is seen of them is learned better in short steps."""
MANY_KINDS_READINGS: tuple[tuple[float, Settings], ...] = (
    (8, Settings(units=256, dropout=0.2, average=0.98, weight_decay=0.05)),
    (25, Settings(units=256, dropout=0.4, weight_drop=0.1, average=0.99, weight_decay=0.2)),
    (math.inf, Settings(units=384, dropout=0.6, weight_drop=0.3, average=0.99, weight_decay=0.2)),
)
"""Settings for such a text, by the most epochs that an LSTM of 256 units could read of it."""
SMALL_MANY_KINDS_READINGS: tuple[tuple[float, Settings], ...] = (
    (
        100,
        Settings(
            units=256, batch_size=16, dropout=0.4, weight_drop=0.3, average=0.99, weight_decay=0.2
        ),
    ),
    (math.inf, Settings(units=384, dropout=0.6, weight_drop=0.5, average=0.99, weight_decay=0.3)),
)
"""The same for a small text that is longer than `SMALLEST_MANY_KINDS`, if that network could read
it more than `FEW_SMALL_READINGS` times."""
SMALLEST_MANY_KINDS = 30_000
FEW_SMALL_READINGS = 5
MOST_EPOCHS = 60
"""The most epochs of a longer text within a budget; more never helped."""
FEW_EPOCHS = 3
"""The most epochs in which a text is not memorised. Dropout and decay would only slow the
learning."""
MANY_EPOCHS = 45
MANY_EPOCHS_SETTINGS = replace(
    REACHES[-1][1], dropout=0.2, weight_drop=0.4, rate_factor=HIGH_RATE / 2
)
"""With more than `MANY_EPOCHS` epochs, a network of 512 units is better with more dropout. At twice
this rate it then diverged after 27 epochs of 60."""

PRESETS: dict[str, dict[str, Any]] = {
    # Exactly what the usual first tutorial on RNN text generation does.
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
        "batch_size": 32,  # the default of Keras' `fit`
        "optimizer": "adam",
        "learning_rate": 1e-3,  # this and the next three are the defaults of Keras' Adam
        "beta_2": 0.999,
        "schedule": "constant",
        "clip_norm": 0.0,
        "patience": 0,
        "weight_drop": 0.0,
        "average": 0.0,
        "calibrate": False,
        "precision": "float32",
        "random_seed": 7,  # fixed, so that every reader sees the same result
    }
}


def default_validation(
    characters: int, options: TrainOptions, *, vocabulary: int, throughput: float
) -> float | str:
    """Return the share of the text to hold out, or the file to judge by.

    Args:
        characters: the length of the text.
        options: what the caller chose.
        vocabulary: how many distinct characters there are.
        throughput: as in `settle`.
    """
    chosen = with_preset(options)
    value: float | str | None = chosen.get("validation")
    if value is not None:
        return value
    if characters < SMALLEST_SPLIT:
        return 0.0
    most = LARGEST_HELD_OUT
    if (budget := chosen.get("budget")) is not None:
        allowed = round(HELD_OUT_OF_REACH * _reach(budget, throughput, vocabulary))
        most = min(most, max(FEWEST_HELD_OUT, allowed))
    return min(VALIDATION, most / characters)


def check_options(options: TrainOptions) -> TrainOptions:
    """Return what the caller chose, with numbers of other libraries turned into Python's own.

    Raises:
        OptionError: an option is out of range, whatever the text may be.
    """
    checked = {name: TRAIN_OPTIONS[name].check(value) for name, value in options.items()}
    check_validation(checked.get("validation", 0.0))
    return cast("TrainOptions", checked)


def settle(
    options: TrainOptions,
    text: TextSize,
    *,
    validation: float | str,
    throughput: float,
    machine: Callable[[], Machine],
    workers: int = 1,
    initial: TrainConfig | None = None,
) -> tuple[ModelConfig, TrainConfig]:
    """Return the whole configuration of a run.

    Args:
        options: what the caller chose, from `check_options`.
        text: the sizes of the text.
        validation: the share or the file to hold out, from `default_validation`.
        throughput: how many characters per second an LSTM of 256 units learns from on this machine;
            it matters if there is a budget.
        machine: describes this machine. It is called last, because it takes seconds.
        workers: how many processes train together, each of which needs an equal part of a batch.
        initial: how the network was trained that the run begins with; None if it begins anew.

    Raises:
        OptionError: two options conflict.
        TrainingError: the text is too short for the options, or the memory is too small.
    """
    chosen = with_preset(options) | {"validation": validation}
    check_text(text)
    rung = next(rung for rung in LADDER if text.characters <= rung.characters)
    last = chosen.get("predict", ModelConfig.predict) == "last"
    if last:
        rung = _for_last(rung, text.characters)
    elif (budget := chosen.get("budget")) is not None:
        rung = _within(rung, text, _reach(budget, throughput, text.vocabulary))
    else:
        rung = _for_many_kinds(rung, text, math.inf)
    if chosen.get("cell", ModelConfig.cell) == "rnn":
        drop = min(rung.weight_drop, RNN_WEIGHT_DROP)
        rung = replace(rung, weight_drop=drop, weight_decay=0.0)
    if initial is not None:
        # With more than the network has learned to do without, it forgets what it knows. Half the
        # rate would be too little to learn a text unlike the old one, and twice the rate would
        # forget what helps with one like it. Patience ends a run that needs few of its epochs.
        rung = replace(rung, weight_drop=min(rung.weight_drop, initial.weight_drop))
    _set_sizes(chosen, rung, last, text, workers)
    model: ModelConfig = _build(ModelConfig, chosen, vocabulary_size=text.vocabulary)
    batch_size: int = chosen["batch_size"]
    check_length(model, batch_size, text.train)
    check_memory(model, batch_size)
    _set_steps(chosen, model, rung)
    chosen.setdefault("calibrate", True)
    chosen.setdefault("random_seed", draw_random_seed())
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
    """Return the options of the caller's preset, overridden by the caller's own."""
    name = options.get("preset")
    return (PRESETS[name] if name else {}) | dict(options)


def _reach(budget: float, throughput: float, vocabulary: int) -> float:
    """Return how many characters an LSTM of 256 units could learn from in the time of a budget.

    Args:
        budget: the time, in seconds.
        throughput: characters per second, if there were few distinct ones.
        vocabulary: how many distinct ones there are.
    """
    return max(0, budget - STARTUP_SECONDS) * throughput / (1 + vocabulary / LARGE_VOCABULARY)


def _within(rung: Rung, text: TextSize, reach: float) -> Rung:
    """Return a rung changed for the reach of a budget.

    Args:
        rung: the settings without a budget.
        text: the sizes of the text.
        reach: how many characters an LSTM of 256 units could learn from.
    """
    characters = text.characters
    readings = reach / characters
    if characters <= SMALL_TEXT:
        short = _row(SHORT_READINGS, readings)
        if short and characters > SHORTENED_ABOVE:
            rung = replace(rung, **asdict(short), epochs=MOST_EPOCHS)
        elif characters >= GENEROUS_TEXT and readings >= GENEROUS_REACH:
            rung = replace(rung, **asdict(GENEROUS), epochs=GENEROUS_EPOCHS)
        return _for_many_kinds(rung, text, readings)
    settings = _row(REACHES, reach)
    # A step's work grows with the square of the units.
    epochs = readings * min(1, (256 / settings.units) ** 2)
    if epochs > MANY_EPOCHS and settings is REACHES[-1][1]:
        settings = MANY_EPOCHS_SETTINGS
    if epochs <= FEW_EPOCHS:
        settings = replace(
            settings, dropout=0.0, weight_drop=0.0, weight_decay=0.0, rate_factor=HIGH_RATE
        )
    rung = replace(rung, **asdict(settings), epochs=MOST_EPOCHS)
    return _for_many_kinds(rung, text, readings)


def _for_many_kinds(rung: Rung, text: TextSize, readings: float) -> Rung:
    """Return a rung changed for its text if that has many kinds of characters.

    Args:
        rung: the settings for other texts.
        text: the sizes of the text.
        readings: how often an LSTM of 256 units could read it; infinity without a budget.
    """
    if text.perplexity <= MANY_KINDS:
        return rung
    if text.characters > SMALL_TEXT:
        table, fewest = MANY_KINDS_READINGS, FEW_EPOCHS
    else:
        table, fewest = SMALL_MANY_KINDS_READINGS, FEW_SMALL_READINGS
    if min(readings, rung.epochs) > fewest and text.characters > SMALLEST_MANY_KINDS:
        rung = replace(rung, **asdict(_row(table, readings)))
    return replace(rung, rate_factor=MANY_KINDS_RATE)


def _row(table: Iterable[tuple[float, T]], size: float) -> T:
    """Return the first row of a table that is for sizes up to `size` or more."""
    return next(row for most, row in table if size <= most)


def _for_last(rung: Rung, characters: int) -> Rung:
    """Return a rung changed for `predict="last"`."""
    return replace(
        rung,
        units=min(rung.units, LAST_UNITS),
        window=min(rung.window, LAST_WINDOW),
        epochs=_row(LAST_EPOCHS, characters),
        dropout=min(rung.dropout, LAST_DROPOUT),
        weight_drop=0.0,
        average=0.0,
        weight_decay=0.0,
        rate_factor=LAST_RATE_FACTOR,
    )


def _set_sizes(
    chosen: dict[str, Any], rung: Rung, last: bool, text: TextSize, workers: int
) -> None:
    for name in ("units", "dropout", "weight_drop", "average", "epochs"):
        chosen.setdefault(name, getattr(rung, name))
    embedding = math.ceil(chosen["units"] / EMBEDDING_SHARE)
    chosen.setdefault("embedding", embedding if text.vocabulary > EMBEDDING_ABOVE else 0)
    chosen.setdefault("window", min(rung.window, text.train - 1))
    fewest, most = LAST_BATCH_SIZES
    # There are fewer streams than the rung's if a chosen window is too long for so many.
    streams = min(rung.batch_size, max(1, (text.train - 1) // chosen["window"]))
    streams = max(1, streams // workers) * workers
    chosen.setdefault("batch_size", max(fewest, min(most, text.train // 100)) if last else streams)


def _set_steps(chosen: dict[str, Any], model: ModelConfig, rung: Rung) -> None:
    optimizer = chosen.get("optimizer", TrainConfig.optimizer)
    decay = {"adam": rung.weight_decay, "adamw": ADAMW_DECAY}.get(optimizer, 0.0)
    chosen.setdefault("weight_decay", decay)
    factor = OPTIMIZER_FACTORS.get(optimizer, 1.0)
    # Wider and deeper networks need smaller steps; the rates were found at 1x256, 1x512 and 2x192.
    size = math.sqrt(min(1, 256 / model.units)) / model.layers
    rate = LEARNING_RATES[model.cell] * factor * size * rung.rate_factor
    chosen.setdefault("learning_rate", rate)


def _build(kind: Any, chosen: Mapping[str, Any], **more: Any) -> Any:
    names = [field.name for field in fields(kind) if field.name in chosen]
    return kind(**{name: chosen[name] for name in names}, **more)


def _evaluate_every(chosen: Mapping[str, Any], model: ModelConfig, text: TextSize) -> int:
    """Return the steps between evaluations: a fraction of an epoch, or whole epochs."""
    epochs: int = chosen["epochs"]
    steps, targets = epoch_size(model.predict, text.train, chosen["batch_size"], model.window)
    if chosen.get("preset") == "tutorial":
        return steps  # a tutorial shows every epoch
    epoch_share = max(epochs / EVALUATIONS, text.validation * TRAINED_PER_HELD_OUT / targets)
    if epoch_share < 1:
        return -(-steps // round(1 / epoch_share))
    return min(steps * round(epoch_share), MAX_COUNT)
