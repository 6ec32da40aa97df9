"""What saving costs a run: the share of its time that goes into writing what --resume needs.

    python benchmarks/saving.py [--budget 90s]

Trains LSTM 1x256 and 1x512 on --text with a budget, all else by default, and adds up the seconds in
which the state, the best weights and the history are written.
"""

import importlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import parser, save

import chargen

WRITERS = {
    "state": ("chargen.training.state", "save"),
    "best weights": ("chargen.training.loop", "_Trainer._write_model"),
    "history": ("chargen.training.loop", "_Trainer._write_history"),
}
"""The functions that write, each with its module: what this script knows of the inside."""


def main() -> None:
    """Train both, and print their shares."""
    options = parser(__doc__)
    options.add_argument("--budget", default="90s")
    chosen = options.parse_args()
    save("saving", [measure(units, chosen.text, chosen.budget) for units in (256, 512)])


def measure(units: int, text: Path, budget: str) -> dict[str, object]:
    """A row of the table."""
    from chargen.training import runtime

    runtime.start()
    with tempfile.TemporaryDirectory() as folder, timed() as spent:
        started = time.perf_counter()
        path = chargen.train(text, checkpoint=Path(folder) / "ck", budget=budget, units=units)
        seconds = time.perf_counter() - started
        megabytes = (path / "resume.safetensors").stat().st_size / 1e6
    total = sum(map(sum, spent.values()))
    return {
        "network": f"LSTM 1x{units}",
        "MB of state": megabytes,
        "seconds": seconds,
        **{f"{name} (times)": f"{sum(v):.2f} s ({len(v)})" for name, v in spent.items()},
        "share": f"{100 * total / seconds:.2f} %",
    }


@contextmanager
def timed() -> Iterator[dict[str, list[float]]]:
    """The seconds of each call of the functions that write."""
    spent: dict[str, list[float]] = {name: [] for name in WRITERS}

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = work(*arguments, **options)
            spent[name].append(time.perf_counter() - started)
            return result

        return run

    kept = []
    for name, (module, path) in WRITERS.items():
        holder: Any = importlib.import_module(module)
        *classes, attribute = path.split(".")
        for each in classes:
            holder = getattr(holder, each)
        kept.append((holder, attribute, getattr(holder, attribute)))
        setattr(holder, attribute, watched(name, getattr(holder, attribute)))
    try:
        yield spent
    finally:
        for holder, attribute, work in kept:
            setattr(holder, attribute, work)


if __name__ == "__main__":
    main()
