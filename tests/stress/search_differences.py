"""Search for texts that are not "the same" where they are promised to be.

    python tests/stress/search_differences.py [--kernels Haswell Sandybridge SkylakeX] [--texts N]
    python tests/stress/search_differences.py --save    # also keeps the table for benchmarks/

Two promises are tried, with networks that are trained well, trained by SGD, and not trained at all:

1. The same command writes the same bytes whatever its number of threads. Every difference is a
   counterexample.
2. A text of many is the one that its random seed writes alone, except where rounding decides. Of
   each text that differs, the network is asked how far weights that are off by one unit in the last
   place move its logits where the two texts part: where logits moved so far (four times, at most)
   do not lead to the other character, it is a counterexample.

Each of BLAS' kernels runs in a process of its own. The exit status is 1 where a counterexample is
found.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

TRAINED: dict[str, dict[str, Any]] = {
    "rnn 64, sgd": {"cell": "rnn", "units": 64, "optimizer": "sgd"},
    "rnn 128, sgd": {"cell": "rnn", "units": 128, "optimizer": "sgd"},
    "rnn 64 sigmoid, sgd": {
        "cell": "rnn",
        "units": 64,
        "activation": "sigmoid",
        "optimizer": "sgd",
    },
    "rnn 64, predict last": {"cell": "rnn", "units": 64, "predict": "last", "window": 12},
    "lstm 64": {"cell": "lstm", "units": 64},
    "lstm 256": {"cell": "lstm", "units": 256},
    "lstm 2x96": {"cell": "lstm", "units": 96, "layers": 2},
    "gru 100": {"cell": "gru", "units": 100},
}
UNTRAINED: dict[str, dict[str, Any]] = {
    "rnn 64, untrained": {"cell": "rnn", "units": 64},
    "rnn 200, untrained": {"cell": "rnn", "units": 200},
    "lstm 384, untrained": {"cell": "lstm", "units": 384},
    "gru 2x50, untrained": {"cell": "gru", "units": 50, "layers": 2},
}
# Texts written side by side, characters of each, and how they are drawn; texts are multiplied.
PLANS: list[tuple[int, int, dict[str, Any]]] = [
    (1, 400, {"temperature": 1.0}),
    (2, 300, {"temperature": 1.5}),
    (7, 60, {"temperature": 0.2}),
    (200, 10, {"temperature": 1.5}),
    (200, 10, {"temperature": 0.8, "top_k": 2}),
    (64, 20, {"temperature": 1.0, "top_p": 0.9}),
    (90, 15, {"temperature": 1.2, "min_p": 0.1}),
    (31, 40, {"temperature": 0.5, "top_k": 10, "top_p": 0.95, "min_p": 0.02}),
    (128, 12, {"temperature": 1.0, "repetition_guard": 5}),
    (40, 30, {"temperature": 1.0, "max_copy": 6}),
    (20, 60, {"temperature": 0.7, "max_copy": 8, "repetition_guard": 6}),
    (8, 800, {"temperature": 1.0}),
]


def main() -> None:
    """Make the networks and search with each kernel."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--kernels", nargs="+", default=["Haswell", "Sandybridge", "SkylakeX"])
    options.add_argument("--texts", type=int, default=1, help="times as many texts as usual")
    options.add_argument("--save", action="store_true", help="keep it in benchmarks/results")
    options.add_argument("--worker", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.worker:
        for record in search(Path(chosen.worker), chosen.texts):
            print(json.dumps(record), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_networks(Path(folder))
        totals = {}
        for kernel in chosen.kernels:
            command = [sys.executable, __file__, "--worker", folder, "--texts", str(chosen.texts)]
            environment = os.environ | {"OPENBLAS_CORETYPE": kernel}
            result = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if result.returncode:
                sys.exit(f"with {kernel}:\n{result.stderr}")
            records = [json.loads(line) for line in result.stdout.splitlines()]
            totals[kernel] = report(kernel, records)
    if chosen.save:
        save(totals)
    sys.exit(any(total["threads"] or total["unexplained"] for total in totals.values()))


def save(totals: dict[str, Counter[str]]) -> None:
    """Keep a line for each kernel as benchmarks do."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import harness

    headings = {
        "texts": "texts",
        "characters": "characters",
        "threads": "differ with other threads",
        "alone": "differ from the same text alone",
        "unexplained": "not explained by rounding",
    }
    rows = [
        {"BLAS kernels": kernel} | {heading: total[key] for key, heading in headings.items()}
        for kernel, total in totals.items()
    ]
    harness.save("same_text", rows)


def report(kernel: str, records: list[dict[str, Any]]) -> Counter[str]:
    """Print a kernel's table; its totals."""
    print(f"\n{kernel}: texts, characters, other with other threads, other alone, unexplained")
    names = list(dict.fromkeys(record["network"] for record in records))
    total: Counter[str] = Counter()
    for name in names:
        row: Counter[str] = Counter()
        for record in records:
            if record["network"] == name:
                row.update({k: v for k, v in record.items() if isinstance(v, int)})
        total += row
        print_row(name, row)
    print_row("all", total)
    return total


def print_row(name: str, row: Counter[str]) -> None:
    """One network's counts."""
    figures = (row[k] for k in ("texts", "characters", "threads", "alone", "unexplained"))
    print(f"{name:24}", *(f"{figure:>9,}" for figure in figures), flush=True)


def make_networks(folder: Path) -> None:
    """Checkpoints of all networks, and the text that most of them learned."""
    from conftest import make_checkpoint

    import chargen

    text = folder / "text"
    text.write_text((ROOT / "corpora" / "fables.txt").read_text(encoding="utf-8")[:40_000])
    for name, options in TRAINED.items():
        chargen.train(
            text,
            checkpoint=folder / name,
            epochs=2,
            window=options.pop("window", 32),
            batch_size=16,
            precision="float32",
            random_seed=1,
            **options,
        )
    characters = "".join(sorted(set(text.read_text())))
    for seed, (name, options) in enumerate(UNTRAINED.items()):
        make_checkpoint(folder / name, characters, seed, window=32, **options)


def search(folder: Path, times: int) -> Iterator[dict[str, Any]]:
    """Try every plan with every network: the counts of each."""
    from rounding import rounding_explains

    import chargen
    from chargen.config import SampleConfig
    from chargen.sampling.generate import write

    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        models = {threads: chargen.load(path, threads=threads) for threads in (1, 2)}
        model = models[1]
        for plan, (count, length, options) in enumerate(PLANS):
            options = dict(options)
            max_copy = options.pop("max_copy", None)
            copies = model.copy_index(folder / "text", max_copy) if max_copy else None
            config = SampleConfig(length=length, **options)
            found: Counter[str] = Counter()
            for repeat in range(times):
                seed = 1000 * plan + 10**6 * repeat
                seeds = [("", "The", "a fox ")[k % 3] for k in range(count)]
                texts = {
                    threads: [
                        "".join(pieces)
                        for _, pieces in write(each, seeds, config, seed, copies=copies)
                    ]
                    for threads, each in models.items()
                }
                found["texts"] += count
                found["characters"] += sum(map(len, texts[1]))
                found["threads"] += sum(a != b for a, b in zip(texts[1], texts[2], strict=True))
                for k, text in enumerate(texts[1]):
                    ((_, pieces),) = write(model, [seeds[k]], config, seed + k, copies=copies)
                    alone = "".join(pieces)
                    if alone != text:
                        found["alone"] += 1
                        ids = model.vocabulary.encode_prompt(seeds[k])
                        reason = rounding_explains(
                            model.checkpoint, ids, config, seed + k, alone, text, copies
                        )
                        found["unexplained"] += reason is None
            counts = {k: found[k] for k in ("texts", "characters", "threads", "alone")}
            yield {"network": path.name, **counts, "unexplained": found["unexplained"]}


if __name__ == "__main__":
    main()
