"""What the benchmarks share: contenders in processes of their own, rounds, medians, tables, JSON.

A contender is a command that prints one number. All contenders of a row run one after the other,
round after round, so that what else the machine does falls on all of them alike; the figure is the
median over the rounds.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"
"""A folder for each machine, and in it a file for each table."""
SHARED_TEXT = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"
TELLING_FEATURES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "sve", "asimd")
"""Features of a processor that decide how fast products are, the fastest first."""
PLAIN = {
    "dropout": 0.0,
    "weight_drop": 0.0,
    "average": 0.0,
    "weight_decay": 0.0,
    "validation": 0,
    "epochs": 10**6,
    "random_seed": 0,
}
"""Options of a run that takes steps, with nothing beside them, until it is stopped."""
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


def process_seconds(command: Sequence[str], checkout: Path = ROOT, **options: object) -> float:
    """How long a whole process takes."""
    started = time.perf_counter()
    subprocess.run(  # type: ignore[call-overload]
        command, env=environment(checkout), stdout=subprocess.DEVNULL, check=True, **options
    )
    return time.perf_counter() - started


def environment(checkout: Path) -> dict[str, str]:
    """Environment variables with which a process imports the chargen of a checkout.

    `python -m` prefers the current directory, so that must be another one.
    """
    # Compiled modules are kept, as for anyone who installed the package.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(checkout)}


def training_rate(text: Path, options: Sequence[str], budget: str, checkout: Path = ROOT) -> float:
    """Characters learned from a second by `chargen train`, evaluations and saving included.

    From `history.jsonl`, between the first evaluation and the last: what is before the first also
    starts TensorFlow and compiles.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chargen", "train", str(text.resolve()), "-q", "-o", "ck"]
        subprocess.run(
            [*command, "--budget", budget, "--validation", "0", *options],
            cwd=folder,
            env=environment(checkout),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        history = list(map(json.loads, (Path(folder) / "ck" / "history.jsonl").open()))
    if len(history) < 2:
        sys.exit(f"{' '.join(options)}: only {len(history)} evaluation in {budget}; give it longer")
    return rate_between(history[0], history[-1])


def rate_between(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """Characters learned from a second between two lines of a history."""
    characters = last["characters"] - first["characters"]
    return float(characters / (last["seconds"] - first["seconds"]))


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table; the keys of the first are the heading."""
    heading = list(rows[0])
    lines = [heading, ["---"] * len(heading), *([_cell(row[k]) for k in heading] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(name: str, rows: Sequence[Mapping[str, object]], keys: Sequence[str] = ()) -> None:
    """Print a table and keep it as JSON, with what it was measured on and by what command.

    Args:
        name: of the file, in this machine's folder.
        rows: the table.
        keys: columns that name a row. Rows on file that were not measured anew stay; without keys
            none does.
    """
    print(table(rows), flush=True)
    measured = machine()
    file = RESULTS / folder_of(measured) / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    commands = [command()]
    if keys and file.exists():
        before = json.loads(file.read_text())
        new = {tuple(row[key] for key in keys) for row in rows}
        # Rows of an earlier form of the table lack a key, and go.
        others = [
            row
            for row in before["rows"]
            if set(keys) <= row.keys() and tuple(row[key] for key in keys) not in new
        ]
        if others:
            commands = list(dict.fromkeys([*before["command"].split("; "), *commands]))
        rows = [*others, *rows]
    content = {"machine": measured, "command": "; ".join(commands), "rows": rows}
    file.write_text(json.dumps(content, indent=1) + "\n")


def results(name: str) -> dict[str, dict[str, Any]]:
    """What was measured under a name, by the folder of the machine."""
    files = sorted(RESULTS.glob(f"*/{name}.json"), reverse=True)
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def command() -> str:
    """What was typed, without the paths of this machine."""
    script, *arguments = sys.argv
    words = [Path(word).name if "/" in word else word for word in arguments]
    path = Path(script).resolve()
    shown = path.relative_to(ROOT) if ROOT.resolve() in path.parents else path.name
    return " ".join(["python", str(shown), *words])


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from chargen.training.machine import CPUINFO, features

    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    models = [line for line in lines if line.startswith("model name")]
    names = ("numpy", "h5py", "tensorflow", "keras", "torch")
    found = features(CPUINFO)
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "features": [name for name in TELLING_FEATURES if name in found],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    } | {name: _version(name) for name in names}


def folder_of(measured: Mapping[str, Any]) -> str:
    """The name of a machine's folder: its processor, and the fastest of its products."""
    name = re.sub(r"\(.*?\)|@.*|processor|cpu", "", measured["cpu"].lower())
    return "-".join([*name.split(), *measured["features"][:1]])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
