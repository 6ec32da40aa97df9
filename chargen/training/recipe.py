"""What to train when the user did not say: every default that follows from the text, with reasons.

A choice is taken from the first that has it: the caller's options, the preset, the rung of
`LADDER` for the text's size, the defaults of `chargen.config`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chargen.config import MAX_COUNT, ModelConfig, TrainConfig, TrainOptions, check_validation
from chargen.data.windows import make_windows
from chargen.errors import OptionError, TrainingError

__all__ = ["LADDER", "PRESETS", "REACHES", "Reach", "Rung", "default_validation", "resolve"]


@dataclass(frozen=True)
class Rung:
    """Settings for texts up to a size."""

    characters: float
    """The longest it is for, the held-out part included."""
    units: int
    dropout: float
    epochs: int
    last_epochs: int
    """Of predict last, whose epochs cost a whole window for each character."""
    batch_size: int
    window: int
    weight_drop: float = 0.0
    average: float = 0.0


# Small texts want small networks, held back by dropout, and many epochs of few short windows; large
# ones want as large a network as the machine trains in reasonable time, and few epochs. Measured
# on the shipped corpora and tinyshakespeare, with the stock layers' speed on two cores in mind.
LADDER = (
    # Too little to hold anything out: learnt by heart.
    Rung(999, units=64, dropout=0.0, epochs=100, last_epochs=100, batch_size=1, window=16),
    Rung(3_000, units=64, dropout=0.3, epochs=15, last_epochs=15, batch_size=2, window=32),
    Rung(10_000, units=128, dropout=0.4, epochs=18, last_epochs=12, batch_size=4, window=64),
    Rung(30_000, units=128, dropout=0.4, epochs=20, last_epochs=10, batch_size=8, window=64),
    Rung(300_000, units=128, dropout=0.3, epochs=25, last_epochs=5, batch_size=32, window=64),
    Rung(
        3_000_000,
        units=256,
        dropout=0.0,
        epochs=14,
        last_epochs=2,
        batch_size=32,
        window=64,
        weight_drop=0.2,
    ),
    Rung(30_000_000, units=256, dropout=0.0, epochs=3, last_epochs=1, batch_size=64, window=64),
    # 512 units would learn more from it, and take a day over it with the stock layers.
    Rung(math.inf, units=256, dropout=0.0, epochs=1, last_epochs=1, batch_size=64, window=64),
)

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
"""What AdamW is chosen for; the other optimizers decay nothing unless told to."""
LAST_RATE = 1 / 3
"""Predict last learns from one character a window, so its gradients are noisier."""

LAST_WINDOW = 24
"""Predict last runs a whole window for each character: shorter ones than the rung's."""
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
"""In a run: enough to draw a curve and to stop in time."""
EVALUATION_SHARE = 5
"""Training characters per held-out one between evaluations: reading costs about a third of
learning, so that evaluating takes at most a fifteenth of the time."""


@dataclass(frozen=True)
class Reach:
    """Settings for texts beyond `SMALL_TEXT` by what a budget lets this machine learn from."""

    characters: float
    """The most that an LSTM of 256 units could learn from in the time."""
    units: int
    dropout: float
    weight_drop: float
    average: float


SMALL_TEXT = 300_000
"""Up to here the text says when to stop, not the time: a budget only shortens the run."""
REACHES = (
    Reach(1_500_000, units=128, dropout=0.0, weight_drop=0.0, average=0.0),
    Reach(30_000_000, units=256, dropout=0.0, weight_drop=0.1, average=0.99),
    Reach(60_000_000, units=384, dropout=0.1, weight_drop=0.3, average=0.998),
    Reach(math.inf, units=512, dropout=0.2, weight_drop=0.4, average=0.998),
)
MOST_EPOCHS = 60
"""In a budget, for texts that the time ends: more never helped."""
FEW_EPOCHS = 3
"""A text that is not read more often than this is not learnt by heart: dropping only slows."""

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
    preset = PRESETS.get(options.get("preset") or "", {})
    value = options.get("validation", preset.get("validation"))
    if value is not None:
        check_validation(value)
        return value
    if characters < SMALLEST_SPLIT:
        return 0.0
    return min(VALIDATION, LARGEST_HELD_OUT / characters)


def resolve(
    options: TrainOptions,
    *,
    vocabulary_size: int,
    characters: int,
    train_characters: int,
    validation_characters: int,
    validation: float | str,
    speed: Callable[[], float] | None = None,
) -> tuple[ModelConfig, TrainConfig]:
    """Settle every choice for a text.

    Args:
        options: what the caller chose.
        vocabulary_size: distinct characters.
        characters: of the whole text.
        train_characters: to learn from.
        validation_characters: held out.
        validation: from `default_validation`.
        speed: measures how many characters a second an LSTM of 256 units would learn from on this
            machine; asked where a budget was chosen.

    Raises:
        OptionError: a choice is out of range, or two do not go together.
        TrainingError: the text is too short for what was chosen.
    """
    preset_name = options.get("preset")
    if preset_name is not None and preset_name not in PRESETS:
        raise OptionError(f"--preset must be one of {', '.join(PRESETS)}; found {preset_name!r}")
    chosen: dict[str, Any] = (PRESETS[preset_name] if preset_name else {}) | dict(options)
    chosen["validation"] = validation
    if train_characters < 2:
        raise TrainingError(
            f"the text to learn from has {train_characters} character(s); training needs at "
            "least 2, one to read and one to predict"
        )
    if vocabulary_size < 2:
        raise TrainingError(
            "the text has only one distinct character, so that there is nothing to predict; give "
            "another text, or a lower --min-count where that has folded the rest"
        )
    rung = next(rung for rung in LADDER if characters <= rung.characters)
    last = chosen.get("predict", ModelConfig.predict) == "last"
    if (budget := chosen.get("budget")) is not None and speed is not None and not last:
        rung = _within(rung, characters, budget * speed())
    _set_sizes(chosen, rung, last, vocabulary_size, train_characters)
    model = _build(ModelConfig, chosen, vocabulary_size=vocabulary_size)
    _set_steps(chosen, model)
    chosen.setdefault("precision", "auto")
    chosen.setdefault("random_seed", int(np.random.SeedSequence().generate_state(1)[0]))
    training = _build(TrainConfig, chosen, evaluate_every=1)
    _check_length(model, training, train_characters)
    every = _evaluate_every(model, training, train_characters, validation_characters)
    return model, replace(training, evaluate_every=every)


def _within(rung: Rung, characters: int, reach: float) -> Rung:
    """The rung for a text of a size, changed for what can be learnt from in the time."""
    if characters <= SMALL_TEXT:
        return rung
    settings = next(settings for settings in REACHES if reach <= settings.characters)
    often = reach > FEW_EPOCHS * characters
    return replace(
        rung,
        units=settings.units,
        dropout=settings.dropout if often else 0.0,
        weight_drop=settings.weight_drop if often else 0.0,
        average=settings.average,
        epochs=MOST_EPOCHS,
    )


def _set_sizes(
    chosen: dict[str, Any], rung: Rung, last: bool, vocabulary_size: int, train_characters: int
) -> None:
    chosen.setdefault("units", rung.units)
    chosen.setdefault("dropout", rung.dropout)
    chosen.setdefault("weight_drop", rung.weight_drop)
    chosen.setdefault("average", rung.average)
    chosen.setdefault("embedding", EMBEDDING if vocabulary_size > EMBEDDING_ABOVE else 0)
    chosen.setdefault("epochs", rung.last_epochs if last else rung.epochs)
    window = min(rung.window, LAST_WINDOW) if last else rung.window
    chosen.setdefault("window", min(window, train_characters - 1))
    if last:
        fewest, most = LAST_BATCH_SIZES
        chosen.setdefault("batch_size", max(fewest, min(most, train_characters // 100)))
    elif isinstance(window := chosen["window"], int) and window > 0:
        # Fewer streams where a given window leaves no room for the rung's.
        room = max(1, (train_characters - 1) // window)
        chosen.setdefault("batch_size", min(rung.batch_size, room))
    else:
        chosen.setdefault("batch_size", rung.batch_size)  # and the window will be refused


def _set_steps(chosen: dict[str, Any], model: ModelConfig) -> None:
    if chosen.get("optimizer") == "adamw":
        chosen.setdefault("weight_decay", ADAMW_DECAY)
    factor = OPTIMIZER_FACTORS.get(chosen.get("optimizer", TrainConfig.optimizer), 1.0)
    # Wider and deeper networks take smaller steps: rates found at 1x256, 1x512 and 2x192.
    size = math.sqrt(min(1, 256 / model.units)) / model.layers
    rate = LEARNING_RATES[model.cell] * factor * size
    chosen.setdefault("learning_rate", rate * (LAST_RATE if model.predict == "last" else 1))


def _build(kind: Any, chosen: dict[str, Any], **more: Any) -> Any:
    fields = kind.__dataclass_fields__
    return kind(**{name: chosen[name] for name in fields if name in chosen}, **more)


def _check_length(model: ModelConfig, training: TrainConfig, train_characters: int) -> None:
    if train_characters <= model.window:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; a window of "
            f"{model.window:,} needs {model.window + 1:,}: give a longer text, or --window "
            f"{train_characters - 1} or less"
        )
    needed = training.batch_size * model.window + 1
    if model.predict == "all" and train_characters < needed:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; {training.batch_size:,} "
            f"streams of {model.window:,} need {needed:,}: give a longer text, or --batch-size "
            f"{(train_characters - 1) // model.window} or less"
        )


def _evaluate_every(
    model: ModelConfig, training: TrainConfig, train_characters: int, validation_characters: int
) -> int:
    """Steps between evaluations: a part of an epoch, or a whole number of epochs."""
    # Only the text's length matters: a view of a single zero stands for it.
    windows = make_windows(np.broadcast_to(np.uint8(0), train_characters), model, training)
    if training.preset == "tutorial":
        return windows.steps  # tutorials show every epoch
    epoch_share = max(
        training.epochs / EVALUATIONS,
        validation_characters * EVALUATION_SHARE / windows.targets_per_epoch,
    )
    if epoch_share < 1:
        return -(-windows.steps // round(1 / epoch_share))
    return min(windows.steps * round(epoch_share), MAX_COUNT)
