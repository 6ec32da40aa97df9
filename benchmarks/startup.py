"""How long the commands take that should answer at once, beside the imports they cannot do without.

python benchmarks/startup.py [--rounds 21]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import parser, process_seconds, save
from models import make_checkpoint, make_config


def main() -> None:
    """Race and print."""
    options = parser(__doc__)
    options.set_defaults(rounds=21)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoint(folder / "ck", make_config("lstm", 1, 256, arguments.text), arguments.text)
        python, chargen = sys.executable, str(Path(sys.executable).with_name("chargen"))
        sample = [chargen, "sample", "-n", "1", "-c", str(folder / "ck")]
        pairs: list[tuple[str, Sequence[str], str, Sequence[str]]] = [
            ("chargen sample -n 1", sample, "import numpy, h5py, click", [python, "-c"]),
            ("chargen --help", [chargen, "--help"], "import click", [python, "-c"]),
        ]
        rows: list[dict[str, object]] = []
        for ours, command, imports, start in pairs:
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(arguments.rounds):
                times[0].append(process_seconds(command))
                times[1].append(process_seconds([*start, imports]))
            mine, rival = (1000 * statistics.median(values) for values in times)
            rows.append(
                {"command": ours, "ms": mine, "beside": imports, "its ms": rival}
                | {"ratio": mine / rival}
            )
        make_checkpoint(
            folder / "big", make_config("lstm", 2, 1024, arguments.text), arguments.text
        )
        rows.append(loading(folder / "big", arguments.rounds))
        save("startup", rows)


def loading(folder: Path, rounds: int) -> dict[str, object]:
    """A large model loaded, and its file only read."""
    import chargen

    file = folder / "model.keras"
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kept, work in zip(times, (lambda: chargen.load(folder), file.read_bytes), strict=True):
            started = time.perf_counter()
            result = work()
            kept.append(time.perf_counter() - started)
            del result
    mine, rival = (1000 * statistics.median(values) for values in times)
    size = file.stat().st_size / 1e6
    return {
        "command": f"load a model of {size:.0f} MB",
        "ms": mine,
        "beside": "reading the file",
        "its ms": rival,
        "ratio": mine / rival,
    }


if __name__ == "__main__":
    main()
