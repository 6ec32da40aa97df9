"""Texts scored a second: by one process, and by two that Dask deals the partitions out to.

    python benchmarks/cluster.py [--lines 100000] [--units 256] [--rounds 5]

The table has the first lines of --text that are not empty, again and again if they are fewer, in 16
Parquet files. A job reads them, scores each text by itself and writes Parquet. The start is all
that comes before: it ends with a job of a few texts for each file, and with Dask it includes
starting two processes and sending them the model, an LSTM of one layer.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from harness import parser, race, save

STARTED = time.perf_counter()
PARTITIONS = 16
FEW = 32
"""Texts in each file of the job at the start: one batch."""
FIGURES = ("characters", "unknown_characters", "bits_per_character")
ALONE, DASK = "alone", "dask"
"""How a job is done, and the folders that the scores are written to."""
WAYS = {
    "one process, one thread": (ALONE, "1"),
    "one process, two threads": (ALONE, "2"),
    "Dask, two processes of one thread": (DASK, "1"),
}
Job = Callable[[Path, Path], None]
"""Scores a folder of Parquet files into another."""


def score(rows: Any, model: Any) -> Any:
    """A partition with the figures of each text."""
    scores = model.evaluate_each(text + "\n" for text in rows["text"])
    return rows.assign(**{name: [getattr(each, name) for each in scores] for name in FIGURES})


@contextmanager
def alone(folder: Path, threads: int) -> Iterator[Job]:
    """One process, one partition after the other."""
    import pandas as pd

    import chargen

    model = chargen.load(folder / "ck", threads=threads)

    def work(table: Path, scores: Path) -> None:
        scores.mkdir(exist_ok=True)
        for file in sorted(table.glob("*.parquet")):
            score(pd.read_parquet(file), model).to_parquet(scores / file.name)

    yield work


@contextmanager
def dask(folder: Path, threads: int) -> Iterator[Job]:
    """Two processes on this machine, to which the model is sent once."""
    import dask.dataframe as dd
    from dask.distributed import Client, LocalCluster

    import chargen

    model = chargen.load(folder / "ck", threads=threads)
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        sent = client.scatter(model, broadcast=True)

        def work(table: Path, scores: Path) -> None:
            texts = dd.read_parquet(table)
            meta = score(texts.head(1), model).head(0)
            texts.map_partitions(score, sent, meta=meta).to_parquet(scores)

        yield work


def contender(way: str, threads: str, what: str, name: str) -> float:
    """The seconds of a start, or the texts of which a job scores one a second."""
    import pandas as pd

    folder = Path(name)
    with {ALONE: alone, DASK: dask}[way](folder, int(threads)) as work:
        work(folder / "few", folder / f"{way} few")
        start = time.perf_counter() - STARTED
        if what == "start":
            return start
        started = time.perf_counter()
        work(folder / "texts", folder / way)
        seconds = time.perf_counter() - started
    return len(pd.read_parquet(folder / way)) / seconds


def prepare(folder: Path, text: Path, count: int, units: int) -> None:
    """A table of texts, and a model of their characters."""
    import pandas as pd
    from models import make_checkpoint, make_config

    lines = [line for line in text.read_text(encoding="utf-8").splitlines() if line]
    table = pd.DataFrame({"text": list(islice(cycle(lines), count))})
    for part, size in (("few", FEW), ("texts", -(-count // PARTITIONS))):
        (folder / part).mkdir()
        for number in range(PARTITIONS):
            rows = table.iloc[number * size : (number + 1) * size]
            rows.to_parquet(folder / part / f"part.{number:02}.parquet")
    make_checkpoint(folder / "ck", make_config("lstm", 1, units, text), text)


def main() -> None:
    """Race and print."""
    options = parser(__doc__)
    options.add_argument("--lines", type=int, default=100_000)
    options.add_argument("--units", type=int, default=256)
    chosen = options.parse_args()
    if chosen.contender:
        print(contender(*chosen.contender))
        return
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), chosen.text, chosen.lines, chosen.units)
        contenders = {
            f"{way}: {what}": (*arguments, what, name)
            for way, arguments in WAYS.items()
            for what in ("start", "texts")
        }
        found = race(__file__, contenders, chosen.rounds, chosen.text)
    rates = {way: found[f"{way}: texts"] for way in WAYS}
    first = next(iter(rates.values()))
    rows = [
        {
            f"{chosen.lines:,} texts, LSTM 1x{chosen.units}": way,
            "texts/s": rate,
            "ratio": rate / first,
            "start, seconds": found[f"{way}: start"],
        }
        for way, rate in rates.items()
    ]
    save("cluster", rows)


if __name__ == "__main__":
    main()
