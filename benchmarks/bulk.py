"""Bulk generation: names that are new, and what guards against copies and loops cost.

    python benchmarks/bulk.py [--rounds 5]
    python benchmarks/bulk.py --copies      # a million characters from a model that has memorised

Names: the whole command, start included, with a model of corpora/names.txt trained by default.
Guards: one text of LSTM 1x256, trained on --text for half a minute, in turns without and with each.
Copies: corpora/fables.txt is memorised by LSTM 1x512, nothing dropped; a million characters
are written with --max-copy 20 and without, and searched in another way for what they share with it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, parser, save

COMMAND = [sys.executable, "-m", "chargen"]
NAMES = ROOT / "corpora" / "names.txt"
FABLES = ROOT / "corpora" / "fables.txt"
COUNT = 10_000
LENGTH = 20_000
MAX_COPY = 20
BY_HEART = (
    "--units 512 --dropout 0 --weight-drop 0 --average 0 --validation 0 --epochs 40 --patience 0"
)


def main() -> None:
    """Run what is asked for."""
    options = parser(__doc__)
    options.add_argument(
        "--copies", action="store_true", help="the check with a million characters"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.copies:
            copies(Path(folder))
        else:
            names(Path(folder), chosen.rounds)
            guards(Path(folder), chosen.rounds, chosen.text)


def names(folder: Path, rounds: int) -> None:
    """10,000 names in one command."""
    run([*COMMAND, "train", NAMES, "-q", "-o", folder / "names", "--random-seed", "1"])
    bulk = ["sample", "-c", folder / "names", "--count", COUNT, "--stop", "\n", "-q"]
    ways = {
        "as they come": [],
        "new and none twice": ["--unique", "--corpus", NAMES],
        "the same, as JSON with their bits": ["--unique", "--corpus", NAMES, "--jsonl"],
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    characters = {}
    for number in range(rounds):
        for way, more in ways.items():
            started = time.perf_counter()
            output = run([*COMMAND, *bulk, "--random-seed", number, *more])
            seconds[way].append(time.perf_counter() - started)
            lines = output.decode().splitlines()
            if "--jsonl" in more:
                lines = [json.loads(line)["text"] for line in lines]
            assert len(lines) == COUNT
            if more:
                assert len(set(lines)) == COUNT
                assert not set(lines) & set(NAMES.read_text().splitlines())
            characters[way] = sum(map(len, lines)) + COUNT
    save(
        "bulk_names",
        [
            {
                "10,000 names": way,
                "seconds": statistics.median(seconds[way]),
                "characters/s": characters[way] / statistics.median(seconds[way]),
            }
            for way in ways
        ],
    )


def guards(folder: Path, rounds: int, text: Path) -> None:
    """One text with and without each guard."""
    import chargen

    run([*COMMAND, "train", text, "-q", "-o", folder / "ck", "--units", 256, "--budget", "30s"])
    model = chargen.load(folder / "ck")
    started = time.perf_counter()
    index = model.copy_index(text, MAX_COPY)
    building = time.perf_counter() - started
    ways = {
        "none": {},
        f"--max-copy {MAX_COPY}": {"copies": index},
        "--repetition-guard 24": {"repetition_guard": 24},
        "both": {"copies": index, "repetition_guard": 24},
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):  # the first warms up
        for way, options in ways.items():
            started = time.perf_counter()
            model.sample(length=LENGTH, random_seed=number, **options)
            rates[way].append(LENGTH / (time.perf_counter() - started))
    medians = {way: statistics.median(values[1:]) for way, values in rates.items()}
    rows = [
        {
            "guard": way,
            "characters/s": medians[way],
            "loss": f"{100 * (1 - medians[way] / medians['none']):.1f} %",
        }
        for way in ways
    ]
    print(f"the index of {text.name} took {building:.1f} s and {index.nbytes / 1e6:.0f} MB")
    save("bulk_guards", rows)


def copies(folder: Path) -> None:
    """What is copied by a model that has memorised its text."""
    train = ["train", FABLES, "-q", "-o", folder / "heart", "--random-seed", "1"]
    run([*COMMAND, *train, *BY_HEART.split()])
    corpus = FABLES.read_text()
    rows = []
    for guard in ([], ["--max-copy", MAX_COPY, "--corpus", FABLES]):
        sample = ["sample", "-c", folder / "heart", "-n", 10_000, "--count", 100, "-q", "--jsonl"]
        started = time.perf_counter()
        output = run([*COMMAND, *sample, "--random-seed", "1", *guard])
        seconds = time.perf_counter() - started
        texts = [json.loads(line)["text"] for line in output.decode().splitlines()]
        rows.append(
            {
                "guard": " ".join(map(str, guard[:2])) or "none",
                "characters": sum(map(len, texts)),
                "seconds": seconds,
                "longest copy": max(longest(text, corpus) for text in texts),
            }
        )
    save("bulk_copies", rows)


def longest(text: str, corpus: str) -> int:
    """The longest passage of the text that the corpus has, by Python's own search."""
    best, start = 0, 0
    while start + best < len(text):
        # A longer one than the best so far, from here?
        if text[start : start + best + 1] in corpus:
            best += 1
        else:
            start += 1
    return best


def run(command: list[object]) -> bytes:
    """Standard output of a command."""
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    main()
