"""How the cost of training grows: with the text, the alphabet, the units and the workers.

    python benchmarks/scale.py [--only text alphabet units workers] [--rounds N] [--budget 30s]

Each figure is a run of the real command on one thread, without evaluations of a held-out text: the
characters learned from in a second once it has begun, the seconds before that, and the peak memory
of its largest process. All runs of a table take turns, round after round, and the medians count.
With workers, each has as many rows of the batch as one process that learns alone.

Below each table stands what was fitted to it: the time that a character costs, as a sum of terms
that are not negative, by least squares of the relative errors.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from harness import PLAIN, environment, parser, rate_between, save
from memory import write_text

ROWS = 32
"""Rows of a batch for each worker, which is what a text of some megabytes gets."""
WINDOW = 64
MEGABYTES = [1, 10, 100, 1000]
ALPHABETS = [50, 200, 1000, 4000, 10_000]
UNITS = [64, 128, 256, 512, 1024, 2048]
WORKERS = [1, 2, 4]
THREADS, APART = 0, -1
"""Stand among the numbers of workers for one process with a thread for each core, and for a run of
one thread on each core at once, which know nothing of each other: workers cannot do better."""
USUAL_UNITS, LARGE_UNITS = 256, 512
ALPHABET_CHARACTERS = 2_000_000
FIRST_POINT = 0x4E00
"""The first of the characters of an artificial alphabet: these all are letters."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """A run of the command, or several of the same at once."""

    text: Path
    options: Sequence[str]
    copies: int = 1


def main() -> None:
    """Measure what was chosen, and print it."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    options.add_argument("--budget", default="30s", help="of each run")
    options.set_defaults(rounds=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.only:
            TABLES[name](Path(folder), chosen.rounds, chosen.budget)


def table_of_texts(folder: Path, rounds: int, budget: str) -> None:
    """Texts from a megabyte to a gigabyte."""
    runs = {}
    for megabytes in MEGABYTES:
        text = folder / f"{megabytes}.txt"
        write_text(text, megabytes * 10**6, "ascii", random.Random(1))
        runs[megabytes] = Run(text, as_words(units=USUAL_UNITS, batch_size=ROWS))
    found = measured(runs, rounds, budget)
    terms = {"start": lambda _: 1.0, "MB": float}
    fitted = fit(found, lambda figures: figures["seconds"], terms)
    print(f"begins after {fitted['start']:.1f} s and {1 / fitted['MB']:.0f} MB a second")
    rows = [{"MB": megabytes, **shown(figures)} for megabytes, figures in found.items()]
    save("scale_text", rows, ["MB"])


def table_of_alphabets(folder: Path, rounds: int, budget: str) -> None:
    """Alphabets of 50 to 10,000 characters, whose frequencies fall as words' do (Zipf)."""
    runs = {}
    for size in ALPHABETS:
        text = folder / f"alphabet-{size}.txt"
        text.write_text(artificial(size, np.random.default_rng(size)), encoding="utf-8")
        runs[size] = Run(text, as_words(units=USUAL_UNITS, batch_size=ROWS))
    found = measured(runs, rounds, budget)
    fitted = fit(found, cost, {"network": lambda _: 1.0, "character": float})
    print(
        f"a character costs {1e6 * fitted['network']:.1f} us, and "
        f"{1e9 * fitted['character']:.2f} ns for each character of the alphabet: from "
        f"{fitted['network'] / fitted['character']:,.0f} on, the alphabet costs more than the rest"
    )
    rows = [{"alphabet": size, **shown(figures)} for size, figures in found.items()]
    save("scale_alphabet", rows, ["alphabet"])


def table_of_units(folder: Path, rounds: int, budget: str) -> None:
    """Layers of 64 to 2,048 units."""
    text = folder / "1.txt"
    write_text(text, 10**6, "ascii", random.Random(1))
    runs = {units: Run(text, as_words(units=units, batch_size=ROWS)) for units in UNITS}
    found = measured(runs, rounds, budget)
    terms = {
        "step": lambda _: 1.0,
        "unit": float,
        "product": lambda units: float(units**2),
    }
    fitted = fit(found, cost, terms)
    print(
        f"a character costs {1e6 * fitted['step']:.2f} us + {1e9 * fitted['unit']:.2f} ns a unit + "
        f"{1e12 * fitted['product']:.2f} ps a unit squared"
    )
    rows = [{"units": units, **shown(figures)} for units, figures in found.items()]
    save("scale_units", rows, ["units"])


def table_of_workers(folder: Path, rounds: int, budget: str) -> None:
    """One, two and four processes with a thread each, and what they could come to at most."""
    text, cores = folder / "10.txt", os.cpu_count() or 1
    write_text(text, 10**7, "ascii", random.Random(1))
    runs = {}
    for count in WORKERS:
        options = as_words(units=LARGE_UNITS, batch_size=count * ROWS)
        runs[count] = Run(text, [*options, "--workers", str(count)])
    threads = as_words(units=LARGE_UNITS, batch_size=cores * ROWS, threads=cores)
    runs[THREADS] = Run(text, threads)
    runs[APART] = replace(runs[1], copies=cores)
    found = measured(runs, rounds, budget)
    alone = found[1]["rate"]
    rows = []
    for count, figures in found.items():
        side_by_side = min(count, cores) if count in WORKERS else cores
        processes = {THREADS: "1", APART: f"{cores} that exchange nothing"}
        rows.append(
            {
                "processes": processes.get(count, str(count)),
                "threads of each": cores if count == THREADS else 1,
                **shown(figures),
                "of one thread": figures["rate"] / alone,
                "each core, of one thread": figures["rate"] / alone / side_by_side,
            }
        )
    step, two = ROWS * WINDOW / alone, 2 * ROWS * WINDOW / found[2]["rate"]
    print(f"a step takes one process {1e3 * step:.0f} ms, and two processes {1e3 * two:.0f} ms")
    save("scale_workers", rows, ["processes", "threads of each"])


def as_words(**options: object) -> list[str]:
    """Options of a run on one thread that takes steps and does little else."""
    given = PLAIN | {"window": WINDOW, "threads": 1} | options
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items())
    return [word for pair in pairs for word in pair]


def artificial(size: int, rng: np.random.Generator) -> str:
    """A text with so many distinct characters, independent of each other."""
    shares = 1 / np.arange(1, size + 1)
    ids = rng.choice(size, ALPHABET_CHARACTERS, p=shares / shares.sum())
    ids[:size] = np.arange(size)
    points = (FIRST_POINT + ids).astype("<u4")
    return points.tobytes().decode("utf-32-le")


def measured(runs: Mapping[int, Run], rounds: int, budget: str) -> dict[int, Figures]:
    """The medians of the figures of each run, which take turns."""
    found: dict[int, list[Figures]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(figures_together(run, budget))
    return {
        name: {key: statistics.median(each[key] for each in list_) for key in list_[0]}
        for name, list_ in found.items()
    }


def figures_together(run: Run, budget: str) -> Figures:
    """What the copies of a run come to at once: their rates are added up."""
    with ThreadPoolExecutor(run.copies) as pool:
        copies = [pool.submit(figures_of, run, budget) for _ in range(run.copies)]
        each = [copy.result() for copy in copies]
    worst = {name: max(figures[name] for figures in each) for name in each[0]}
    return worst | {"rate": sum(figures["rate"] for figures in each)}


def figures_of(run: Run, budget: str) -> Figures:
    """What one run comes to: characters a second, seconds before that, and bytes at most."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chargen", "train", str(run.text), "-q", "-o", "ck"]
        process = subprocess.Popen(
            [*command, "--budget", budget, *run.options],
            cwd=folder,
            env=environment(Path(__file__).parent.parent),
            stdout=subprocess.DEVNULL,
        )
        # The process's own, and that of the largest process that it waited for.
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} failed")
        history = list(map(json.loads, (Path(folder) / "ck" / "history.jsonl").open()))
    first, last = history[0], history[-1]
    if first is last:
        sys.exit(f"{run.text.name}: only one evaluation in {budget}; give a longer --budget")
    rate = rate_between(first, last)
    began = first["seconds"] - first["characters"] / rate
    return {"rate": rate, "seconds": began, "bytes": usage.ru_maxrss * 1024.0}


def cost(figures: Figures) -> float:
    """Seconds that a character takes."""
    return 1 / figures["rate"]


def fit(found: Mapping[int, Figures], value, terms) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """The factors of the terms whose sum comes closest, relatively, to the values."""
    names, sizes = list(terms), list(found)
    values = np.array([value(found[size]) for size in sizes])
    matrix = np.array([[terms[name](size) for name in names] for size in sizes])
    relative = matrix / values[:, None]
    factors, *_ = np.linalg.lstsq(relative, np.ones(len(sizes)), rcond=None)
    while (factors < 0).any():  # a cost that would be negative is left out
        relative[:, factors.argmin()] = 0
        factors, *_ = np.linalg.lstsq(relative, np.ones(len(sizes)), rcond=None)
    return dict(zip(names, map(float, factors), strict=True))


def shown(figures: Figures) -> dict[str, float]:
    """The columns of a row."""
    return {
        "characters a second": figures["rate"],
        "begins after, s": figures["seconds"],
        "peak memory, GB": figures["bytes"] / 1e9,
    }


TABLES = {
    "text": table_of_texts,
    "alphabet": table_of_alphabets,
    "units": table_of_units,
    "workers": table_of_workers,
}


if __name__ == "__main__":
    main()
