"""How good a model is after how long: the real commands, on any text, with any options.

    python benchmarks/quality.py                                   # with no options: the defaults
    python benchmarks/quality.py --texts FILE --budgets 74s 10m --seeds 1 2 3
    python benchmarks/quality.py --texts FILE --budgets 60s --options "--cell gru"

Each run trains in an empty folder by `chargen train` and is scored by `chargen evaluate` on what it
held out, state carried from the first character to the last. For comparison with models that see
256 characters and no more, it is scored again with the state reset every 256 characters. Every run
is added to quality_runs.json, its curve included, and quality.json has medians over the random
seeds of all runs of this machine.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT, SHARED_TEXT, folder_of, machine, results, save

CORPORA = [ROOT / "corpora" / name for name in ("tunes.abc", "names.txt", "fables.txt")]
COMMAND = [sys.executable, "-m", "chargen"]
RESET = 256
SAME = ("text", "budget", "options", "seed")
"""What tells one run from another."""


def main() -> None:
    """Run all that is asked for, and print a row for each text and budget."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    texts = [text for text in (*CORPORA, SHARED_TEXT) if text.exists()]
    parser.add_argument("--texts", nargs="+", type=Path, default=texts)
    parser.add_argument("--budgets", nargs="+", default=[None], help="none: as long as it takes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--options", default="", help="more options of `chargen train`")
    chosen = parser.parse_args()
    for text in chosen.texts:
        for budget in chosen.budgets:
            for seed in chosen.seeds:
                keep(measure(text, budget, seed, chosen.options))


def measure(text: Path, budget: str | None, seed: int, options: str) -> dict[str, Any]:
    """Train once and score twice; seconds are of the whole training command."""
    given = ["--random-seed", str(seed), *options.split()]
    if budget:
        given += ["--budget", budget]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [*COMMAND, "train", text.resolve(), "-q", "-o", "ck", *given],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
        score, info = (
            json.loads(subprocess.check_output([*COMMAND, *arguments, "--json"], cwd=folder))
            for arguments in (["evaluate", "-c", "ck"], ["info", "ck"])
        )
        history = [json.loads(line) for line in (Path(folder) / "ck/history.jsonl").open()]
        reset = reset_nats(Path(folder) / "ck")
    model, training = info["model"], info["training"]
    return {
        "text": text.name,
        "characters": info["corpus"]["characters"],
        "budget": budget,
        "options": options,
        "seed": seed,
        "network": f"{model['cell'].upper()} {model['layers']}x{model['units']}",
        "batch": training["batch_size"],
        "dropout": model["dropout"],
        "weight drop": training["weight_drop"],
        "average": training["average"],
        "seconds": seconds,
        "epochs": history[-1]["epoch"],
        "train nats": history[-1]["train_nats"],
        "nats": score["nats_per_character"],
        "nats, reset": reset,
        "curve": [[line["seconds"], line["validation_nats"]] for line in history],
    }


def reset_nats(checkpoint: Path) -> float:
    """Nats per held-out character, read from the zero state at every 256th."""
    import chargen
    from chargen.checkpoint.sources import Sources

    model = chargen.load(checkpoint)
    ids = Sources(model.checkpoint).held_out_ids()
    total, count = 0.0, 0
    for start in range(0, len(ids) - 1, RESET):
        window = ids[start : start + RESET + 1]
        logits = model.logits(window[:-1]).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(logits)), window[1:]]
        total += float((np.log(np.exp(logits).sum(axis=1)) - chosen).sum())
        count += len(logits)
    return total / count


def keep(run: dict[str, Any]) -> None:
    """Add a run to those on file, and draw up the table of them all."""
    save("quality_runs", [run], SAME)
    runs = results("quality_runs")[folder_of(machine())]["rows"]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for each in runs:
        groups.setdefault(tuple(each[key] for key in SAME[:-1]), []).append(each)
    ordered = sorted(groups.values(), key=lambda group: group[0]["characters"])
    save("quality", [summary(group) for group in ordered])


def summary(runs: list[dict[str, Any]]) -> dict[str, object]:
    """A text's runs as a row of the table: medians, and the range of the figure."""
    first = runs[0]
    middle = {
        key: statistics.median(run[key] for run in runs)
        for key in ("seconds", "epochs", "train nats", "nats", "nats, reset")
    }
    lowest, highest = (bound(run["nats"] for run in runs) for bound in (min, max))
    spread = f"{lowest:.3f} to {highest:.3f}" if len(runs) > 1 else "one run"
    return {
        "text": first["text"],
        "characters": first["characters"],
        "budget": first["budget"] or "none",
        "network": " ".join([first["network"], first["options"]]).strip(),
        "seconds": f"{middle['seconds']:.0f}",
        "epochs": f"{middle['epochs']:.1f}",
        "nats (range)": f"{middle['nats']:.3f} ({spread})",
        "bits": f"{middle['nats'] / np.log(2):.3f}",
        "nats, reset": f"{middle['nats, reset']:.3f}",
    }


if __name__ == "__main__":
    main()
