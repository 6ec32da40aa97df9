"""`chargen sample` on checkpoints that were made to do harm: what it says, how long, how large.

    python tests/stress/hostile_checkpoints.py [--rounds 5]

Prints for each the median of seconds and the highest memory of the whole process, its status and
what it says. Exit status 1 where one is not refused with one line and status 1 in less than half a
second and 100 MB.
"""

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from conftest import make_checkpoint

MOST_SECONDS, MOST_MB = 0.5, 100
LAMBDA = '{"config": {"layers": [{"class_name": "Lambda", "config": {"function": "import os"}}]}}'
FIRST_ARRAY = "layers/lstm/cell/vars/0"


def main() -> int:
    """Try them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        whole = make_checkpoint(Path("whole")).path
        for kind, change in KINDS.items():
            shutil.copytree(whole, kind)
            change(Path(kind))
            runs = [sample(kind) for _ in range(rounds)]
            seconds = statistics.median(run[0] for run in runs)
            megabytes = max(run[1] for run in runs)
            status, said = runs[0][2:]
            wrong = status != 1 or said.count("\n") != 1 or not said.startswith("chargen: error: ")
            wrong = wrong or seconds > MOST_SECONDS or megabytes > MOST_MB
            failed += wrong
            print(f"{kind}: {seconds:.2f} s, {megabytes:.0f} MB, status {status}: {said.strip()}")
    print("FAILED" if failed else "all as it should be")
    return failed > 0


def sample(checkpoint: str) -> tuple[float, float, int, str]:
    """Seconds, megabytes, status and what was said."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "chargen", "sample", "-c", checkpoint]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    return seconds, used.ru_maxrss / 1024, process.returncode, said


def rewrite(
    folder: Path,
    hdf5: bytes | None = None,
    layers: str = "{}",
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write `model.keras` anew, with these members."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        hdf5 = archive.read("model.weights.h5") if hdf5 is None else hdf5
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", layers)
        archive.writestr("model.weights.h5", hdf5)


def with_first_array(folder: Path, place: Callable[[h5py.File], None]) -> None:
    """Put something else in the place of the first array."""
    with zipfile.ZipFile(folder / "model.keras") as archive:
        stream = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(stream, "r+") as file:
        del file[FIRST_ARRAY]
        place(file)
    rewrite(folder, stream.getvalue())


def link(file: h5py.File) -> None:
    """A link to a file outside."""
    file[FIRST_ARRAY] = h5py.ExternalLink("/etc/passwd", "/")


def shape(file: h5py.File) -> None:
    """A declared shape of 10 GB, of which nothing is stored."""
    file.create_dataset(FIRST_ARRAY, (50_000, 50_000), np.float32)


def units(folder: Path) -> None:
    """A configuration of 4 GB of weights, beside a small file."""
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"units": 12', '"units": 16384'))


def huge(folder: Path) -> None:
    """A file of 10 GB, which takes no room on the disk."""
    with (folder / "model.keras").open("r+b") as file:
        file.truncate(10**10)


KINDS: dict[str, Callable[[Path], None]] = {
    "lambda": lambda folder: rewrite(folder, layers=LAMBDA),
    "external link": lambda folder: with_first_array(folder, link),
    "declared shape": lambda folder: with_first_array(folder, shape),
    "declared units": units,
    "bomb": lambda folder: rewrite(folder, bytes(10**9), compression=zipfile.ZIP_DEFLATED),
    "huge file": huge,
}


if __name__ == "__main__":
    sys.exit(main())
