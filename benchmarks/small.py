"""What becomes of small texts: how well they are learned, and how much of a sample is copied.

    python benchmarks/texts.py    # fetch and make the texts
    python benchmarks/small.py
    python benchmarks/small.py --texts milton c --sizes 1000 5000 --options "--dropout 0.5"

The beginning of each text is learned by `chargen train` with no options. The held-out part, the
last tenth, is predicted by the network and by n-grams of the best order. A share of a sample stands
word for word in the part learned from. The same share of the held-out part, which has the same
author or was made by the same program, says how much of that is usual.
"""

import json
import subprocess
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from harness import folder_of, machine, results, save
from kinds import COMMAND, count, train
from texts import FOLDER

from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import Sources

SAMPLE = 5_000
"""The characters of a sample."""
COPIED = 20
"""The characters of a passage from which on it counts as copied."""
SAME = ("text", "size", "options", "seed")
"""What tells one run from another."""


def main() -> None:
    """Train on each beginning, and draw up the table after each run."""
    description, *_ = (__doc__ or "").splitlines()
    parser = ArgumentParser(description=description)
    parser.add_argument("--texts", nargs="+", default=["milton", "jargon", "c", "airs", "laws"])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 5_000, 20_000, 50_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--options", default="", help="more options of `chargen train`")
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        for size in chosen.sizes:
            for text in chosen.texts:
                run = measure(chosen.folder / f"{text}.txt", size, seed, chosen.options)
                save("small_runs", [{"text": text} | run], SAME)
    runs = results("small_runs")[folder_of(machine())]["rows"]
    save("small", [summary(run) for run in runs if not run["options"]])


def measure(path: Path, size: int, seed: int, options: str) -> dict[str, Any]:
    """Learn the first `size` characters of a text, and look at what was learned."""
    with tempfile.TemporaryDirectory() as folder:
        beginning, checkpoint = Path(folder) / "text.txt", Path(folder) / "ck"
        with path.open(encoding="utf-8", newline="") as file:
            beginning.write_text(file.read(size), encoding="utf-8", newline="")
        learned = train(beginning, checkpoint, ["--random-seed", str(seed), *options.split()])
        sample = subprocess.check_output(
            [*COMMAND, "sample", "-c", checkpoint, "-n", str(SAMPLE), "--random-seed", "1"]
        )
        opened = Checkpoint.open(checkpoint)
        sources = Sources(opened)
        decode = opened.vocabulary.decode
        corpus, held_out = map(decode, (sources.train_ids(), sources.held_out_ids()))
        return (
            {"size": size, "seed": seed, "options": options}
            | learned
            | count(checkpoint)
            | {
                "copied": copied(sample, corpus, folder),
                "usual": copied(held_out.encode(), corpus, folder),
            }
        )


def copied(text: bytes, corpus: str, folder: str) -> float:
    """The share of a text in passages of `COPIED` characters or more that are in another."""
    path = Path(folder) / "corpus.txt"
    path.write_text(corpus, encoding="utf-8", newline="")
    command = [*COMMAND, "novelty", "-", "--corpus", path, "--json"]
    found = json.loads(
        subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
    )
    return float(found[f"copied_{COPIED}"])


def summary(run: dict[str, Any]) -> dict[str, object]:
    """A run as a row of the table."""
    return {
        "text": run["text"],
        "characters": run["size"],
        "network": run["network"],
        "seconds": round(run["seconds"]),
        "unigrams": f"{run['unigrams']:.3f}",
        "best n-grams": f"{run['best n-grams']:.3f} ({run['best order'] + 1}-grams)",
        "chargen": f"{run['nats']:.3f}",
        "copied": f"{run['copied']:.1%}",
        "in the held-out part": f"{run['usual']:.1%}",
    }


if __name__ == "__main__":
    main()
