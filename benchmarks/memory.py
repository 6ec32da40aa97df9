"""What `chargen train` takes on long texts: the speed of encoding them, and the peak of its memory.

    python benchmarks/memory.py [--megabytes 10 100 1000] [--kinds ascii other] [--budget 60s]
    python benchmarks/memory.py --guards    # --max-copy, --unique and novelty against such a text
    python benchmarks/memory.py --killed --megabytes 1000    # a run killed amid this, and resumed

The texts are pieces of this system's own sources and documentation, in random order and each with
some changes, so that none is quite like another; `other` has their letters in other scripts. Each
is encoded in a process of its own, once anew and once more with the file of ids that is there; then
an LSTM 1x256 is trained on it from a cold start, by the real command.
"""

import json
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import ROOT, environment, parser, save

FOLDERS = (Path(sysconfig.get_path("stdlib")), Path("/usr/share/doc"), Path("/usr/share/perl"))
ENDINGS = {".py", ".pm", ".pl", ".txt", ".rst", ".md", ".html", ".c", ".h", ""}
POOL_BYTES = 40 * 10**6
"""What pieces are taken from."""
PIECE_CHARACTERS = 20_000
CHANGED_WORDS = 10
"""Words of a piece that are replaced by other words of the pool, wherever they stand in it."""
CYRILLIC, CHINESE = 0x430, 0x4E00
ENCODE = """
import json, sys, time
from pathlib import Path
from chargen.checkpoint.ids import IdsFile
from chargen.data.text import TextFormat
started = time.perf_counter()
corpus = IdsFile(Path(sys.argv[2])).corpus([sys.argv[1]], TextFormat())
print(json.dumps([time.perf_counter() - started, len(corpus.vocabulary)]))
"""
MEASURE = """
import resource, subprocess, sys
command = [sys.executable, "-m", "chargen", *sys.argv[1:]]
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)  # Linux counts in KiB
"""
OPTIONS = ("-o", "ck", "--units", "256")
LEARNED_BYTES = 10**5
"""What the model has learned that writes against a long text: how well it does so is no matter."""


def main() -> None:
    """Measure and print."""
    choices = parser(__doc__)
    choices.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 1000])
    choices.add_argument("--kinds", nargs="+", choices=("ascii", "other"), default=["ascii"])
    choices.add_argument("--budget", default="60s")
    choices.add_argument("--seed", type=int, default=1)
    what = choices.add_mutually_exclusive_group()
    what.add_argument("--guards", action="store_true", help="what is compared with the texts")
    what.add_argument("--killed", action="store_true", help="runs that are killed, and resumed")
    options = choices.parse_args()
    rows: list[dict[str, object]] = []
    for kind in options.kinds:
        for megabytes in options.megabytes:
            with tempfile.TemporaryDirectory() as folder:
                text = Path(folder) / "text.txt"
                write_text(text, megabytes * 10**6, kind, random.Random(options.seed))
                if options.guards:
                    rows += guarded(text)
                elif options.killed:
                    rows.append(killed(text, kind, options.budget))
                else:
                    rows.append(measured(text, kind, options.budget))
    if options.guards:
        save("memory_guards", rows, ["command", "corpus, MB"])
    elif options.killed:
        save("memory_killed", rows, ["text", "MB"])
    else:
        save("memory", rows, ["text", "MB"])


def write_text(path: Path, size: int, kind: str, rng: random.Random) -> None:
    """Write a text of some size, the same for the same machine, size, kind and seed."""
    pieces = changed_pieces(pool(), rng)
    written = 0
    with path.open("wb") as file:
        while written < size:
            piece = next(pieces)
            data = (piece if kind == "ascii" else in_another_script(piece, rng)).encode()
            written += file.write(data)


def pool() -> str:
    """The beginning of the sources and the documentation that this machine has, as ASCII."""
    found: list[str] = []
    size = 0
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*")):
            if path.suffix in ENDINGS and path.is_file() and "site-packages" not in path.parts:
                text = path.read_bytes().decode("ascii", "ignore").replace("\r", "")
                if "\0" not in text:
                    found.append(text)
                    size += len(text)
            if size >= POOL_BYTES:
                return "".join(found)
    return "".join(found)


def changed_pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Pieces of a text, each with other words in the place of some, without end."""
    words = re.findall(r"\b[a-z]{3,9}\b", text[: 10**7])
    while True:
        start = rng.randrange(len(text) - PIECE_CHARACTERS)
        piece = text[start : start + PIECE_CHARACTERS]
        for word in rng.sample(piece.split(), CHANGED_WORDS):
            piece = piece.replace(word, rng.choice(words))
        yield piece


def in_another_script(piece: str, rng: random.Random) -> str:
    """A piece with its letters replaced: by Cyrillic, by accented ones, or words by Chinese."""
    script = rng.randrange(3)
    if script == 0:
        return piece.translate({n: CYRILLIC + n % 32 for n in range(ord("a"), ord("z") + 1)})
    if script == 1:
        return piece.translate(str.maketrans("aeioun", "áèïôüñ"))
    return re.sub(r"[a-z]{2,}", lambda word: chinese(word[0]), piece)


def chinese(word: str) -> str:
    """A character that stands for a word."""
    return chr(CHINESE + int.from_bytes(word.encode()[:4]) % 5000)


def measured(text: Path, kind: str, budget: str) -> dict[str, object]:
    """A row of the table."""
    size, folder = text.stat().st_size, text.parent / "encoded"
    folder.mkdir()
    command = [sys.executable, "-c", ENCODE, str(text), str(folder)]
    seconds = []
    for _ in range(2):
        output = subprocess.run(
            command, env=environment(ROOT), cwd=folder, check=True, capture_output=True
        ).stdout
        took, distinct = json.loads(output)
        seconds.append(took)
    for file in folder.iterdir():  # or training would take it over
        file.unlink()
    began, peak = trained(text, budget)
    return {
        "text": kind,
        "MB": round(size / 1e6),
        "distinct characters": distinct,
        "encoded, MB/s": size / 1e6 / seconds[0],
        "once more, MB/s": size / 1e6 / seconds[1],
        "first step after, s": began,
        "peak memory, GB": peak / 1e9,
    }


def killed(text: Path, kind: str, budget: str) -> dict[str, object]:
    """A row of a run that dies when half of the text is encoded, and is resumed."""
    command = [sys.executable, "-m", "chargen", "train", str(text), *OPTIONS, "--budget", budget]
    size, written = text.stat().st_size, 0
    with subprocess.Popen(
        command, cwd=text.parent, env=environment(ROOT), stderr=subprocess.DEVNULL
    ) as process:
        while written < size / 2:
            if process.poll() is not None:
                sys.exit("the text was encoded before the run could be killed; give a longer one")
            written = sum(file.stat().st_size for file in (text.parent / "ck").glob(".ids.*"))
            time.sleep(0.01)
        process.kill()
    began, peak = trained(text, budget, "--resume")
    return {
        "text": kind,
        "MB": round(size / 1e6),
        "MB of ids when killed": round(written / 1e6),
        "first step after, s": began,
        "peak memory, GB": peak / 1e9,
    }


def trained(text: Path, budget: str, *more: str) -> tuple[float, float]:
    """The seconds until the first step of a run, and the most bytes that it had in memory."""
    command = ["train", str(text), *OPTIONS, "--budget", budget, *more]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE, *command],
        cwd=text.parent,
        env=environment(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    while b"char/s" not in process.stderr.readline():
        if process.poll() is not None:
            sys.exit("training did not begin")
    began = time.perf_counter() - started
    process.stderr.read()
    peak = int(process.stdout.read())
    process.wait()
    return began, peak


def guarded(text: Path) -> Iterator[dict[str, object]]:
    """Rows of what it takes to compare what is written with a text."""
    folder = text.parent
    with text.open("rb") as file:
        (folder / "beginning.txt").write_bytes(file.read(LEARNED_BYTES))
    command = [sys.executable, "-m", "chargen", "train", "beginning.txt", "-q", "-o", "ck"]
    options = ["--units", "128", "--epochs", "1"]
    quiet: Any = {"cwd": folder, "env": environment(ROOT), "stderr": subprocess.DEVNULL}
    subprocess.run([*command, *options], stdout=subprocess.DEVNULL, check=True, **quiet)
    sample = ["sample", "-c", "ck", "--random-seed", "1", "-q"]
    corpus = ["--corpus", str(text)]
    write = [sys.executable, "-m", "chargen", *sample, "-n", "20000"]
    with (folder / "draft.txt").open("wb") as file:
        subprocess.run(write, stdout=file, check=True, **quiet)
    ways = {
        "sample": [*sample, "-n", "1000"],
        "sample --max-copy 20": [*sample, "-n", "1000", "--max-copy", "20", *corpus],
        "sample --unique": [*sample, "--count", "20", "--stop", "\n", "--unique", *corpus],
        "novelty": ["novelty", "draft.txt", *corpus],
    }
    for way, arguments in ways.items():
        started = time.perf_counter()
        measuring = [sys.executable, "-c", MEASURE, *arguments]
        output = subprocess.run(measuring, stdout=subprocess.PIPE, check=True, **quiet).stdout
        yield {
            "command": way,
            "corpus, MB": round(text.stat().st_size / 1e6),
            "seconds": time.perf_counter() - started,
            "peak memory, GB": int(output) / 1e9,
        }


if __name__ == "__main__":
    main()
