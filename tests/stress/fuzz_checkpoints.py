"""Damage checkpoints in many ways; the commands must never do worse than an error of one line.

    python tests/stress/fuzz_checkpoints.py [--count 100000] [--first 0] [--workers 2]

Checkpoint number n is damaged as random numbers from seed n say: bytes of a file are changed,
moved or cut off, values in its JSON replaced by others, or bytes of an archive's member with the
member's checksum made right again. Then `info`, `list`, `sample` and `evaluate` run on it, or, for
resume.safetensors, what `--resume` reads it with. Each must end with status 0 or 1, and 1 with one
line, within seconds and a bounded memory. Workers that die are counted as crashes, and their number
is printed. Exit status 1 if anything misbehaved.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

SECONDS = 10
"""A checkpoint may take; the largest here has some hundred weights."""
MEMORY = 4 << 30
"""Of addresses a worker may have, TensorFlow's own apart."""
BATCH = 2_000
FILES = ["config.json", "vocabulary.json", "history.jsonl", "model.keras", "model.keras"]
COMMANDS = [
    ["info", "ck"],
    ["list", "."],
    ["sample", "-c", "ck", "-n", "3", "-q"],
    ["evaluate", "text", "-c", "ck", "--json"],
]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**30, "",
    "lstm", "x" * 100_000, "\x1b]0;title\x07", "../../etc/passwd", "\ud800", [], {}, [[]] * 1000,
    {"class_name": "Lambda"},
]  # fmt: skip


def main() -> int:
    """Share the seeds out to workers, and sum up what they saw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return 0
    started = time.monotonic()
    waiting = [
        (first, min(first + BATCH, options.first + options.count))
        for first in range(options.first, options.first + options.count, BATCH)
    ]
    outcomes: Counter[str] = Counter()
    running: list[subprocess.Popen[str]] = []
    failures: list[str] = []
    while waiting or running:
        while waiting and len(running) < options.workers:
            first, end = waiting.pop(0)
            command = [sys.executable, __file__, "--work", str(first), str(end)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        process = running.pop(0)
        lines = process.communicate()[0].splitlines()
        for line in lines:
            _number, _, outcome = line.partition(" ")
            outcomes[outcome.split(":")[0]] += 1
            if not outcome.startswith(("read", "refused")):
                failures.append(line)
        if process.returncode:
            last = int(lines[-1].split()[0]) if lines else int(process.args[-2])  # type: ignore[index]
            failures.append(f"{last + 1} crashed: status {process.returncode}")
            waiting.insert(0, (last + 2, int(process.args[-1])))  # type: ignore[index]
    for failure in failures:
        print(failure)
    seconds = time.monotonic() - started
    print(f"{sum(outcomes.values()):,} checkpoints in {seconds:.0f} s: {dict(outcomes)}")
    print(f"{len(failures)} misbehaved")
    return bool(failures)


def work(first: int, end: int) -> None:
    """Damage and try the checkpoints from `first` to before `end`, a line for each."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        restore = prepare(folder)
        os.chdir(folder)
        signal.signal(signal.SIGALRM, timed_out)
        for number in range(first, end):
            signal.alarm(SECONDS)
            outcome = attempt(random.Random(number), folder, restore if number % 5 == 0 else None)
            signal.alarm(0)
            print(number, outcome, flush=True)


def timed_out(signal_number: int, frame: object) -> None:
    """Report a hang as the outcome."""
    raise TimeoutError("it took too long")


def prepare(folder: Path) -> Any:
    """A whole checkpoint to damage copies of, and what reads a `resume.safetensors`."""
    from conftest import make_checkpoint, make_training

    from chargen.checkpoint.directory import HISTORY_FIELDS
    from chargen.training import runtime

    runtime.start(1)
    from chargen.models.factory import build_learner
    from chargen.training import state

    whole = make_checkpoint(folder / "whole", cell="lstm", units=4, dropout=0.1)
    line = dict.fromkeys(HISTORY_FIELDS, 1)
    (whole.path / "history.jsonl").write_text((json.dumps(line) + "\n") * 3)
    (folder / "text").write_text("a badge\nhid a cab\n")
    training = make_training(average=0.9)
    learner = build_learner(whole.model, training)
    state.save(whole.path, learner, state.RunState(step=5))
    # TensorFlow keeps addresses that it does not use; what comes on top of them is limited.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    return lambda path: state.restore(path, learner)


def attempt(rng: random.Random, folder: Path, restore: Any) -> str:
    """Damage a copy and say what came of it."""
    shutil.rmtree(folder / "ck", ignore_errors=True)
    shutil.copytree(folder / "whole", folder / "ck")
    path = folder / "ck" / ("resume.safetensors" if restore else rng.choice(FILES))
    damage(rng, path)
    try:
        if restore:
            return restoring(restore, folder / "ck")
        return running(rng)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return f"raised: {path.name} {type(error).__name__} {error!s:.200}"


def restoring(restore: Any, path: Path) -> str:
    """Read `resume.safetensors`."""
    from chargen.errors import CheckpointError

    try:
        restore(path)
    except CheckpointError as error:
        return "refused" if "\n" not in str(error) else f"lines: {error}"
    return "read"


def running(rng: random.Random) -> str:
    """Run a command as `chargen` does."""
    from click.testing import CliRunner

    from chargen.cli import cli

    command = rng.choice(COMMANDS)
    result = CliRunner().invoke(cli, command)
    if result.exit_code == 0:
        return "read"
    shown = result.stderr.splitlines()
    if not isinstance(result.exception, SystemExit):
        return f"raised: {' '.join(command)} {result.exception!r:.300}"
    if result.exit_code != 1 or len(shown) != 1 or not shown[0].startswith("chargen: error: "):
        return f"answered: {' '.join(command)} {result.exit_code} {result.stderr!r:.300}"
    return "refused"


def damage(rng: random.Random, path: Path) -> None:
    """Change a file in one of the ways there are for its kind."""
    data = path.read_bytes()
    if path.suffix in {".json", ".jsonl"} and rng.random() < 0.6:
        path.write_bytes(damaged_json(rng, data))
    elif zipfile.is_zipfile(path) and rng.random() < 0.7:
        with zipfile.ZipFile(path) as archive:
            members = [(member.filename, archive.read(member)) for member in archive.infolist()]
        chosen = rng.randrange(len(members))
        name, content = members[chosen]
        if name.endswith(".json") and rng.random() < 0.5:
            members[chosen] = name, damaged_json(rng, content)
        else:
            members[chosen] = name, damaged_bytes(rng, content)
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, content in members:
                archive.writestr(name, content)
        path.write_bytes(stream.getvalue())
    else:
        path.write_bytes(damaged_bytes(rng, data))


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """A few changes, more often where there is something than among zeros."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 10))):
        if not changed:
            break
        at = max((rng.randrange(len(changed)) for _ in range(4)), key=lambda i: changed[i] != 0)
        other, size = rng.randrange(len(changed)), rng.randrange(1, 64)
        match rng.randrange(6):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice((0, 1, 0x1B, 0x7F, 0x80, 0xFF))
            case 2:
                number = rng.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(data)))
                width = rng.choice((2, 4, 8))
                changed[at : at + width] = number.to_bytes(8, "little")[:width]
            case 3:
                changed[at : at + size] = changed[other : other + size]
            case 4:
                changed[at:at] = changed[other : other + size]
            case 5:
                del changed[at : at + rng.choice((size, len(changed)))]
    return bytes(changed)


def damaged_json(rng: random.Random, data: bytes) -> bytes:
    """One value, somewhere, replaced, removed or added."""
    lines = [json.loads(line) for line in data.splitlines()] if data.count(b"}\n{") else None
    content = lines if lines is not None else json.loads(data)
    place, key = content, None
    holder = content
    while isinstance(place, dict | list) and place and (key is None or rng.random() < 0.8):
        holder = place
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        place = holder[key]
    value = rng.choice(VALUES)
    match rng.randrange(4):
        case 0 if key is not None:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["surprise", "class_name", "units"])] = value
        case _ if key is not None:
            holder[key] = value
        case _:
            content = value
    if lines is not None and isinstance(content, list):
        return b"".join(json.dumps(line).encode() + b"\n" for line in content)
    return json.dumps(content).encode()


if __name__ == "__main__":
    sys.exit(main())
