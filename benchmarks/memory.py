"""The most memory that `chargen train` takes on a long text, beside the text's size.

    python benchmarks/memory.py [--megabytes 1000] [--seconds 20]

Writes the shipped fables again and again into a temporary file, trains on it by the real command,
stops the run some seconds after its first step, and prints the peak of its resident memory.
"""

import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, parser, save


def main() -> None:
    """Measure and print."""
    choices = parser(__doc__)
    choices.add_argument("--megabytes", type=int, default=1000)
    choices.add_argument("--seconds", type=float, default=20)
    options = choices.parse_args()
    fables = (ROOT / "corpora" / "fables.txt").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        with text.open("wb") as file:
            while file.tell() < options.megabytes * 10**6:
                file.write(fables)
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "chargen", "train", str(text), "-o", f"{folder}/ck"],
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        while b"char/s" not in process.stderr.readline():
            if process.poll() is not None:
                sys.exit("training did not begin")
        ready = time.perf_counter() - started
        time.sleep(options.seconds)
        process.send_signal(signal.SIGINT)
        process.communicate()
        size = text.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # Linux counts in KiB
    row = {
        "text, GB": size / 1e9,
        "first step after, seconds": ready,
        "peak memory, GB": peak / 1e9,
    }
    save("memory", [row], ["text, GB"])


if __name__ == "__main__":
    main()
