"""How well texts of many kinds are learned in a given time, beside a small GPT and n-grams.

    python benchmarks/texts.py                          # fetch and make the texts
    python benchmarks/kinds.py --budgets 30s 74s 10m --seeds 1 2 3
    python benchmarks/kinds.py --texts poems dna --options "--embedding 128"

Each text is learned by `chargen train` with no options but the budget, and in turns by the small
GPT of `rivals/gpt_torch.py`, which is given as many seconds. Both hold out the same end of the
text. Every run is added to kinds_runs.json, and kinds.json has the medians over the random seeds.
Runs with `--options` are kept apart, for what is tried beside the defaults.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT, folder_of, machine, results, save
from texts import FOLDER, TEXTS, Text

COMMAND = [sys.executable, "-m", "chargen"]
RIVAL = [sys.executable, str(ROOT / "benchmarks" / "rivals" / "gpt_torch.py")]
SAME = ("text", "budget", "options", "seed")
"""What tells one run from another."""


def main() -> None:
    """Run all that is asked for, and draw up the table after each run."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    parser.add_argument("--texts", nargs="+", default=[text.name for text in TEXTS])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--budgets", nargs="+", default=["74s"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--options", default="", help="more options of `chargen train`")
    parser.add_argument("--alone", action="store_true", help="leave out the small GPT")
    chosen = parser.parse_args()
    texts = [text for text in TEXTS if text.name in chosen.texts]
    for budget in chosen.budgets:
        for seed in chosen.seeds:
            for text in texts:
                path = chosen.folder / f"{text.name}.txt"
                run = measure(path, budget, seed, chosen.options)
                share = run["held-out share"]
                rival = None if chosen.alone else measure_rival(path, budget, seed, share)
                keep(text, run | {"GPT nats": rival})


def measure(path: Path, budget: str, seed: int, options: str) -> dict[str, Any]:
    """Train by the command, and score what it held out."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "ck"
        given = ["--budget", budget, "--random-seed", str(seed), *options.split()]
        learned = train(path, checkpoint, given) | count(checkpoint)
    return {"budget": budget, "options": options, "seed": seed} | learned


def train(path: Path, checkpoint: Path, options: Sequence[str]) -> dict[str, Any]:
    """Train by the command, and say what came of it; seconds are of the whole command."""
    started = time.perf_counter()
    command = [*COMMAND, "train", path.resolve(), "-q", "-o", checkpoint, *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    score, info = (
        json.loads(subprocess.check_output([*COMMAND, *command, "--json"], cwd=ROOT))
        for command in (["evaluate", "-c", str(checkpoint)], ["info", str(checkpoint)])
    )
    history = [json.loads(line) for line in (checkpoint / "history.jsonl").open()]
    model, training, corpus = info["model"], info["training"], info["corpus"]
    return {
        "characters": corpus["characters"],
        "distinct": model["vocabulary_size"],
        "network": f"{model['cell'].upper()} {model['layers']}x{model['units']}",
        "embedding": model["embedding"],
        "held-out share": training["validation"],
        "batch": training["batch_size"],
        "seconds": seconds,
        "steps": history[-1]["step"],
        "epochs": history[-1]["epoch"],
        "train nats": history[-1]["train_nats"],
        "nats": score["nats_per_character"],
    }


def count(checkpoint: Path) -> dict[str, float]:
    """Nats per held-out character by counting: unigrams, 6-grams, and the best n-grams."""
    from chargen.checkpoint.directory import Checkpoint
    from chargen.checkpoint.sources import Sources
    from chargen.scoring.baselines import MOST_TRAINING, SIXGRAM_ORDER, mean_ngram_bits

    opened = Checkpoint.open(checkpoint)
    sources = Sources(opened)
    train = sources.train_ids()[-MOST_TRAINING:]
    bits = mean_ngram_bits(train, sources.held_out_ids(), opened.vocabulary)
    nats = [each * float(np.log(2)) for each in bits]
    return {
        "unigrams": nats[0],
        "6-grams": nats[SIXGRAM_ORDER],
        "best n-grams": min(nats),
        "best order": nats.index(min(nats)),
    }


def measure_rival(path: Path, budget: str, seed: int, share: float) -> float:
    """Nats per held-out character of the small GPT, of the same share of the text."""
    options = ["--budget", budget, "--random-seed", str(seed), "--validation", str(share)]
    command = [*RIVAL, str(path), *options]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(json.loads(output.splitlines()[-1])["nats"])


def keep(text: Text, run: dict[str, Any]) -> None:
    """Add a run to those on file, and draw up the table of those without options."""
    described = {"text": text.name, "kind": text.kind, "script": text.script}
    save("kinds_runs", [described | {"use": text.use} | run], SAME)
    runs = results("kinds_runs")[folder_of(machine())]["rows"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in runs:
        if not each["options"]:
            groups.setdefault((each["text"], each["budget"]), []).append(each)
    save("kinds", [summary(group) for group in groups.values()])


def summary(runs: list[dict[str, Any]]) -> dict[str, object]:
    """A text's runs as a row of the table."""
    first = runs[0]
    nats = [run["nats"] for run in runs]
    row = {
        "text": first["text"],
        "kind": f"{first['kind']}, {first['script']}",
        "use": first["use"],
        "characters": first["characters"],
        "distinct": first["distinct"],
        "budget": first["budget"],
        "network": first["network"],
        "unigrams": f"{first['unigrams']:.3f}",
        "6-grams": f"{first['6-grams']:.3f}",
        "best n-grams": f"{first['best n-grams']:.3f}",
    }
    rivals = [run["GPT nats"] for run in runs if run["GPT nats"] is not None]
    middle = statistics.median(nats)
    row["small GPT"] = f"{statistics.median(rivals):.3f}" if rivals else "-"
    row["chargen"] = f"{middle:.3f} ({_range(nats)})"
    row["ahead of the GPT by"] = f"{statistics.median(rivals) - middle:.3f}" if rivals else "-"
    return row


def _range(values: Iterable[float]) -> str:
    values = sorted(values)
    return f"{values[0]:.3f} to {values[-1]:.3f}" if len(values) > 1 else "one run"


if __name__ == "__main__":
    main()
