"""Two versions of chargen side by side: the same measurement, in turns, old and new.

    git worktree add /tmp/old 90054bc
    python benchmarks/compare.py /tmp/old [--new CHECKOUT] [--only sampling batch scoring]

Each measurement is a process of its own, with the chargen of one checkout or of the other; which
goes first changes from round to round. Both use checkpoints that the old version has made. Printed
are the medians, the median of the ratios of each round (above 1: the new version is faster), and
the lowest and the highest of these: a difference within that spread says nothing.

`training` has two runs that take turns: each learns for a second while the other waits. Such a pair
differs far less than two runs of half a minute do, so give it more rounds: 24, say.

Only the command line and the documented Python interface are used, so that versions can be far
apart. `--quick` tries whether it works at all.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from harness import (
    PLAIN,
    ROOT,
    environment,
    parser,
    process_seconds,
    rate,
    save,
    table,
)

Measure = Callable[[Path], float]
"""Of a checkout."""

MODELS = {  # cell, layers, units; roughly the characters a second of one text
    "lstm 1x128": ("lstm", 1, 128, 100_000),
    "lstm 1x512": ("lstm", 1, 512, 15_000),
    "lstm 2x512": ("lstm", 2, 512, 3_000),
    "gru 1x256": ("gru", 1, 256, 50_000),
    "rnn 1x128": ("rnn", 1, 128, 200_000),
}
BATCH_MODELS = ["lstm 1x128", "lstm 1x512", "gru 1x256", "rnn 1x128"]
GROUPS = [4, 8, 16, 32, 64, 128]
SPEEDUPS = {4: 1, 8: 1.5, 16: 2, 32: 3, 64: 4, 128: 5}
"""Roughly, of so many texts to one: so that all rows take about the same time."""
TRAINING = [
    ("lstm", 128, 64),
    ("lstm", 512, 64),
    ("rnn", 128, 64),
    ("lstm", 128, 4),
    ("rnn", 128, 4),
]
TRAINING_WINDOW = 64
ALPHABETS = [65, 1000, 5000, 10_000]
"""Numbers of distinct characters."""
SEEDED = ["--random-seed", "0"]


class Bench:
    """What all measurements share.

    Args:
        old: the checkout that the other one is compared with.
        new: the other one.
        folder: where checkpoints and texts are, and where processes run.
        text: what is learned from and scored.
        quick: whether to measure too little for a figure.
    """

    def __init__(self, old: Path, new: Path, folder: Path, text: Path, *, quick: bool) -> None:
        self.old, self.new = old, new
        self.folder, self.text, self.quick = folder, text.resolve(), quick
        self.seconds = 0.2 if quick else 1.5

    def make_checkpoint(self, name: str, checkout: Path) -> None:
        """A model of the text's characters that has hardly learned."""
        cell, layers, units, _ = MODELS[name]
        text = self.folder / "little.txt"
        if not text.exists():
            whole = self.text.read_text(encoding="utf-8")
            text.write_text(whole[:5000] + "".join(sorted(set(whole))), encoding="utf-8")
        network = ["--cell", cell, "--layers", layers, "--units", units]
        size = ["--batch-size", 4, "--window", 64, "--epochs", 1, "--validation", 0]
        options = [*network, *size, *SEEDED, "-q", "-o", self.folder / name]
        self.run(checkout, "train", text, *options)

    def make_text(self, alphabet: int, length: int) -> Path:
        """A text of so many distinct characters, some of them common and most of them rare."""
        text = self.folder / f"{alphabet}-{length}.txt"
        if not text.exists():
            rng = np.random.default_rng(0)
            points = 0x4E00 + np.arange(alphabet - 1)
            shares = 1 / np.arange(1, alphabet)
            drawn = rng.choice(points, length - alphabet, p=shares / shares.sum())
            whole = np.concatenate([points, drawn])
            rng.shuffle(whole)
            whole = np.insert(whole, np.arange(63, len(whole), 63), ord("\n"))
            text.write_text("".join(map(chr, whole)), encoding="utf-8")
        return text

    def command(self, *arguments: object) -> list[str]:
        """`chargen` with arguments."""
        return [sys.executable, "-m", "chargen", *map(str, arguments)]

    def run(self, checkout: Path, *arguments: object) -> float:
        """Seconds of a whole command."""
        return process_seconds(self.command(*arguments), checkout, cwd=self.folder)

    def worker(self, checkout: Path, *arguments: object) -> float:
        """The number that a function of `WORKERS` prints."""
        output = subprocess.run(
            self._worker_command(checkout, *arguments),
            cwd=self.folder,
            env=environment(checkout),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        return float(output.split()[-1])

    @contextmanager
    def learners(self, text: Path, cell: str, units: int, batch: int) -> Iterator[Measure]:
        """Two runs, one for each checkout, each of which goes on only while it is measured."""
        arguments = ["train", text, cell, units, batch]
        workers: dict[Path, subprocess.Popen[str]] = {}

        def measure(checkout: Path) -> float:
            if checkout not in workers:
                workers[checkout] = subprocess.Popen(
                    self._worker_command(checkout, *arguments),
                    cwd=self.folder,
                    env=environment(checkout),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            worker = workers[checkout]
            assert worker.stdin is not None
            assert worker.stdout is not None
            print(file=worker.stdin, flush=True)
            return float(worker.stdout.readline())

        try:
            for checkout in (self.old, self.new):
                measure(checkout)  # the first time compiles
            yield measure
        finally:
            for worker in workers.values():
                worker.kill()
                worker.communicate()

    def _worker_command(self, checkout: Path, *arguments: object) -> list[str]:
        command = [sys.executable, __file__, str(checkout), "--worker", *map(str, arguments)]
        return [*command, "--seconds", str(self.seconds)]


def sampling(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """One text, in a process that has the model."""
    for name in MODELS:
        yield name, "characters/s", partial(_written, bench, name, [])


def batch(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """Many texts by one command, its start included."""
    for name in BATCH_MODELS:
        for texts in GROUPS:
            yield f"{name}, {texts} texts", "characters/s", partial(_batch, bench, name, texts)


def _batch(bench: Bench, name: str, texts: int, checkout: Path) -> float:
    length = max(10, int(bench.seconds * MODELS[name][-1] * SPEEDUPS[texts] / texts))
    arguments = ["sample", "-c", name, "--count", texts, "-n", length, "-q", *SEEDED]
    return texts * length / bench.run(checkout, *arguments)


def scoring(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """A long text, in a process that has the model, and a whole command on a tenth of it."""
    for name in MODELS:
        yield name, "characters/s", partial(_scored, bench, name, bench.text)
    characters = bench.text.read_text(encoding="utf-8")
    tail = bench.folder / "tail.txt"
    tail.write_text(characters[-len(characters) // 10 :], encoding="utf-8")
    for name in ("lstm 1x128", "lstm 1x512"):
        command = partial(_milliseconds, bench, ["evaluate", tail, "-c", name, "-q"])
        yield f"{name}, whole command", "ms", command


def startup(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """Commands that should answer at once."""
    line = bench.folder / "line.txt"
    line.write_text("And so it was.\n", encoding="utf-8")
    for arguments in (
        ["--help"],
        ["sample", "-n", 1, "-c", "lstm 1x128"],
        ["sample", "-n", 1, "-c", "lstm 2x512"],
        ["evaluate", line, "-c", "lstm 1x128"],
        ["info", "lstm 1x128"],
    ):
        words = [Path(str(word)).name for word in arguments]
        yield f"chargen {' '.join(words)}", "ms", partial(_milliseconds, bench, arguments)


def _milliseconds(bench: Bench, arguments: list[object], checkout: Path) -> float:
    times = 1 if bench.quick else 5
    return 1000 * statistics.median(bench.run(checkout, *arguments) for _ in range(times))


def training(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """A run, a second or more at a time."""
    for cell, units, size in TRAINING:
        name = f"{cell} 1x{units}" + (f", batch {size}" if size != 64 else "")
        with bench.learners(bench.text, cell, units, size) as measure:
            yield name, "characters/s", measure


def alphabets(bench: Bench) -> Iterator[tuple[str, str, Measure]]:
    """LSTM 1x256 with other numbers of characters: training, writing and scoring."""
    network = ["--cell", "lstm", "--units", "256", "--window", "64"]
    for alphabet in ALPHABETS:
        with bench.learners(bench.make_text(alphabet, 400_000), "lstm", 256, 32) as measure:
            yield f"{alphabet:,}, training", "characters/s", measure
        name = f"alphabet-{alphabet}"
        little = bench.make_text(alphabet, max(5000, 2 * alphabet))
        size = ["--batch-size", 4, "--epochs", 1, "--validation", 0]
        bench.run(ROOT, "train", little, *network, *size, *SEEDED, "-q", "-o", bench.folder / name)
        for what, choice in (("writing", []), ("writing, top-k 40", ["40"])):
            written = partial(_written, bench, name, choice)
            yield f"{alphabet:,}, {what}", "characters/s", written
        scored = partial(_scored, bench, name, bench.make_text(alphabet, 100_000))
        yield f"{alphabet:,}, scoring", "characters/s", scored


def _written(bench: Bench, name: str, choice: list[str], checkout: Path) -> float:
    return bench.worker(checkout, "sample", name, *choice)


def _scored(bench: Bench, name: str, text: Path, checkout: Path) -> float:
    return bench.worker(checkout, "evaluate", name, text)


KINDS = {
    "sampling": sampling,
    "batch": batch,
    "scoring": scoring,
    "startup": startup,
    "training": training,
    "alphabets": alphabets,
}


def sample_in_process(seconds: float, checkpoint: str, top_k: str | None = None) -> float:
    """Characters a second of texts of 2,000."""
    import chargen

    model = chargen.load(checkpoint)
    options = {"top_k": int(top_k)} if top_k else {}
    return rate(lambda: len(model.sample(length=2000, random_seed=0, **options)), seconds)


def evaluate_in_process(seconds: float, checkpoint: str, text: str) -> float:
    """Characters a second of one text, a few times over where that takes no time."""
    import chargen

    model = chargen.load(checkpoint)
    characters = Path(text).read_text(encoding="utf-8")
    if seconds < 1:
        characters = characters[:100_000]
    model.evaluate(characters[: len(characters) // 16])
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        model.evaluate(characters)
        done += len(characters)
    return done / elapsed


def train_in_turns(seconds: float, text: str, cell: str, units: str, batch: str) -> float:
    """Characters a second of a run that goes on for so long whenever a line comes in.

    The run waits in the function to which it reports its progress.
    """
    import chargen

    resumed: tuple[float, int] | None = None

    def report(event: object) -> None:
        nonlocal resumed
        if type(event).__name__ != "Progressed":
            return
        step, now = int(getattr(event, "step", 0)), time.perf_counter()
        if resumed is not None:
            began, first = resumed
            if now - began < seconds:
                return
            print((step - first) * int(batch) * TRAINING_WINDOW / (now - began), flush=True)
        if not sys.stdin.readline():
            sys.exit()
        resumed = time.perf_counter(), step

    with tempfile.TemporaryDirectory() as folder:
        chargen.train(
            text,
            checkpoint=Path(folder) / "ck",
            report=report,
            cell=cell,  # type: ignore[arg-type]
            units=int(units),
            batch_size=int(batch),
            window=TRAINING_WINDOW,
            **PLAIN,  # type: ignore[arg-type]
        )
    raise AssertionError("a run of a million epochs does not end")


WORKERS: dict[str, Callable[..., float]] = {
    "sample": sample_in_process,
    "evaluate": evaluate_in_process,
    "train": train_in_turns,
}


def race(measure: Measure, old: Path, new: Path, rounds: int) -> dict[Path, list[float]]:
    """Both in turns, round after round."""
    numbers: dict[Path, list[float]] = {old: [], new: []}
    for number in range(rounds):
        for checkout in (old, new) if number % 2 == 0 else (new, old):
            numbers[checkout].append(measure(checkout))
    return numbers


def row(
    name: str, unit: str, headings: tuple[str, str], before: list[float], after: list[float]
) -> dict[str, object]:
    """A measurement's line of the table."""
    ratios = [a / b for a, b in zip(after, before, strict=True)]
    if unit == "ms":
        ratios = [1 / ratio for ratio in ratios]
    return {
        "what": name,
        "unit": unit,
        headings[0]: statistics.median(before),
        headings[1]: statistics.median(after),
        "speed, new to old": statistics.median(ratios),
        "from": min(ratios),
        "to": max(ratios),
    }


def main() -> None:
    """Make checkpoints, race and print."""
    options: argparse.ArgumentParser = parser(__doc__)
    options.add_argument("old", type=Path, metavar="OLD_CHECKOUT")
    options.add_argument("--new", type=Path, default=ROOT, metavar="CHECKOUT")
    options.add_argument("--only", nargs="+", choices=[*KINDS], default=[*KINDS])
    options.add_argument("--quick", action="store_true", help="to see whether it works")
    options.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    old, new = chosen.old.resolve(), chosen.new.resolve()
    if chosen.worker:
        name, *arguments = chosen.worker
        check_import(old)
        print(WORKERS[name](chosen.seconds, *arguments))
        return
    headings = (f"old ({commit(old)})", f"new ({commit(new)})")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(old, new, Path(folder), chosen.text, quick=chosen.quick)
        if set(chosen.only) - {"training", "alphabets"}:
            for name in MODELS:
                bench.make_checkpoint(name, old)
        for kind in chosen.only:
            if kind == "training" and chosen.text.stat().st_size < 1_000_000:
                print(f"skipped: training: {chosen.text.name} is too short; give a --text of 1 MB")
                continue
            rows = []
            for name, unit, measure in KINDS[kind](bench):
                numbers = race(measure, old, new, chosen.rounds)
                rows.append(row(name, unit, headings, numbers[old], numbers[new]))
                print(rows[-1], file=sys.stderr, flush=True)
            if chosen.quick:
                print(table(rows))
            else:
                save(f"compare_{kind}", rows)


def check_import(checkout: Path) -> None:
    """Stop where another chargen than the checkout's is what is imported."""
    import chargen

    if checkout not in Path(chargen.__file__).resolve().parents:
        sys.exit(f"{checkout} was to be measured, but {chargen.__file__} is what Python imports")


def commit(checkout: Path) -> str:
    """What is checked out there."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "?"


if __name__ == "__main__":
    main()
