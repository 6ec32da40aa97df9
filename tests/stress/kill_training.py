"""Kill `chargen train` again and again; what it leaves must be whole, and its end the same.

    python tests/stress/kill_training.py [--kills 300] [--seed 0] [--workers 2]

A run of random settings is trained straight through, and once more with SIGKILL at random moments,
each time gone on with by `--resume`, until it ends. After each kill the checkpoint is opened,
sampled and scored. At the end all arrays of `resume.npz`, the best weights and the history,
seconds apart, must be those of the straight run, bit for bit. More runs follow until there were so
many kills. Exit status 1 if anything differed or could not be read.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "chargen"]
CHARACTERS = 12_000
LONGEST_LIFE = 1.5
"""Of a process, as a share of what the straight run took: some kills come before the first step."""


def main() -> int:
    """Run lives until there were enough kills, several at a time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.kills, random.Random(options.seed))
    started = time.monotonic()
    share = -(-options.kills // options.workers)
    commands = [
        [sys.executable, __file__, "--work", "--kills", str(share), "--seed", str(seed)]
        for seed in range(options.seed, options.seed + options.workers)
    ]
    workers = [subprocess.Popen(command) for command in commands]
    failed = sum(worker.wait() != 0 for worker in workers)
    print(f"{time.monotonic() - started:.0f} s; {'FAILED' if failed else 'all as it should be'}")
    return failed > 0


def work(kills: int, rng: random.Random) -> int:
    """Lives, one after the other."""
    done = failures = 0
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        fables = (ROOT / "corpora" / "fables.txt").read_text()
        Path("text").write_text(fables[:CHARACTERS])
        number = 0
        while done < kills:
            number += 1
            options = settings(rng)
            killed, wrong = live(options, rng, f"straight{number}", f"killed{number}")
            done += killed
            failures += len(wrong)
            print(f"{' '.join(options)}: {killed} kills, {wrong or 'the same end'}", flush=True)
    print(f"{done} kills, {failures} wrong", flush=True)
    return failures > 0


def settings(rng: random.Random) -> list[str]:
    """Options of a run that takes some seconds of steps."""
    options = {
        "--cell": rng.choice(["rnn", "lstm", "gru"]),
        "--optimizer": rng.choice(["adam", "adamw", "rmsprop", "sgd"]),
        "--units": rng.choice(["16", "32"]),
        "--layers": rng.choice(["1", "2"]),
        "--dropout": rng.choice(["0", "0.3"]),
        "--weight-drop": rng.choice(["0", "0.3"]),
        "--average": rng.choice(["0", "0.9"]),
        "--validation": rng.choice(["0", "0.1"]),
        "--random-seed": str(rng.randrange(1000)),
    }
    if rng.random() < 0.3:
        options |= {"--predict": "last", "--window": "8", "--epochs": "4", "--batch-size": "32"}
    else:
        options |= {"--window": "16", "--epochs": "40", "--batch-size": "4"}
    # `auto` times the machine, and two processes may find different things.
    options |= {"--precision": rng.choice(["float32", "bfloat16"]), "--threads": "2"}
    return [part for option in options.items() for part in option]


def live(
    options: list[str], rng: random.Random, straight: str, killed: str
) -> tuple[int, list[str]]:
    """Train both ways: the number of kills, and all that was wrong."""
    started = time.monotonic()
    run = [*COMMAND, "train", "text", "-q", "--save-every", "0", *options]
    subprocess.run([*run, "-o", straight], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - started
    kills, wrong = 0, []
    while True:
        begun = Path(killed, "config.json").exists()
        more = ["--resume"] if begun else ["--force"]
        process = subprocess.Popen(
            [*run, "-o", killed, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, shown = process.communicate(timeout=took * LONGEST_LIFE * rng.random())
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            if begun or Path(killed, "config.json").exists():
                wrong += unreadable(killed)
            continue
        if process.returncode:
            wrong.append(f"status {process.returncode}: {shown.decode()}")
        break
    if not wrong:
        wrong = differences(Path(straight), Path(killed))
    return kills, wrong


def unreadable(path: str) -> list[str]:
    """What cannot be done with a checkpoint as a kill left it."""
    import chargen
    from chargen.checkpoint import Checkpoint
    from chargen.errors import ChargenError

    try:
        model = chargen.load(path)
        model.sample(length=3)
        model.evaluate("the fox")
        Checkpoint.open(Path(path)).history()
    except ChargenError as error:
        return [f"unreadable: {error}"]
    return []


def differences(one: Path, other: Path) -> list[str]:
    """Where two runs did not come to the same."""
    from chargen.checkpoint import Checkpoint

    found = []
    states = [read_state(path / "resume.npz") for path in (one, other)]
    for name in states[0].keys() | states[1].keys():
        if not np.array_equal(states[0].get(name), states[1].get(name)):
            found.append(f"{name} differs")
    opened = [Checkpoint.open(path) for path in (one, other)]
    weights = [checkpoint.weights() for checkpoint in opened]
    if not all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)):
        found.append("the best weights differ")
    histories = [[{**line, "seconds": 0} for line in checkpoint.history()] for checkpoint in opened]
    if histories[0] != histories[1]:
        found.append("the histories differ")
    return found


def read_state(path: Path) -> dict[str, Any]:
    """All of a run's state but its clock."""
    with np.load(path) as file:
        state: dict[str, Any] = {name: file[name] for name in file.files}
    run = json.loads(state.pop("run").tobytes())
    return state | {
        f"run {k}": np.array(v) for k, v in run.items() if k not in ("seconds", "begun")
    }


if __name__ == "__main__":
    sys.exit(main())
