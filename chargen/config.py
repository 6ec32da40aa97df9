"""What a model is, how it is trained and how it is sampled: frozen, checked, JSON in and out.

An option is declared once, here: the annotation of its field carries its type, its range, its group
and its help. The checks, the options of the command line, `--help` and the documentation of the
Python functions come from there; `chargen.fields` says how. Field names are the long names of the
command line's options.

Every fixed default is here and nowhere else; the ones that follow from the text are in
`chargen.training.defaults`.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, get_args

from chargen.errors import OptionError
from chargen.fields import MAX_COUNT, Config, Field, Option, fields_of

__all__ = [
    "CELLS",
    "DRAWN",
    "LEAKY_RELU_SLOPE",
    "MAX_COUNT",
    "ModelConfig",
    "SampleConfig",
    "SampleOptions",
    "TrainConfig",
    "TrainOptions",
    "check_max_copy",
    "check_network",
    "check_random_seed",
    "check_steps_back",
    "check_threads",
    "check_validation",
    "draw_random_seed",
]

Cell = Literal["rnn", "lstm", "gru"]
Activation = Literal["tanh", "relu", "sigmoid", "leaky_relu"]
Predict = Literal["all", "last"]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Schedule = Literal["cosine", "constant"]
Newlines = Literal["lf", "keep"]
Unknown = Literal["error", "skip", "replace"]
Preset = Literal["tutorial"]
NumberFormat = Literal["float32", "bfloat16"]
Precision = Literal["auto", "float32", "bfloat16"]

CELLS: tuple[Cell, ...] = get_args(Cell)
UNKNOWNS: tuple[str, ...] = get_args(Unknown)
NEWLINES: tuple[str, ...] = get_args(Newlines)

# Sizes beyond these cannot be trained on one machine; as bounds they keep a mistyped option, or a
# checkpoint made to harm, from asking for the machine's whole memory.
MAX_UNITS = 16_384
MAX_LAYERS = 64
MAX_WINDOW = 65_536
MAX_BATCH_SIZE = 65_536
MAX_THREADS = 4096
MAX_WORKERS = 256
MAX_SEED = 2**63 - 1
DRAWN_SEED_BYTES = 4
"""As many as can still be typed in again: ten digits."""
SHORTEST_BUDGET = 10
FEWEST_GUARDED = 2
"""The shortest passage that can be forbidden, in characters: if single characters were, soon none
would be left."""
REPETITION_GUARD = 24
"""The length if no number is given: in prose and plays, fewer than 3 in 1,000 characters complete a
passage of this length that already occurred in the 10,000 characters before."""
LEAKY_RELU_SLOPE = 0.2
"""The slope of leaky_relu below 0, which is the one that Keras uses."""
DRAWN = "drawn"
"""What a run that drew its weights records in the place of the path of another checkpoint."""
DEFAULT_FOLDER = Path("checkpoints")
"""Where checkpoints are written, and looked for."""


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
    newlines: Newlines
    field: str | None
    min_count: int
    keep_ids: bool
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    clip_norm: float
    dropout: float
    weight_drop: float
    weight_decay: float
    average: float
    calibrate: bool
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
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
            default="0, or half of the units above 256 distinct characters",
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
class TrainConfig(Config):
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
            "Peak learning rate: the size of a step.",
            "learning",
            above=0,
            default="depends on the cell and the optimizer",
        ),
    ]
    evaluate_every: Annotated[
        int,
        Option(
            "Number of steps between evaluations; if this is less than an epoch, there is one at "
            "the end of each epoch too.",
            at_least=1,
            at_most=MAX_COUNT,
        ),
    ]
    random_seed: Annotated[
        int,
        Option(
            "Seed of the random number generator: the same number, text, options and machine give "
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
            "What the model is evaluated on: the last share F of the text, which is held out of "
            "training, or a file; 0 holds out nothing.",
            "text",
            at_least=0,
            below=1,
            wanted="a share of the text, at least 0 and below 1, or a file",
            metavar="F|FILE",
            default="0.1; less for a very long text or in a short budget, 0 for a very short text",
        ),
    ]
    encoding: Annotated[
        str, Option("Encoding of the texts.", "text", wanted="a name", metavar="NAME")
    ] = "utf-8"
    # What was trained before there was this field kept its newlines.
    newlines: Annotated[
        Newlines,
        Option(
            "Make CRLF and a lone CR one newline (lf), or keep them as they are.",
            "text",
            default="lf",
        ),
    ] = "keep"
    field: Annotated[
        str | None,
        Option(
            "Read the texts as JSON lines, or as CSV with a header, and take this field of each "
            "record, followed by a newline.",
            "text",
            wanted="a name",
            metavar="NAME",
        ),
    ] = None
    min_count: Annotated[
        int,
        Option(
            "Replace characters that occur fewer times than this with U+FFFD.",
            "text",
            at_least=1,
            at_most=MAX_COUNT,
        ),
    ] = 1
    keep_ids: Annotated[
        bool,
        Option(
            "Keep the file with the ids of a long text when the run is finished, so that later "
            "runs on this text need not encode it again.",
            "text",
        ),
    ] = False
    optimizer: Annotated[
        Optimizer, Option("Algorithm that turns gradients into steps.", "learning")
    ] = "adam"
    schedule: Annotated[
        Schedule,
        Option(
            "cosine: the learning rate rises for a tenth of the steps, then falls to 2 % of its "
            "peak; constant: it stays the same.",
            "learning",
        ),
    ] = "cosine"
    clip_norm: Annotated[
        float,
        Option(
            "Clip the gradient of all weights to this norm, so that it cannot explode; 0 does not "
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
            "Share of each recurrent kernel dropped while training, chosen anew at each step, so "
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
            "Keep the exponential moving average (EMA) of the weights, with this decay at each "
            "step; 0 keeps the weights themselves.",
            "learning",
            at_least=0,
            below=1,
            default="depends on the text",
        ),
    ] = 0.0
    # What was trained before there was this field was not calibrated.
    calibrate: Annotated[
        bool,
        Option(
            "Scale the logits by the one number with which the held-out text is the most likely, "
            "so that the model is as sure of a character as it has reason to be.",
            "learning",
            default="--calibrate",
        ),
    ] = False
    precision: Annotated[
        Precision,
        Option(
            "Precision of the operands of matrix products while training; auto is bfloat16 if the "
            "processor has instructions for it, else float32.",
            "machine",
            default="auto",
        ),
    ] = "float32"
    precision_reason: Annotated[
        str | None,
        Option("Why `auto` became that precision; None if it was asked for.", wanted="a sentence"),
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
            "Stop after this many evaluations without a lower validation loss; 0 never stops.",
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
            "Number of threads to compute with.",
            "machine",
            at_least=1,
            at_most=MAX_THREADS,
            default="one for each core",
        ),
    ] = None
    # What was trained before there was this field may have begun with either.
    init_from: Annotated[
        str | None,
        Option(
            f"The checkpoint whose weights the run began with, as a path from this one; {DRAWN} if "
            "it drew them.",
            wanted="a path",
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_validation(self.validation)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig(Config):
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
            "End a text just before this string would appear, even if the text is then shorter "
            "than --length.",
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


def _select_fields(options: Any, *configs: type) -> dict[str, Field]:
    fields = {name: field for config in configs for name, field in fields_of(config).items()}
    return {name: fields[name] for name in options.__annotations__}


TRAIN_OPTIONS = _select_fields(TrainOptions, ModelConfig, TrainConfig)
"""The fields that a caller of `train` may choose, in the order of `--help`."""
SAMPLE_OPTIONS = _select_fields(SampleOptions, SampleConfig)
MAX_COPY = Field(
    "max_copy",
    int,
    False,
    None,
    Option(
        "Never copy this many consecutive characters from --corpus, so that nothing the model has "
        "memorised is copied.",
        "constraints",
        at_least=FEWEST_GUARDED,
        at_most=MAX_COUNT,
    ),
)
"""An option that needs a text, and so belongs to no configuration."""
STEPS_BACK = Field(
    "steps",
    int,
    False,
    200,  # three times the usual window
    Option(
        "How many steps back to look; fewer if the text is short, or if the network predicts from "
        "shorter windows.",
        "amount",
        at_least=1,
        at_most=10_000,
    ),
)
"""An option of `gradients`, which is about networks that are there."""
WORKERS = Field(
    "workers",
    int,
    True,
    None,
    Option(
        "Number of processes on this machine that train together, with a share of the cores and of "
        "each batch.",
        "machine",
        at_least=1,
        at_most=MAX_WORKERS,
        default="1, or those that TF_CONFIG names",
    ),
)
"""An option of how a run is carried out; another number may resume it."""


def check_network(options: Mapping[str, Any]) -> None:
    """Refuse network options that conflict; options that are not given have their defaults."""
    cell, activation, bidirectional, predict = (
        options.get(name, getattr(ModelConfig, name))
        for name in ("cell", "activation", "bidirectional", "predict")
    )
    if bidirectional and predict == "all":
        raise OptionError(
            "--bidirectional needs --predict last; found --predict all, with which the backward "
            "half would read the characters that it should predict; give --predict last or leave "
            "out --bidirectional"
        )
    if activation != "tanh" and cell != "rnn":
        raise OptionError(
            f"--activation {activation} goes only with --cell rnn; found --cell {cell}; give "
            "--cell rnn or leave out --activation"
        )


def check_max_copy(value: object) -> int:
    """Return the length of the shortest forbidden copy, after checking that it is in range."""
    found: int = MAX_COPY.check(value)
    return found


def check_steps_back(value: object) -> int:
    """Return how many steps back to look, after checking that it is in range."""
    found: int = STEPS_BACK.check(value)
    return found


def check_random_seed(value: object) -> int:
    """Return a random seed, after checking that it is in range."""
    found: int = TRAIN_OPTIONS["random_seed"].check(value)
    return found


def draw_random_seed() -> int:
    """Draw a random seed that is small enough to type in again, for when none is given."""
    return int.from_bytes(os.urandom(DRAWN_SEED_BYTES))


def check_threads(value: object) -> int | None:
    """Return a number of threads, or None, after checking that it is in range."""
    found: int | None = TRAIN_OPTIONS["threads"].check(value)
    return found


def check_validation(value: float | str) -> None:
    """Refuse standard input as the text to hold out: a resumed run must read it again."""
    if value == "-":
        raise OptionError(
            "--validation takes a file that can be read again; found standard input; name a file"
        )
