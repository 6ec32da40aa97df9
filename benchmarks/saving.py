"""What saving costs a run: the share of its time that goes into writing what --resume needs.

    python benchmarks/saving.py [--budget 90s]

Trains LSTM 1x256 and 1x512 on --text with a budget, all else by default, and adds up the seconds in
which the state, the best weights and the history are written.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import parser, save

import chargen


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
    from chargen.training import callbacks, state

    spent: dict[str, list[float]] = {"state": [], "best weights": [], "history": []}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = work(*arguments)
            spent[name].append(time.perf_counter() - started)
            return result

        return run

    evaluation: Any = callbacks.Evaluation
    kept = state.save, evaluation.write_model, evaluation.write_history
    state.save = timed("state", state.save)
    evaluation.write_model = timed("best weights", evaluation.write_model)
    evaluation.write_history = timed("history", evaluation.write_history)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        path = chargen.train(text, checkpoint=Path(folder) / "ck", budget=budget, units=units)
        seconds = time.perf_counter() - started
        megabytes = (path / "resume.safetensors").stat().st_size / 1e6
    state.save, evaluation.write_model, evaluation.write_history = kept
    total = sum(map(sum, spent.values()))
    return {
        "network": f"LSTM 1x{units}",
        "MB of state": megabytes,
        "seconds": seconds,
        **{f"{name} (times)": f"{sum(v):.2f} s ({len(v)})" for name, v in spent.items()},
        "share": f"{100 * total / seconds:.2f} %",
    }


if __name__ == "__main__":
    main()
