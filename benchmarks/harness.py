"""What the benchmarks share: contenders in processes of their own, rounds, medians, tables, JSON.

A contender is a command that prints one number. All contenders of a row run one after the other,
round after round, so that what else the machine does falls on all of them alike; the figure is the
median over the rounds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SHARED_TEXT = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"
TELLING_FEATURES = {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve"}
"""Of a processor: those that decide how fast products are."""
HELD_OUT = 111_540  # tinyshakespeare's last tenth


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    options = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "--text",
        type=Path,
        default=SHARED_TEXT if SHARED_TEXT.exists() else ROOT / "corpora" / "fables.txt",
        help="what gives the vocabulary, and what is scored",
    )
    options.add_argument("--contender", nargs="+", help=argparse.SUPPRESS)
    return options


def race(
    script: str, contenders: Mapping[str, Sequence[str]], rounds: int, text: Path
) -> dict[str, float]:
    """The median of each contender's number over the rounds."""
    numbers: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, arguments in contenders.items():
            command = [sys.executable, script, "--text", str(text), "--contender", *arguments]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                sys.exit(f"{' '.join(arguments)} failed:\n{result.stderr}")
            numbers[name].append(float(result.stdout.split()[-1]))
    return {name: statistics.median(values) for name, values in numbers.items()}


def rate(work: Callable[[], int], seconds: float = 0.6) -> float:
    """Units of work a second: once to warm up, then again and again for so long."""
    work()
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


def process_seconds(command: Sequence[str], **options: object) -> float:
    """How long a whole process takes."""
    # Compiled modules are kept, as for anyone who installed the package.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(  # type: ignore[call-overload]
        command, env=environment, stdout=subprocess.DEVNULL, check=True, **options
    )
    return time.perf_counter() - started


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table; the keys of the first are the heading."""
    heading = list(rows[0])
    lines = [heading, ["---"] * len(heading), *([_cell(row[k]) for k in heading] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(name: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table and keep it as JSON, with what it was measured on."""
    print(table(rows), flush=True)
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    from chargen.training.processor import CPUINFO, features

    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    models = [line for line in lines if line.startswith("model name")]
    names = ("numpy", "h5py", "tensorflow", "keras", "torch")
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "features": sorted(features(CPUINFO) & TELLING_FEATURES),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    } | {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
