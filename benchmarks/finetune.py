"""How much sooner a small text is learned by a model that knows another one.

    python benchmarks/texts.py german polish quotations    # fetch and make the texts
    python benchmarks/finetune.py
    python benchmarks/finetune.py --texts quotations --units 128 --budget 2m
    python benchmarks/finetune.py --model DIR    # a model of English that is there already

A network learns English plays. Then it learns the beginning of a text that has other characters,
by `chargen train --init-from` with no other options. Beside it a network of the same size learns
that beginning anew, also with no other options. Both hold out the same last tenth. The steps
beside "reached" are those after which the model of English is as good as the other one ever gets.
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import ROOT, SHARED_TEXT, folder_of, machine, results, save
from texts import FOLDER

COMMAND = [sys.executable, "-m", "chargen"]
SAME = ("text", "size", "units", "seed")
"""What tells one row from another."""


def main() -> None:
    """Learn English once, then each beginning twice, and draw up the table after each."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    parser.add_argument("--english", type=Path, default=SHARED_TEXT, help="the text learned first")
    parser.add_argument("--budget", default="10m", help="the time to learn it in")
    parser.add_argument("--model", type=Path, help="a model of --units that has learned it")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--texts", nargs="+", default=["quotations", "german", "polish"])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--size", type=int, default=30_000, help="characters of a beginning")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        english = chosen.model or Path(folder) / "english"
        units = ["--units", str(chosen.units)]
        if not chosen.model:
            options = [*units, "--budget", chosen.budget, "--random-seed", "1"]
            train(chosen.english, english, options)
        for seed in chosen.seeds:
            for text in chosen.texts:
                path = chosen.folder / f"{text}.txt"
                run = measure(path, english, chosen.size, ["--random-seed", str(seed)], units)
                named = {"text": text, "size": chosen.size, "units": chosen.units, "seed": seed}
                save("finetune_runs", [named | run], SAME)
    runs = results("finetune_runs")[folder_of(machine())]["rows"]
    save("finetune", [summary(run) for run in runs])


def measure(
    path: Path, english: Path, size: int, seed: Sequence[str], units: Sequence[str]
) -> dict[str, Any]:
    """Learn the first `size` characters of a text from English, and anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        beginning = folder / "text.txt"
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read(size)
        beginning.write_text(text, encoding="utf-8", newline="")
        curves = {
            "tuned": train(beginning, folder / "tuned", ["--init-from", str(english), *seed]),
            "anew": train(beginning, folder / "anew", [*units, *seed]),
        }
    known = set(json.loads((english / "vocabulary.json").read_text(encoding="utf-8"))["characters"])
    return {"new characters": len(set(text) - known)} | curves


def train(text: Path, checkpoint: Path, options: Sequence[str]) -> list[list[float]]:
    """Train by the command; returns steps and bits per held-out character, by evaluation."""
    command = [*COMMAND, "train", str(text.resolve()), "-q", "-o", str(checkpoint), *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    history = [json.loads(line) for line in (checkpoint / "history.jsonl").open()]
    return [
        [line["step"], line["validation_bits"]]
        for line in history
        if line["validation_bits"] is not None  # it is where a run diverged
    ]


def summary(run: dict[str, Any]) -> dict[str, object]:
    """A pair of runs as a row of the table."""
    best_step, best = min(run["anew"], key=lambda point: point[1])
    tuned_step, tuned = min(run["tuned"], key=lambda point: point[1])
    reached = next((step for step, bits in run["tuned"] if bits <= best), None)
    return {
        "text": run["text"],
        "characters": run["size"],
        "new": run["new characters"],
        "units": run["units"],
        "seed": run["seed"],
        "anew": f"{best:.3f}",
        "steps": best_step,
        "from English": f"{tuned:.3f}",
        "its steps": tuned_step,
        "reached the former after": "never" if reached is None else reached,
        "of its steps": "-" if reached is None else f"{reached / best_step:.0%}",
    }


if __name__ == "__main__":
    main()
