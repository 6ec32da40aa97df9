"""What `chargen train TEXT` gives with no other option: time, size and held-out figures.

    python benchmarks/defaults.py [TEXT...] [--repeats N] [--json FILE]

Each text is trained by the real command in an empty folder and scored by the real command on what
the run held out. Prints a table in Markdown: medians over the repeats, and the range of the bits.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TEXTS = [
    *(ROOT / "corpora" / name for name in ("tunes.abc", "names.txt", "fables.txt")),
    ROOT.parent / "shared" / "data" / "tinyshakespeare.txt",
]
COMMAND = [sys.executable, "-m", "chargen"]


def measure(text: Path) -> dict[str, Any]:
    """Train and score one text once, in seconds of the whole command and figures of `evaluate`."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [*COMMAND, "train", text.resolve(), "-q", "-o", "ck"], cwd=folder, check=True
        )
        seconds = time.perf_counter() - started
        score, info = (
            json.loads(subprocess.check_output([*COMMAND, *arguments, "--json"], cwd=folder))
            for arguments in (["evaluate", "-c", "ck"], ["info", "ck"])
        )
    return {"text": text.name, "seconds": seconds, "score": score, "info": info}


def row(runs: list[dict[str, Any]]) -> str:
    """A text's runs as a row of the table."""
    info = runs[0]["info"]
    bits = [run["score"]["bits_per_character"] for run in runs]
    nats = statistics.median(run["score"]["nats_per_character"] for run in runs)
    seconds = statistics.median(run["seconds"] for run in runs)
    network = f"{info['model']['cell'].upper()} {info['model']['layers']}x{info['model']['units']}"
    cells = [
        f"`{runs[0]['text']}`",
        f"{info['corpus']['characters']:,}",
        network,
        f"{seconds:.0f} s",
        f"{statistics.median(bits):.3f} ({min(bits):.3f} to {max(bits):.3f})",
        f"{nats:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every run's figures here")
    options = parser.parse_args()
    runs = []
    for text in options.texts or [text for text in TEXTS if text.exists()]:
        repeated = [measure(text) for _ in range(options.repeats)]
        print(row(repeated), flush=True)
        runs += repeated
        if options.json:
            options.json.write_text(json.dumps(runs, indent=2))


if __name__ == "__main__":
    main()
