"""What a model is, how it is trained and how it is sampled: frozen, checked, JSON in and out.

Every fixed default stands here and nowhere else; the ones that follow from the text stand in
`chargen.training.recipe`. Field names are the long names of the command line's options.
"""

import dataclasses
import math
import numbers
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, get_args

from chargen.errors import OptionError

__all__ = [
    "ModelConfig",
    "SampleConfig",
    "TrainConfig",
    "TrainOptions",
    "check_max_copy",
    "check_random_seed",
    "check_threads",
    "check_validation",
    "parse_duration",
]

Cell = Literal["rnn", "lstm", "gru"]
Activation = Literal["tanh", "relu", "sigmoid", "leaky_relu"]
Predict = Literal["all", "last"]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["cosine", "constant"]
Unknown = Literal["error", "skip", "replace"]
Preset = Literal["tutorial"]
NumberFormat = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32", "bfloat16"]

CELLS: tuple[str, ...] = get_args(Cell)
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
PREDICTIONS: tuple[str, ...] = get_args(Predict)
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
SCHEDULES: tuple[str, ...] = get_args(Schedule)
UNKNOWNS: tuple[str, ...] = get_args(Unknown)
PRESET_NAMES: tuple[str, ...] = get_args(Preset)
PRECISIONS: tuple[str, ...] = get_args(Precision)

# Sizes beyond these cannot be trained on one machine; as bounds they keep a mistyped option, or a
# checkpoint made to harm, from asking for the machine's whole memory.
MAX_UNITS = 16_384
MAX_LAYERS = 64
MAX_WINDOW = 65_536
MAX_BATCH_SIZE = 65_536
MAX_COUNT = 10**12  # epochs, steps, characters
MAX_THREADS = 4096
MAX_SEED = 2**63 - 1
SHORTEST_BUDGET = 10
DEFAULT_FOLDER = Path("checkpoints")
"""Where checkpoints are written, and looked for."""


class TrainOptions(TypedDict, total=False):
    """What a caller of `train` may choose; what is not given follows from the text."""

    preset: Preset
    cell: Cell
    units: int
    layers: int
    bidirectional: bool
    embedding: int
    activation: Activation
    dropout: float
    window: int
    predict: Predict
    validation: float | str
    encoding: str
    min_count: int
    epochs: int
    budget: float | str
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float
    weight_decay: float
    weight_drop: float
    average: float
    patience: int
    precision: Precision
    random_seed: int
    save_every: float | str
    threads: int


def _name(field: str) -> str:
    return "--" + field.replace("_", "-")


def _require(condition: bool, field: str, wanted: str, found: object) -> None:
    if not condition:
        raise OptionError(f"{_name(field)} must be {wanted}; found {found!r}")


def _require_integer(field: str, value: object, low: int, high: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    too_high = whole and int(str(value)) > high
    bounded = high < MAX_COUNT or too_high
    wanted = f"a whole number from {low:,} to {high:,}" if bounded else f"{low:,} or more"
    _require(whole and low <= int(str(value)) <= high, field, wanted, value)


def _require_number(field: str, value: object, valid: Callable[[float], bool], wanted: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    finite = number and math.isfinite(float(str(value)))
    if number and not finite:
        wanted = f"{wanted}, and finite"
    _require(finite and valid(float(str(value))), field, wanted, value)


def _as_python(value: object) -> object:
    """A number of another library, such as NumPy's, as Python's own; all else as it is."""
    match value:
        case bool():  # to Python an integer
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
    return value


def _require_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    _require(value in choices, field, "one of " + ", ".join(choices), value)


class _Json:
    """Fields that are Python's own values, to and from JSON objects whose keys are the fields.

    A field that is not there takes its default: one that a later version adds must have a default
    that means what was done before there was a choice.
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, _as_python(value))

    def to_json(self) -> dict[str, Any]:
        """All fields by name, ready for `json.dumps`."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Build from what `to_json` gave.

        Raises:
            OptionError: a field is unknown, of the wrong type or out of range, or one without a
                default is missing.
        """
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        names = {field.name for field in fields}
        required = {field.name for field in fields if field.default is dataclasses.MISSING}
        if not isinstance(values, Mapping):
            raise OptionError(f"expected an object; found {values!r}")
        if missing := required - set(values):
            raise OptionError(f"lacks {', '.join(sorted(missing))}")
        if unknown := set(values) - names:
            raise OptionError(f"has unknown fields: {', '.join(sorted(map(str, unknown)))}")
        return cls(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(_Json):
    """The network: everything needed to rebuild it and to use it as it was trained."""

    vocabulary_size: int
    units: int
    window: int
    """Characters per training window; after `predict="last"` also the length of the context."""
    cell: Cell = "lstm"
    layers: int = 1
    bidirectional: bool = False
    embedding: int = 0
    """Size of the input embedding; 0 is one-hot."""
    activation: Activation = "tanh"
    """Of the rnn cell; lstm and gru keep tanh, which Keras' fast kernels need."""
    dropout: float = 0.0
    """Share of each recurrent layer's outputs dropped while training."""
    predict: Predict = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_integer("vocabulary_size", self.vocabulary_size, 1, 0x110000)
        _require_integer("units", self.units, 1, MAX_UNITS)
        _require_integer("window", self.window, 1, MAX_WINDOW)
        _require_choice("cell", self.cell, CELLS)
        _require_integer("layers", self.layers, 1, MAX_LAYERS)
        found = self.bidirectional
        _require(isinstance(found, bool), "bidirectional", "True or False", found)
        _require_integer("embedding", self.embedding, 0, MAX_UNITS)
        _require_choice("activation", self.activation, ACTIVATIONS)
        _require_number("dropout", self.dropout, lambda x: 0 <= x < 1, "at least 0 and below 1")
        _require_choice("predict", self.predict, PREDICTIONS)
        if self.bidirectional and self.predict == "all":
            raise OptionError(
                "--bidirectional goes only with --predict last: with --predict all the backward "
                "half would read the very characters it is asked to predict"
            )
        if self.activation != "tanh" and self.cell != "rnn":
            raise OptionError(
                f"--activation {self.activation} goes only with --cell rnn; "
                f"found --cell {self.cell}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(_Json):
    """How a model was trained: enough to do it again and to go on with it."""

    epochs: int
    batch_size: int
    learning_rate: float
    evaluate_every: int
    """Steps from one evaluation to the next; where they are part of an epoch, one ends it too."""
    random_seed: int
    validation: float | str
    """Share of the text's end that is held out, or the path of a file that is."""
    encoding: str = "utf-8"
    min_count: int = 1
    optimizer: Optimizer = "adam"
    schedule: Schedule = "cosine"
    clip_norm: float = 1.0
    """Longest the gradient, over all weights together, may be; 0 does not clip."""
    weight_decay: float = 0.0
    weight_drop: float = 0.0
    """Share of each recurrent kernel dropped while training, anew each step."""
    average: float = 0.0
    """Weight of the past in the running average of the weights, a step; 0 averages nothing."""
    precision: Precision = "float32"
    """Of the products' operands while training."""
    precision_reason: str | None = None
    """Why `auto` became that precision; None where it was asked for."""
    shards: int = 1
    """Parts of a batch that are computed side by side."""
    budget: float | None = None
    """Seconds that the whole run may take, start-up included; None is as long as it needs."""
    patience: int = 5
    """Evaluations without a better validation figure before training stops; 0 never does."""
    beta_2: float = 0.99
    """Adam's memory of squared gradients: shorter than usual, for runs of a few thousand steps."""
    save_every: float = 30.0
    """Seconds between two savings of what a run needs to go on: what a killed one loses at most."""
    preset: Preset | None = None
    threads: int | None = None
    """That TensorFlow computes with; None is one for each core."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_integer("epochs", self.epochs, 1, MAX_COUNT)
        _require_integer("batch_size", self.batch_size, 1, MAX_BATCH_SIZE)
        _require_number("learning_rate", self.learning_rate, lambda x: x > 0, "above 0")
        _require_integer("evaluate_every", self.evaluate_every, 1, MAX_COUNT)
        _require_integer("random_seed", self.random_seed, 0, MAX_SEED)
        check_validation(self.validation)
        _require(isinstance(self.encoding, str), "encoding", "a name", self.encoding)
        _require_integer("min_count", self.min_count, 1, MAX_COUNT)
        _require_choice("optimizer", self.optimizer, OPTIMIZERS)
        _require_choice("schedule", self.schedule, SCHEDULES)
        _require_number("clip_norm", self.clip_norm, lambda x: x >= 0, "0 (off) or more")
        _require_number("weight_decay", self.weight_decay, lambda x: 0 <= x < 1, "0 to 1")
        below_1 = "at least 0 and below 1"
        _require_number("weight_drop", self.weight_drop, lambda x: 0 <= x < 1, below_1)
        _require_number("average", self.average, lambda x: 0 <= x < 1, below_1)
        _require_choice("precision", self.precision, PRECISIONS)
        if self.precision_reason is not None:
            found = self.precision_reason
            _require(isinstance(found, str), "precision_reason", "a sentence", found)
        if self.budget is not None:
            wanted = f"{SHORTEST_BUDGET} seconds or more, as start-up alone takes half of that"
            _require_number("budget", self.budget, lambda x: x >= SHORTEST_BUDGET, wanted)
        _require_number("save_every", self.save_every, lambda x: x >= 0, "0 seconds or more")
        _require_integer("shards", self.shards, 1, MAX_THREADS)
        _require_integer("patience", self.patience, 0, MAX_COUNT)
        _require_number("beta_2", self.beta_2, lambda x: 0 < x < 1, "between 0 and 1")
        if self.preset is not None:
            _require_choice("preset", self.preset, PRESET_NAMES)
        check_threads(self.threads)


def parse_duration(value: object, field: str) -> float:
    """Seconds from a number of them, or from text such as 90s, 10m, 1.5h, 1h30m.

    Raises:
        OptionError: it is neither.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s?)?", str(value).strip())
    try:
        if match is None or not any(match.groups()):
            raise ValueError
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
    except ValueError:
        raise OptionError(
            f"{_name(field)} must be a duration such as 90s, 10m or 1h; found {value!r}"
        ) from None
    return hours * 3600 + minutes * 60 + seconds


def check_max_copy(value: object) -> None:
    """Refuse a length of copies of which nothing would be left."""
    _require_integer("max_copy", value, FEWEST_GUARDED, MAX_COUNT)


def check_random_seed(value: object) -> None:
    """Refuse a random seed that is out of range."""
    _require_integer("random_seed", _as_python(value), 0, MAX_SEED)


def check_threads(value: object) -> None:
    """Refuse a number of threads that is neither None nor one that a machine may have."""
    if value is not None:
        _require_integer("threads", value, 1, MAX_THREADS)


def check_validation(value: object) -> None:
    """Refuse a `validation` that is neither a share of the text nor a path."""
    if value == "-":
        raise OptionError("--validation takes a file that can be read again; found standard input")
    if not (isinstance(value, str) and value):
        wanted = "a share of the text, at least 0 and below 1, or a file"
        _require_number("validation", value, lambda x: 0 <= x < 1, wanted)


FEWEST_GUARDED = 2
"""Characters in a row that can be forbidden: of one alone nothing would be left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig(_Json):
    """How characters are drawn from a model."""

    length: int | None = 500
    """Characters to write after the seed; None goes on for ever."""
    temperature: float = 0.8
    """Divides the logits: 0 is greedy, 1 the model's own distribution. Below 1 by default because
    a small network spreads too much probability over unlikely characters."""
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    stop: str | None = None
    repetition_guard: int | None = None
    """Characters in a row that must not come a second time; None lets them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length is not None:
            _require_integer("length", self.length, 0, MAX_COUNT)
        _require_number("temperature", self.temperature, lambda x: x >= 0, "0 or more")
        if self.top_k is not None:
            _require_integer("top_k", self.top_k, 1, MAX_COUNT)
        if self.top_p is not None:
            _require_number("top_p", self.top_p, lambda x: 0 < x <= 1, "above 0 and at most 1")
        if self.min_p is not None:
            _require_number("min_p", self.min_p, lambda x: 0 <= x <= 1, "from 0 to 1")
        if self.repetition_guard is not None:
            _require_integer("repetition_guard", self.repetition_guard, FEWEST_GUARDED, MAX_COUNT)
        _require(self.stop is None or len(self.stop) > 0, "stop", "at least one character", "none")
