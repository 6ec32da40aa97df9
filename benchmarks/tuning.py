"""What each tuning constant gives: with it as it is, and with another value, in turns.

    python benchmarks/tuning.py [--only reading sampling scoring training] [--rows PART ...]
    python benchmarks/tuning.py --quick     # to see whether every row works

A ratio above 1 means that the constant is better as it is than the other value, by that much; the
lowest and the highest of all rounds stand beside it. Rows of `training` run in processes of their
own, since some settings are made once in a process, and take half a minute each round.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from harness import parser, rate, save, table
from models import make_config, make_model, read_vocabulary

READING = "chargen.network.reading"
NETWORK = "chargen.network.network"
LAYERS = "chargen.network.layers"
CELLS = "chargen.network.cells"
WRITING = "chargen.sampling.generate"
SCORING = "chargen.scoring.score"
PRODUCTS = "chargen.models.products"
LOSS = "chargen.models.loss"
SHARDS = "chargen.training.machine"
LOOP = "chargen.training.loop"
RUNTIME = "chargen.training.runtime"

PLACES: dict[str, list[tuple[str, str]]] = {
    "BLOCK_STEPS of reading": [(READING, "BLOCK_STEPS"), (SCORING, "BLOCK_STEPS")],
    "BLOCK_FLOATS": [(READING, "BLOCK_FLOATS")],
    "MOST_WINDOWS": [(READING, "MOST_WINDOWS")],
    "StaggeredReading": [(READING, "StaggeredReading")],
    "WINDOWS": [(NETWORK, "WINDOWS")],
    "WINDOW_FLOATS": [(NETWORK, "WINDOW_FLOATS")],
    "TRANSPOSED_BYTES": [(LAYERS, "TRANSPOSED_BYTES")],
    "joined kernels": [(CELLS, "LSTM.joinable"), (CELLS, "RNN.joinable")],
    "row views": [(LAYERS, "FirstLayer.row_views")],
    "alignment": [(CELLS, "aligned"), (LAYERS, "aligned")],
    "constants as arrays": [(CELLS, "_HALF")],
    "BLAS threads": [(WRITING, "exact_threads_for")],
    "CHUNK_SIZES_ALONE": [(WRITING, "CHUNK_SIZES_ALONE")],
    "CHUNK_SIZES_TOGETHER": [(WRITING, "CHUNK_SIZES_TOGETHER")],
    "STOP_DIVISOR": [(WRITING, "STOP_DIVISOR")],
    "NOISE_FLOATS": [(WRITING, "NOISE_FLOATS")],
    "MOST_TOGETHER": [(WRITING, "MOST_TOGETHER")],
    "FEWEST_TOGETHER": [(WRITING, "FEWEST_TOGETHER")],
    "MOST_WRITERS": [(WRITING, "MOST_WRITERS")],
    "WRITER_BYTES": [(WRITING, "WRITER_BYTES")],
    "FEWEST_PER_WRITER": [(WRITING, "FEWEST_PER_WRITER")],
    "ENOUGH_PER_WRITER": [(WRITING, "ENOUGH_PER_WRITER")],
    "PART": [(SCORING, "PART")],
    "WARM_UP": [(SCORING, "WARM_UP")],
    "MOST_STREAMS": [(SCORING, "MOST_STREAMS")],
    "GROUPS of scoring": [(SCORING, "GROUPS")],
    "FEWEST_LINES": [(SCORING, "FEWEST_LINES")],
    "STEP_COST": [(SCORING, "STEP_COST")],
    "RAGGED_STEPS": [(SCORING, "RAGGED_STEPS")],
    "FEWEST_CHARACTERS": [(SCORING, "FEWEST_CHARACTERS")],
    "INNER_SIZE": [(PRODUCTS, "INNER_SIZE")],
    "LANES": [(LOSS, "LANES")],
    "FEWEST_ROWS": [(SHARDS, "FEWEST_ROWS")],
    "BLOCK_STEPS of training": [(LOOP, "BLOCK_STEPS")],
    "BLOCK_SECONDS": [(LOOP, "BLOCK_SECONDS")],
    "memory kept": [(RUNTIME, "_MALLOC_OPTIONS")],
    "FAST_PRODUCTS": [(RUNTIME, "FAST_PRODUCTS_VERSIONS")],
}
"""Where a constant is, a module's or a class'. All that this script knows of the inside is here, in
`whole_windows` and in the functions that make something to measure; a name that is gone is
reported, and its rows are left out."""

Work = Callable[[], int]
"""Does some work, and returns how many characters that was."""


@dataclass(frozen=True)
class Row:
    """A constant and what shows it."""

    group: str
    constant: str
    others: dict[str, Any]
    """Values to try instead, each with a word for it."""
    measured: str
    make: Callable[[Path], Work]
    """Makes the work from a text, with the constants of the moment."""


def whole_windows(network: Any, batch_size: int) -> Any:
    """Whole windows, where `StaggeredReading` reads the open ones side by side."""
    return importlib.import_module(READING).WindowReading(network, batch_size)


def misaligned(shape: tuple[int, ...]) -> np.ndarray:
    """An array that begins 16 bytes after a cache line, as NumPy's own may."""
    size = int(np.prod(shape))
    buffer = np.empty(size + 32, np.float32)
    start = -buffer.ctypes.data % 64 // 4 + 4
    return buffer[start : start + size].reshape(shape)


def model(name: str, text: Path, window: int | None = None) -> Any:
    """A model by its name, such as "lstm 2x256"; with a window, one of `predict="last"`."""
    cell, size = name.split()
    layers, units = map(int, size.split("x"))
    how = {} if window is None else {"predict": "last", "window": window}
    return make_model(make_config(cell, layers, units, text, **how), text)  # type: ignore[arg-type]


@cache
def ids(text: Path, count: int) -> np.ndarray:
    """So many ids of a text, which is repeated where it is shorter."""
    return np.resize(read_vocabulary(text).encode(text.read_text(encoding="utf-8")), count)


def one(name: str, text: Path, length: int = 2000, window: int | None = None) -> Work:
    """One text."""
    return many(name, text, 1, length, window=window)


def many(
    name: str,
    text: Path,
    count: int,
    length: int,
    *,
    stop: str | None = None,
    window: int | None = None,
) -> Work:
    """Texts written together."""
    from chargen.config import SampleConfig
    from chargen.sampling.generate import write

    made = model(name, text, window)
    config = SampleConfig(length=length, stop=stop)

    def work() -> int:
        together = write(made, [""] * count, config, 0)
        return sum(len("".join(pieces)) for _, pieces in together)

    return work


def logits(name: str, text: Path, length: int) -> Work:
    """The predictions of one text."""
    made, read = model(name, text), ids(text, length)
    return lambda: len(made.logits(read))


def score(name: str, text: Path, length: int, window: int | None = None) -> Work:
    """One text scored."""
    from chargen.scoring.score import score_ids

    made, read = model(name, text, window), ids(text, length)

    def work() -> int:
        score_ids(made, read)
        return len(read)

    return work


def lines(name: str, text: Path, count: int) -> Work:
    """Lines of 5 to 80 characters, each scored for itself."""
    from chargen.scoring.score import score_each

    lengths = np.random.default_rng(0).integers(5, 80, count)
    read = np.split(ids(text, int(lengths.sum())), np.cumsum(lengths)[:-1])
    made = model(name, text)

    def work() -> int:
        score_each(made, read)
        return int(lengths.sum())

    return work


def step(name: str, text: Path, batch: int) -> float:
    """The bare steps of training, in characters a second."""
    import training

    cell, size = name.split()
    layers, units = size.split("x")
    return training.bare(text, cell, layers, units, "bfloat16", str(batch))


def run(name: str, text: Path, batch: int) -> float:
    """A real run of training."""
    import training

    cell, size = name.split()
    layers, units = size.split("x")
    return training.ours(text, cell, layers, units, "bfloat16", str(batch))


def rows() -> Iterator[Row]:
    """All rows."""
    yield from reading_rows()
    yield from writing_rows()
    yield from scoring_rows()
    yield from training_rows()


def reading_rows() -> Iterator[Row]:
    """Reading a text, and the layers and cells that do it."""
    row = partial(Row, "reading")
    yield row(
        "BLOCK_STEPS of reading",
        {"256": 256, "4096": 4096},
        "logits of 8,192, lstm 1x128",
        lambda text: logits("lstm 1x128", text, 8192),
    )
    for name in ("lstm 1x128", "lstm 1x512"):
        yield row(
            "BLOCK_FLOATS",
            {"a quarter": 1 << 16, "4 times": 1 << 20},
            f"score 300,000, {name}",
            partial(score, name, length=300_000),
        )
    for name in ("lstm 1x128", "rnn 1x50"):
        for window in (3, 24, 64):
            yield row(
                "StaggeredReading",
                {"WindowReading": whole_windows},
                f"one text of 500, {name}, window {window}",
                partial(one, name, length=500, window=window),
            )
        for count in (8, 32):
            yield row(
                "StaggeredReading",
                {"WindowReading": whole_windows},
                f"{count} texts of 100, {name}, window 24",
                partial(many, name, count=count, length=100, window=24),
            )
    yield row(
        "MOST_WINDOWS",
        {"twice": 4096},
        "128 texts of 100, lstm 1x128, window 24",
        partial(many, "lstm 1x128", count=128, length=100, window=24),
    )
    yield row(
        "WINDOWS",
        {"64": 64, "1024": 1024},
        "score 5,000, lstm 1x128, window 24",
        partial(score, "lstm 1x128", length=5_000, window=24),
    )
    yield row(
        "WINDOW_FLOATS",
        {"a quarter": 1 << 20, "4 times": 1 << 24},
        "score 1,000, lstm 2x512, window 64",
        partial(score, "lstm 2x512", length=1_000, window=64),
    )
    for name in ("lstm 1x384", "lstm 1x512", "gru 1x512"):
        yield row("TRANSPOSED_BYTES", {"none": range(0)}, f"one text, {name}", partial(one, name))
    for name in ("lstm 1x128", "lstm 1x256"):
        every = range(1 << 30)
        yield row("TRANSPOSED_BYTES", {"all": every}, f"one text, {name}", partial(one, name))
    for name in ("lstm 2x128", "lstm 2x256", "lstm 2x512", "rnn 2x256", "rnn 2x512"):
        yield row("joined kernels", {"apart": False}, f"one text, {name}", partial(one, name))
    slicing = property(lambda layer: layer._rows[:, None])
    for name in ("rnn 1x50", "lstm 1x128"):
        yield row("row views", {"slices": slicing}, f"one text, {name}", partial(one, name))
    for name in ("lstm 1x128", "lstm 1x256", "lstm 1x512"):
        yield row("alignment", {"off by 16": misaligned}, f"one text, {name}", partial(one, name))
    yield row(
        "alignment",
        {"off by 16": misaligned},
        "64 texts of 200, lstm 1x256",
        partial(many, "lstm 1x256", count=64, length=200),
    )
    for name in ("rnn 1x50", "lstm 1x128"):
        yield row("constants as arrays", {"numbers": 0.5}, f"one text, {name}", partial(one, name))


def writing_rows() -> Iterator[Row]:
    """Texts written, one or many."""
    row = partial(Row, "sampling")
    for name in ("lstm 1x128", "lstm 1x512", "lstm 2x512"):
        single = {"1": lambda network, most: 1}
        yield row("BLAS threads", single, f"one text, {name}", partial(one, name))
    for name in ("rnn 1x50", "lstm 1x128"):
        yield row(
            "CHUNK_SIZES_ALONE",
            {"to 16": (1, 16), "to 256": (1, 256)},
            f"one text, {name}",
            partial(one, name),
        )

    def texts(
        constant: str, others: dict[str, Any], name: str, count: int, length: int, **more: Any
    ) -> Row:
        measured = f"{count} texts of {length:,}, {name}" + (", stopped" if more else "")
        return row(
            constant, others, measured, partial(many, name, count=count, length=length, **more)
        )

    for length in (50, 1000):
        others = {"from 8": (8, 512), "from 512": (512, 512)}
        yield texts("CHUNK_SIZES_TOGETHER", others, "lstm 1x128", 128, length)
    longest = {"to 128": (32, 128), "to 2048": (32, 2048)}
    yield texts("CHUNK_SIZES_TOGETHER", longest, "lstm 1x128", 64, 2000)
    yield texts("CHUNK_SIZES_TOGETHER", longest, "lstm 1x512", 64, 1000)
    yield texts("STOP_DIVISOR", {"1": 1, "32": 32}, "lstm 1x256", 1, 500, stop="\n")
    yield texts("STOP_DIVISOR", {"1": 1, "32": 32}, "lstm 1x256", 128, 500, stop="\n")
    yield texts("NOISE_FLOATS", {"a quarter": 1 << 19, "4 times": 1 << 23}, "lstm 1x128", 128, 1000)
    for name in ("lstm 1x128", "lstm 1x512"):
        yield texts("MOST_TOGETHER", {"64": 64, "256": 256}, name, 256, 200)
        yield texts("FEWEST_TOGETHER", {"4": 4}, name, 4, 500)
        yield texts("FEWEST_TOGETHER", {"16": 16}, name, 8, 500)
    for name, count in (("lstm 1x128", 128), ("lstm 1x256", 128), ("lstm 1x512", 64)):
        yield texts("MOST_WRITERS", {"1": 1, "4": 4}, name, count, 200)
    yield texts("WRITER_BYTES", {"a quarter": 6 << 20}, "gru 1x256", 16, 200)
    yield texts("WRITER_BYTES", {"twice": 48 << 20}, "gru 1x256", 64, 200)
    yield texts("WRITER_BYTES", {"twice": 48 << 20}, "lstm 1x256", 64, 200)
    yield texts("ENOUGH_PER_WRITER", {"128": 128}, "lstm 1x128", 128, 200)
    yield texts("ENOUGH_PER_WRITER", {"32": 32}, "lstm 1x128", 64, 200)
    yield texts("FEWEST_PER_WRITER", {"16": 16}, "lstm 1x512", 16, 200)
    yield texts("FEWEST_PER_WRITER", {"4": 4}, "lstm 1x512", 8, 200)


def scoring_rows() -> Iterator[Row]:
    """Texts scored."""
    row = partial(Row, "scoring")

    def text_of(constant: str, others: dict[str, Any], name: str, length: int) -> Row:
        return row(
            constant, others, f"score {length:,}, {name}", partial(score, name, length=length)
        )

    yield text_of("PART", {"an 8th": 1 << 19}, "rnn 1x128", 1 << 21)
    for name in ("lstm 1x128", "lstm 1x512"):
        yield text_of("WARM_UP", {"64": 64, "256": 256}, name, 111_540)
        yield text_of("MOST_STREAMS", {"128": 128, "512": 512}, name, 300_000)
        yield text_of("STEP_COST", {"20": 20, "80": 80}, name, 30_000)
        groups = {"1": ((0, 1),), "4": ((0, 4),), "8": ((0, 8),)}
        yield text_of("GROUPS of scoring", groups, name, 111_540)
    yield text_of("GROUPS of scoring", {"2": ((0, 2),), "4": ((0, 4),)}, "lstm 1x128", 1 << 21)
    yield text_of("FEWEST_CHARACTERS", {"4096": 4096}, "lstm 1x128", 3_000)
    yield text_of("FEWEST_CHARACTERS", {"1024": 1024}, "lstm 1x128", 1_500)
    each = partial(lines, "lstm 1x128")
    yield row("FEWEST_LINES", {"64": 64}, "64 lines, lstm 1x128", partial(each, count=64))
    yield row("FEWEST_LINES", {"16": 16}, "32 lines, lstm 1x128", partial(each, count=32))
    yield row(
        "RAGGED_STEPS",
        {"16": 16, "256": 256},
        "512 lines, lstm 1x128",
        partial(each, count=512),
    )


def training_rows() -> Iterator[Row]:
    """Training; `make` measures at once, and gives a rate."""
    row = partial(Row, "training")

    def learned(constant: str, others: dict[str, Any], name: str, batch: int, how: Any) -> Row:
        kind = "bare steps" if how is step else "a run"
        return row(
            constant, others, f"{kind}, {name}, batch {batch}", partial(how, name, batch=batch)
        )

    yield learned("INNER_SIZE", {"256": 256, "one piece": 1 << 20}, "lstm 1x512", 64, step)
    for name in ("lstm 1x128", "rnn 1x128"):
        yield learned("LANES", {"1: not padded": 1}, name, 64, step)
    yield learned("FEWEST_ROWS", {"16: one shard": 16}, "lstm 1x128", 16, step)
    yield learned("FEWEST_ROWS", {"4: two shards": 4}, "lstm 1x128", 8, step)
    yield learned("FEWEST_ROWS", {"4: two shards": 4}, "lstm 1x512", 8, step)
    for batch in (64, 4):
        yield learned("BLOCK_STEPS of training", {"1": 1, "256": 256}, "rnn 1x128", batch, run)
    yield learned("BLOCK_SECONDS", {"0.02": 0.02, "0.5": 0.5}, "lstm 1x128", 64, run)
    yield learned("memory kept", {"glibc's": {}}, "lstm 1x512", 64, step)
    yield learned("FAST_PRODUCTS", {"without": ()}, "lstm 1x512", 64, step)


@contextmanager
def changed(constant: str, value: Any) -> Iterator[None]:
    """Another value of a constant, wherever it is."""
    kept = []
    try:
        for module, path in PLACES[constant]:
            holder, attribute = found(module, path)
            kept.append((holder, attribute, vars(holder)[attribute]))
            setattr(holder, attribute, value)
        yield
    finally:
        for holder, attribute, before in kept:
            setattr(holder, attribute, before)


def found(module: str, path: str) -> tuple[Any, str]:
    """What holds a name, and the last part of the name.

    Raises:
        LookupError: it is gone.
    """
    if module.startswith(("chargen.models", "chargen.training")) and module != RUNTIME:
        importlib.import_module(RUNTIME).start()  # before TensorFlow is imported
    try:
        holder: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise LookupError(module) from error
    *classes, attribute = path.split(".")
    for name in classes:
        holder = getattr(holder, name, None)
    if holder is None or attribute not in vars(holder):
        raise LookupError(f"{module}.{path}")
    return holder, attribute


def measure(row: Row, other: str | None, text: Path, seconds: float) -> float:
    """Characters a second, as it is or with another value."""
    if row.group == "training":
        command = [sys.executable, __file__, "--text", str(text), "--contender", name_of(row)]
        result = subprocess.run(
            [*command, *([other] if other else [])], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise LookupError(result.stderr.strip().splitlines()[-1])
        return float(result.stdout.split()[-1])
    if other is None:
        return rate(row.make(text), seconds)
    with changed(row.constant, row.others[other]):
        return rate(row.make(text), seconds)


def name_of(row: Row) -> str:
    """What tells a row from the others."""
    return f"{row.constant}: {row.measured}"


def race(row: Row, text: Path, rounds: int, seconds: float) -> list[dict[str, object]]:
    """A line for each other value."""
    numbers: dict[str | None, list[float]] = {other: [] for other in (None, *row.others)}
    for number in range(rounds):
        turns = list(numbers) if number % 2 == 0 else list(reversed(numbers))
        for other in turns:
            numbers[other].append(measure(row, other, text, seconds))
    lines = []
    for other in row.others:
        ratios = [a / b for a, b in zip(numbers[None], numbers[other], strict=True)]
        lines.append(
            {
                "constant": row.constant,
                "instead": other,
                "measured": row.measured,
                "characters/s as it is": statistics.median(numbers[None]),
                "instead of it": statistics.median(numbers[other]),
                "ratio": statistics.median(ratios),
                "from": min(ratios),
                "to": max(ratios),
            }
        )
    return lines


def main() -> None:
    """Race all rows, or those asked for, and print."""
    options: argparse.ArgumentParser = parser(__doc__)
    groups = ("reading", "sampling", "scoring", "training")
    options.add_argument("--only", nargs="+", choices=groups, default=groups)
    options.add_argument("--rows", nargs="+", help="only constants that these words are part of")
    options.add_argument("--quick", action="store_true", help="short rounds; keeps nothing")
    options.set_defaults(rounds=None)
    chosen = options.parse_args()
    if chosen.contender:
        name, *other = chosen.contender
        (row,) = [row for row in rows() if name_of(row) == name]
        if other:
            with changed(row.constant, row.others[other[0]]):
                print(row.make(chosen.text))
        else:
            print(row.make(chosen.text))
        return
    lines: list[dict[str, object]] = []
    rounds, seconds = (1, 0.15) if chosen.quick else (5, 0.6)
    rounds = chosen.rounds or rounds
    began = time.perf_counter()
    for row in rows():
        wanted = chosen.rows is None or any(
            word.lower() in row.constant.lower() for word in chosen.rows
        )
        if not wanted or row.group not in chosen.only:
            continue
        try:
            lines += race(row, chosen.text, rounds, seconds)
        except LookupError as error:
            print(f"skipped: {name_of(row)}: not found: {error}", file=sys.stderr, flush=True)
        else:
            for line in lines[-len(row.others) :]:
                print(line, file=sys.stderr, flush=True)
    print(f"{time.perf_counter() - began:.0f} seconds", file=sys.stderr)
    if chosen.quick:
        print(table(lines))
    elif lines:
        save("tuning", lines, ["constant", "instead", "measured"])


if __name__ == "__main__":
    main()
