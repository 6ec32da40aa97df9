"""Kill `chargen train` again and again; what it leaves must be whole, and its end the same.

    python tests/stress/kill_training.py [--kills 300] [--seed 0] [--workers 2] [--ids]

A run of random settings is trained straight through, and once more with SIGKILL at random moments,
each time gone on with by `--resume`, until it ends. Half of the moments are times, half are just
before the process would flush or rename a file for the n-th time. After each kill the checkpoint
is opened, sampled and scored. At the end all arrays of `resume.safetensors`, the best weights and
the history, seconds apart, must be those of the straight run, bit for bit. More runs follow until
there were so many kills. Exit status 1 if anything differed or could not be read.

With --ids the text counts as a long one, whose ids are in a file. A process that was killed before
its run began is then followed by one with --resume too, half of the time, and in the end there must
be no such file and nothing beside the directory.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
PYTHON = [sys.executable, "-c"]
COMMAND = [sys.executable, "-m", "chargen"]
CHARACTERS = 12_000
LONGEST_LIFE = 1.0
"""Of a process, as a share of what the straight run took: some kills come before the first step."""
MOST_CALLS = 60
"""That flush or rename a file in a life; each evaluation has nine of them."""

LONG = """
from chargen.data import ids
ids.MOST_IN_MEMORY = 1000
"""
"""Before the command: a short text counts as a long one."""
DYING = """
import os, signal, sys
from chargen.cli import main

left = int(sys.argv.pop(1))

def dying(call):
    def call_or_die(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return call_or_die

for name in ("fsync", "replace", "rename"):
    setattr(os, name, dying(getattr(os, name)))
main()
"""
"""The command, killed just before the call that follows so many others."""


def main() -> int:
    """Run lives until there were enough kills, several at a time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ids", action="store_true", help="the ids of the text are in a file")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        return work(options.kills, random.Random(options.seed), ids=options.ids)
    started = time.monotonic()
    share = -(-options.kills // options.workers)
    commands = [
        [sys.executable, __file__, "--work", "--kills", str(share), "--seed", str(seed)]
        for seed in range(options.seed, options.seed + options.workers)
    ]
    more = ["--ids"] if options.ids else []
    workers = [subprocess.Popen([*command, *more]) for command in commands]
    failed = sum(worker.wait() != 0 for worker in workers)
    print(f"{time.monotonic() - started:.0f} s; {'FAILED' if failed else 'all as it should be'}")
    return failed > 0


def work(kills: int, rng: random.Random, *, ids: bool) -> int:
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
            folders = Path(f"straight{number}"), Path(f"killed{number}")
            killed, wrong = live(options, deaths(rng), *folders, ids=ids)
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


def deaths(rng: random.Random) -> Iterator[float | int | None]:
    """Of one process after the other: shares of the time it would take, or numbers of calls."""
    while True:
        yield rng.random() * LONGEST_LIFE if rng.random() < 0.5 else rng.randrange(MOST_CALLS)


def live(
    options: list[str],
    deaths: Iterator[float | int | None],
    straight: Path,
    killed: Path,
    *,
    ids: bool = False,
) -> tuple[int, list[str]]:
    """Train `text` both ways: the number of kills, and all that was wrong.

    Args:
        options: of `chargen train`.
        deaths: of one process after the other: a float is a share of the time that the straight
            run took, an int a number of calls, None leaves it alone.
        straight: to leave the checkpoint of the straight run in.
        killed: to leave the other one in.
        ids: whether the ids of the killed one are in a file.
    """
    started = time.monotonic()
    run = ["train", "text", "-q", "--save-every", "0", *options]
    subprocess.run([*COMMAND, *run, "-o", straight], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - started
    kills, wrong = 0, []
    for death in deaths:
        begun = (killed / "config.json").exists()
        how = "--resume" if begun or (ids and killed.exists() and kills % 2) else "--force"
        script = [
            (LONG if ids else "") + DYING,
            str(death if isinstance(death, int) else sys.maxsize),
        ]
        command = [*PYTHON, *script] if ids or isinstance(death, int) else COMMAND
        seconds = death * took if isinstance(death, float) else None
        status, shown = run_until([*command, *run, "-o", str(killed), how], seconds)
        if status == 0:
            break
        if status != -signal.SIGKILL:
            return kills, [*wrong, f"status {status}: {shown}"]
        kills += 1
        if begun or (killed / "config.json").exists():
            wrong += unreadable(killed)
    left = (
        []
        if not ids
        else [p.name for p in (killed / "ids.safetensors", *Path().glob(".*")) if p.exists()]
    )
    wrong += [f"{name} is left" for name in left]
    return kills, wrong or differences(straight, killed)


def run_until(command: list[str], seconds: float | None) -> tuple[int, str]:
    """The status of a command, killed after so many seconds, and what it said."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, shown = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, shown = process.communicate()
    return process.returncode, shown.decode()


def unreadable(path: Path) -> list[str]:
    """What cannot be done with a checkpoint as a kill left it."""
    import chargen
    from chargen.checkpoint.directory import Checkpoint
    from chargen.errors import ChargenError

    try:
        model = chargen.load(path)
        model.sample(length=3)
        model.evaluate("the fox")
        Checkpoint.open(path).history()
    except ChargenError as error:
        return [f"unreadable: {error}"]
    return []


def differences(one: Path, other: Path) -> list[str]:
    """Where two runs did not come to the same."""
    from chargen.checkpoint.directory import Checkpoint

    found = []
    states = [read_state(path / "resume.safetensors") for path in (one, other)]
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
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        state: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        run = json.loads(file.metadata()["run"])
    return state | {
        f"run {k}": np.array(v) for k, v in run.items() if k not in ("seconds", "begun")
    }


if __name__ == "__main__":
    sys.exit(main())
