"""What a model is, how it is trained and how it is sampled: frozen, checked, JSON in and out.

An option is said once, here: the annotation of its field carries its type, its range, its group
and its help. The checks, the options of the command line, `--help` and the documentation of the
Python functions come from there. Field names are the long names of the command line's options.

Every fixed default stands here and nowhere else; the ones that follow from the text stand in
`chargen.training.defaults`.
"""

import dataclasses
import inspect
import math
import numbers
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypedDict, TypeVar, get_args

from chargen.errors import OptionError

__all__ = [
    "Field",
    "ModelConfig",
    "Option",
    "SampleConfig",
    "SampleOptions",
    "TrainConfig",
    "TrainOptions",
    "check_max_copy",
    "check_network",
    "check_random_seed",
    "check_threads",
    "check_validation",
    "fields_of",
    "parse_duration",
    "takes",
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

UNKNOWNS: tuple[str, ...] = get_args(Unknown)

Group = Literal[
    "where", "prompt", "text", "network", "learning", "stopping", "amount", "drawing",
    "constraints", "records", "machine", "output",
]  # fmt: skip
GROUPS: tuple[Group, ...] = get_args(Group)
"""The groups of options, in the order in which `--help` prints them."""

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
FEWEST_GUARDED = 2
"""Characters in a row that can be forbidden: of one alone nothing would be left."""
REPETITION_GUARD = 24
"""Where no number is given: in prose and plays, fewer than 3 places in 1,000 end a passage of this
length that came in the 10,000 characters before."""
DEFAULT_FOLDER = Path("checkpoints")
"""Where checkpoints are written, and looked for."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Option(NamedTuple):
    """What is said of a field, beside its name, its type and its default."""

    help: str
    group: Group | None = None
    """None where the field cannot be chosen: it follows from others."""
    at_least: int | None = None
    above: int | None = None
    at_most: int | None = None
    below: int | None = None
    wanted: str = ""
    """The range in words, where the bounds alone do not say it."""
    default: str = ""
    """The default in words, where it is not the field's."""
    metavar: str = ""
    short: str = ""
    """The one-letter option."""
    duration: bool = False
    """In seconds, or as text such as 10m."""
    bare: int | None = None
    """The value on the command line where the option is given without one."""

    def words(self) -> str:
        """The range in words."""
        match self.at_least, self.above, self.at_most, self.below:
            case _ if self.wanted:
                return self.wanted
            case low, None, None, None:
                return f"{low:,} or more"
            case low, None, high, None:
                return f"from {low:,} to {high:,}"
            case None, low, None, None:
                return f"above {low:,}"
            case None, low, high, None:
                return f"above {low:,} and at most {high:,}"
            case None, low, None, high:
                return f"between {low:,} and {high:,}"
            case low, _, _, high:
                return f"at least {low:,} and below {high:,}"

    def holds(self, value: float) -> bool:
        """Whether a number is in the range."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


class Field(NamedTuple):
    """All that is known of a field of a configuration."""

    name: str
    kind: Any
    """Without the None that `may_be_none` stands for."""
    may_be_none: bool
    default: Any
    """`dataclasses.MISSING` where there is none."""
    option: Option

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return _flag(self.name)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a field that takes one of a few words."""
        return tuple(value for value in get_args(self.kind) if isinstance(value, str))

    @property
    def given_type(self) -> Any:
        """The type of what a caller may give."""
        given = float | str if self.option.duration else self.kind
        # None is the default where words stand for it, and then need not be given.
        return given | None if self.may_be_none and not self.option.default else given

    @property
    def default_words(self) -> str:
        """What the value is where none is given; empty where there is nothing to say."""
        if self.option.default:
            return self.option.default
        if self.default is None or self.kind is bool:
            return ""
        if self.option.duration:
            return f"{self.default:g}s"
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def documentation(self) -> str:
        """The entry under "Args:" of a docstring."""
        default = f" Default: {self.default_words}." if self.default_words else ""
        return f"{self.name}: {self.option.help}{default}"

    def check(self, given: object) -> Any:
        """The value that was given, numbers as Python's own.

        Raises:
            OptionError: it is of another type, out of range or none of the choices.
        """
        value = _as_python(given)
        if value is None and self.may_be_none:
            return value
        wanted, valid = self._wanted(value)
        if not valid:
            raise OptionError(f"{self.flag} must be {wanted}; found {value!r}")
        return value

    def _wanted(self, value: Any) -> tuple[str, bool]:
        """What a value must be, and whether this one is."""
        option = self.option
        if self.choices:
            return "one of " + ", ".join(self.choices), value in self.choices
        if self.kind is bool:
            return "True or False", isinstance(value, bool)
        if self.kind is int:
            whole = type(value) is int
            if option.at_most == MAX_COUNT and not (whole and value > MAX_COUNT):
                # The bound is of interest to few.
                wanted = f"{'' if whole else 'a whole number, '}{option.at_least:,} or more"
            else:
                wanted = f"a whole number {option.words()}"
            return wanted, whole and option.holds(value)
        if isinstance(value, str):
            return option.words(), value != "" and str in (self.kind, *get_args(self.kind))
        if type(value) not in (int, float) or self.kind is str:
            return option.words(), False
        if not math.isfinite(value):
            return f"{option.words()}, and finite", False
        return option.words(), option.holds(value)


class TrainOptions(TypedDict, total=False):
    """What a caller of `train` may choose, for type checkers, in the order of `--help`."""

    preset: Preset | None
    cell: Cell
    units: int
    layers: int
    bidirectional: bool
    embedding: int
    activation: Activation
    predict: Predict
    window: int
    validation: float | str
    encoding: str
    min_count: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float
    dropout: float
    weight_drop: float
    weight_decay: float
    average: float
    random_seed: int
    epochs: int
    budget: float | str
    patience: int
    save_every: float | str
    precision: Precision
    threads: int


class SampleOptions(TypedDict, total=False):
    """What a caller of `Model.sample` may choose, for type checkers, in the order of `--help`."""

    length: int | None
    stop: str | None
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_guard: int | None


def fields_of(config: type) -> dict[str, Field]:
    """The fields of a configuration by name."""
    found = {}
    for field in dataclasses.fields(config):
        kind, option = get_args(field.type)
        kinds = [each for each in get_args(kind) if each is not type(None)]
        may_be_none = len(kinds) < len(get_args(kind))
        if may_be_none:
            (kind,) = kinds
        found[field.name] = Field(field.name, kind, may_be_none, field.default, option)
    return found


class _NotGiven(str):
    """Words for the default of an option, as a signature shows them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self}>"


def takes(options: Mapping[str, Field]) -> Callable[[Function], Function]:
    """Document a function's `**options` one by one, in its signature and in its docstring."""

    def document(function: Function) -> Function:
        signature = inspect.signature(function)
        *named, _ = signature.parameters.values()
        chosen = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_NotGiven(field.option.default) if field.option.default else field.default,
                annotation=field.given_type,
            )
            for name, field in options.items()
        ]
        function.__dict__["__signature__"] = signature.replace(parameters=[*named, *chosen])
        if function.__doc__:  # python -OO leaves none
            # Lines of up to 88 characters; textwrap would take a millisecond to import.
            lines = (
                "    " + "\n        ".join(re.findall(r"(.{1,88})(?: |$)", field.documentation))
                for field in options.values()
            )
            text = inspect.cleandoc(function.__doc__)
            place = r"^    \*\*options:.*(\n {8}.*)*"
            function.__doc__ = re.sub(place, lambda _: "\n".join(lines), text, flags=re.MULTILINE)
        return function

    return document


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _as_python(value: object) -> Any:
    """A number of another library, such as NumPy's, as Python's own; all else as it is."""
    match value:
        case bool():  # to Python an integer
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
    return value


class _Config:
    """Fields that are Python's own values, to and from JSON objects whose keys are the fields.

    A field that is not there takes its default: one that a later version adds must have a default
    that means what was done before there was a choice.
    """

    def __post_init__(self) -> None:
        for name, field in fields_of(type(self)).items():
            object.__setattr__(self, name, field.check(getattr(self, name)))

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
        fields = fields_of(cls)
        required = {name for name in fields if fields[name].default is dataclasses.MISSING}
        if not isinstance(values, Mapping):
            raise OptionError(f"expected an object; found {values!r}")
        if missing := required - set(values):
            raise OptionError(f"lacks {', '.join(sorted(missing))}")
        if unknown := set(values) - set(fields):
            raise OptionError(f"has unknown fields: {', '.join(sorted(map(str, unknown)))}")
        return cls(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(_Config):
    """The network: everything needed to rebuild it and to use it as it was trained."""

    vocabulary_size: Annotated[
        int, Option("Number of distinct characters.", at_least=1, at_most=0x110000)
    ]
    units: Annotated[
        int,
        Option(
            "Size of each recurrent layer.",
            "network",
            at_least=1,
            at_most=MAX_UNITS,
            default="depends on the text",
        ),
    ]
    window: Annotated[
        int,
        Option(
            "Number of characters that gradients reach back over; with --predict last, also the "
            "number of characters that each prediction is made from.",
            "network",
            at_least=1,
            at_most=MAX_WINDOW,
            default="depends on the text",
        ),
    ]
    cell: Annotated[
        Cell,
        Option(
            "Type of recurrent layer: rnn is the plain one, lstm remembers longest, gru is in "
            "between.",
            "network",
        ),
    ] = "lstm"
    layers: Annotated[
        int,
        Option("Number of stacked recurrent layers.", "network", at_least=1, at_most=MAX_LAYERS),
    ] = 1
    bidirectional: Annotated[
        bool,
        Option("Read each window in both directions; needs --predict last.", "network"),
    ] = False
    embedding: Annotated[
        int,
        Option(
            "Size of the vector learned for each character as its input; 0 uses one-hot vectors.",
            "network",
            at_least=0,
            at_most=MAX_UNITS,
            default="0, or 64 above 256 distinct characters",
        ),
    ] = 0
    # LSTM and GRU keep tanh, which Keras' fast kernels need.
    activation: Annotated[Activation, Option("Activation of the RNN cell.", "network")] = "tanh"
    dropout: Annotated[
        float,
        Option(
            "Share of each recurrent layer's outputs dropped while training, so that the text is "
            "not memorised.",
            "learning",
            at_least=0,
            below=1,
            default="depends on the text",
        ),
    ] = 0.0
    predict: Annotated[
        Predict,
        Option(
            "all: every character of a window predicts the next one, and the state is carried "
            "from window to window; last: each window predicts one character, starting from the "
            "zero state.",
            "network",
        ),
    ] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_network(vars(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(_Config):
    """How a model was trained: enough to do it again and to resume it."""

    epochs: Annotated[
        int,
        Option(
            "Number of passes over the text.",
            "stopping",
            at_least=1,
            at_most=MAX_COUNT,
            default="depends on the text",
        ),
    ]
    batch_size: Annotated[
        int,
        Option(
            "Number of windows learned from at a time; with --predict all, these are parallel "
            "streams of the text.",
            "learning",
            at_least=1,
            at_most=MAX_BATCH_SIZE,
            default="depends on the text",
        ),
    ]
    learning_rate: Annotated[
        float,
        Option(
            "Size of a step, at its peak.",
            "learning",
            above=0,
            default="depends on the cell and the optimizer",
        ),
    ]
    evaluate_every: Annotated[
        int,
        Option(
            "Steps from one evaluation to the next; where they are part of an epoch, one ends it "
            "too.",
            at_least=1,
            at_most=MAX_COUNT,
        ),
    ]
    random_seed: Annotated[
        int,
        Option(
            "Number that randomness starts from: the same number, text, options and machine give "
            "the same model.",
            "learning",
            at_least=0,
            at_most=MAX_SEED,
            default="random",
        ),
    ]
    validation: Annotated[
        float | str,
        Option(
            "What to judge the model by: the last share F of the text, which is held out, or a "
            "file; 0 holds out nothing.",
            "text",
            at_least=0,
            below=1,
            wanted="a share of the text, at least 0 and below 1, or a file",
            metavar="F|FILE",
            default="0.1; less of very long texts, 0 of very short ones",
        ),
    ]
    encoding: Annotated[
        str, Option("Encoding of the texts.", "text", wanted="a name", metavar="NAME")
    ] = "utf-8"
    min_count: Annotated[
        int,
        Option(
            "Fold characters that occur fewer times than this into U+FFFD.",
            "text",
            at_least=1,
            at_most=MAX_COUNT,
        ),
    ] = 1
    optimizer: Annotated[Optimizer, Option("How gradients become steps.", "learning")] = "adam"
    schedule: Annotated[
        Schedule,
        Option(
            "cosine: the learning rate rises for 3 % of the steps, then falls to 2 % of its peak; "
            "constant: it stays the same.",
            "learning",
        ),
    ] = "cosine"
    clip_norm: Annotated[
        float,
        Option(
            "Greatest norm of the gradient over all weights, so that it cannot explode; 0 does not "
            "clip.",
            "learning",
            at_least=0,
            wanted="0 (off) or more",
        ),
    ] = 1.0
    weight_decay: Annotated[
        float,
        Option(
            "Pull the weights towards 0 by this share of the learning rate at each step.",
            "learning",
            at_least=0,
            below=1,
            default="depends on the text and the optimizer",
        ),
    ] = 0.0
    weight_drop: Annotated[
        float,
        Option(
            "Share of each recurrent kernel dropped while training, a new one at each step, so "
            "that the text is not memorised.",
            "learning",
            at_least=0,
            below=1,
            default="depends on the text",
        ),
    ] = 0.0
    average: Annotated[
        float,
        Option(
            "Keep the EMA (exponential moving average) of the weights, in which the past has this "
            "weight at each step; 0 keeps the weights themselves.",
            "learning",
            at_least=0,
            below=1,
            default="depends on the text",
        ),
    ] = 0.0
    precision: Annotated[
        Precision,
        Option(
            "Precision of the operands of matrix products while training; auto is bfloat16 where "
            "the processor has instructions for it, else float32.",
            "machine",
            default="auto",
        ),
    ] = "float32"
    precision_reason: Annotated[
        str | None,
        Option(
            "Why `auto` became that precision; None where it was asked for.", wanted="a sentence"
        ),
    ] = None
    shards: Annotated[
        int,
        Option("Parts of a batch computed side by side.", at_least=1, at_most=MAX_THREADS),
    ] = 1
    budget: Annotated[
        float | None,
        Option(
            "Time that the whole command may take, such as 90s, 10m or 1h30m; the size of the "
            "network and the schedule follow from it and from the speed of this machine.",
            "stopping",
            at_least=SHORTEST_BUDGET,
            wanted=f"{SHORTEST_BUDGET} seconds or more, as start-up alone takes half of that",
            duration=True,
            default="as long as the epochs take",
        ),
    ] = None
    patience: Annotated[
        int,
        Option(
            "Stop after this many evaluations without a better validation figure; 0 never stops.",
            "stopping",
            at_least=0,
            at_most=MAX_COUNT,
        ),
    ] = 5
    beta_2: Annotated[
        float,
        Option(
            "Adam's memory of squared gradients: shorter than usual, for runs of a few thousand "
            "steps.",
            above=0,
            below=1,
        ),
    ] = 0.99
    save_every: Annotated[
        float,
        Option(
            "Save what --resume needs this often, and at each evaluation; a run that is killed "
            "loses no more than this.",
            "stopping",
            at_least=0,
            wanted="0 seconds or more",
            duration=True,
        ),
    ] = 30.0
    preset: Annotated[
        Preset | None,
        Option(
            "A named recipe. tutorial: the textbook's SimpleRNN(50, relu) on windows of 3.",
            "network",
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option(
            "Number of threads that TensorFlow computes with.",
            "machine",
            at_least=1,
            at_most=MAX_THREADS,
            default="one for each core",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_validation(self.validation)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig(_Config):
    """How characters are drawn from a model."""

    length: Annotated[
        int | None,
        Option(
            "Number of characters to write after the prompt.",
            "amount",
            at_least=0,
            at_most=MAX_COUNT,
            short="n",
        ),
    ] = 500
    # Below 1 because a small network spreads too much probability over unlikely characters.
    temperature: Annotated[
        float,
        Option(
            "How freely to draw: below 1 is cautious, 1 is the model's own distribution, above 1 "
            "is daring, and 0 always takes the most likely character.",
            "drawing",
            at_least=0,
            short="t",
        ),
    ] = 0.8
    top_k: Annotated[
        int | None,
        Option(
            "Draw from this many of the most likely characters.",
            "drawing",
            at_least=1,
            at_most=MAX_COUNT,
        ),
    ] = None
    top_p: Annotated[
        float | None,
        Option(
            "Draw from the fewest characters, the most likely first, that together have this "
            "probability.",
            "drawing",
            above=0,
            at_most=1,
        ),
    ] = None
    min_p: Annotated[
        float | None,
        Option(
            "Draw from the characters that are at least this share as likely as the most likely "
            "one.",
            "drawing",
            at_least=0,
            at_most=1,
        ),
    ] = None
    stop: Annotated[
        str | None,
        Option(
            "End a text before this string, however short it is.",
            "amount",
            wanted="at least one character",
            metavar="STRING",
        ),
    ] = None
    repetition_guard: Annotated[
        int | None,
        Option(
            "Never write this many characters in a row a second time: this ends the loops that "
            "low temperatures fall into.",
            "constraints",
            at_least=FEWEST_GUARDED,
            at_most=MAX_COUNT,
            metavar="[N]",
            bare=REPETITION_GUARD,
        ),
    ] = None


def _chosen(options: Any, *configs: type) -> dict[str, Field]:
    fields = {name: field for config in configs for name, field in fields_of(config).items()}
    return {name: fields[name] for name in options.__annotations__}


TRAIN_OPTIONS = _chosen(TrainOptions, ModelConfig, TrainConfig)
"""The fields that a caller of `train` may choose, in the order of `--help`."""
SAMPLE_OPTIONS = _chosen(SampleOptions, SampleConfig)
MAX_COPY = Field(
    "max_copy",
    int,
    False,
    None,
    Option(
        "Never write this many characters or more in a row as they stand in --corpus, so that "
        "nothing the model has memorised is copied.",
        "constraints",
        at_least=FEWEST_GUARDED,
        at_most=MAX_COUNT,
    ),
)
"""An option that comes with a text, and so is of no configuration."""


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
            f"{_flag(field)} must be a duration such as 90s, 10m or 1h; found {value!r}"
        ) from None
    return hours * 3600 + minutes * 60 + seconds


def check_network(options: Mapping[str, Any]) -> None:
    """Refuse options of a network that do not go together; those not given have their defaults."""
    fields = fields_of(ModelConfig)
    cell, activation, bidirectional, predict = (
        options.get(name, fields[name].default)
        for name in ("cell", "activation", "bidirectional", "predict")
    )
    if bidirectional and predict == "all":
        raise OptionError(
            "--bidirectional goes only with --predict last: with --predict all the backward half "
            "would read the very characters it is asked to predict"
        )
    if activation != "tanh" and cell != "rnn":
        raise OptionError(
            f"--activation {activation} goes only with --cell rnn; found --cell {cell}"
        )


def check_max_copy(value: object) -> int:
    """Return the shortest forbidden copy's length, refusing one of which nothing would be left."""
    found: int = MAX_COPY.check(value)
    return found


def check_random_seed(value: object) -> int:
    """Return a random seed, refusing one that is out of range."""
    found: int = TRAIN_OPTIONS["random_seed"].check(value)
    return found


def check_threads(value: object) -> int | None:
    """Return a number of threads, refusing one that is neither None nor what a machine may have."""
    found: int | None = TRAIN_OPTIONS["threads"].check(value)
    return found


def check_validation(value: object) -> None:
    """Refuse a `validation` that is neither a share of the text nor a path."""
    if value == "-":
        raise OptionError("--validation takes a file that can be read again; found standard input")
    TRAIN_OPTIONS["validation"].check(value)
