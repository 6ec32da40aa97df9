"""What a run computes on: its threads, a GPU, and the number format that the processor is fast in.

The processor is judged by the features that it lists, never by timing it. Measured times change
with whatever else the machine is doing, so the same random seed, text and options could give
different models.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chargen.config import ModelConfig, NumberFormat, Precision
from chargen.errors import OptionError, TrainingError
from chargen.network.threads import thread_count
from chargen.training import runtime

__all__ = [
    "Machine",
    "bfloat16_feature",
    "features",
    "memory_bytes",
    "most_memory_used",
    "this_machine",
    "training_throughput",
]

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists the processor's features. No library does better: py-cpuinfo takes 1.3 s,
archspec does not know all of these features, and NumPy lists none for bfloat16."""
HEADINGS = {"flags", "Features"}
"""Names of the line that lists them, on x86 and on Arm."""
GROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
"""Where Linux states the memory limit of a container."""

CHARACTERS_PER_SECOND = {"amx_bf16": 85_000, "avx512_bf16": 45_000}
"""Features for products of bfloat16, the fastest first. Each has the characters per second that one
core learned from when it trained an LSTM of 256 units: an Intel Xeon's for the first, an AMD Zen
4's for the second."""
FLOAT32_CHARACTERS_PER_SECOND = 30_000
"""The same throughput with float32 alone, on the Zen 4."""
FEWEST_ROWS = 8
"""The fewest rows in a shard. Each shard prepares the weights for its products once more, and fewer
rows do not repay that."""


@dataclass(frozen=True)
class Machine:
    """What the settings of a run depend on, apart from its text and its options.

    Attributes:
        threads: how many to compute with.
        gpus: how many GPUs TensorFlow computes on.
        bfloat16: the processor's feature that makes products of bfloat16 faster than those of
            float32, or None.
        workers: how many machines like this train together, or processes that have as many threads.
    """

    threads: int
    gpus: int = 0
    bfloat16: str | None = None
    workers: int = 1

    def precision(self, asked_for: Precision) -> tuple[NumberFormat, str | None]:
        """Return the precision of the products and, if it was not asked for, the reason.

        Raises:
            OptionError: bfloat16 was asked for on a GPU, where Keras' own layers run.
        """
        if asked_for == "bfloat16" and self.gpus:
            raise OptionError(
                "--precision bfloat16 is for training on a CPU; leave it out on a GPU"
            )
        if asked_for != "auto":
            return asked_for, None
        if self.gpus:
            return "float32", "Keras' layers on a GPU use it"
        if self.bfloat16 is None:
            return "float32", "this processor or this TensorFlow has no faster products of bfloat16"
        return "bfloat16", f"the processor has {self.bfloat16}"

    def shards(self, model: ModelConfig, batch_size: int) -> int:
        """Return how many shards to divide a batch into; they are computed side by side.

        Raises:
            TrainingError: the batch cannot be divided among the workers.
        """
        if self.gpus:
            most = min(batch_size, self.gpus * self.workers)
        else:
            fitting = min(self.threads * self.workers, batch_size // FEWEST_ROWS)
            most = min(batch_size, max(self.workers, fitting))
        # With "last" the last batch is smaller anyway.
        even = [n for n in range(1, most + 1) if model.predict == "last" or batch_size % n == 0]
        if even[-1] < self.workers:
            raise TrainingError(
                f"{self.workers} workers cannot each have a part of {batch_size:,} rows; give a "
                f"--batch-size that is a multiple of {self.workers}, or fewer workers"
            )
        return even[-1]


def this_machine(threads: int | None, workers: int = 1) -> Machine:
    """Start TensorFlow, which alone knows whether it can use a GPU, and describe this machine.

    Args:
        threads: how many to compute with; None uses one for each core.
        workers: how many train together.

    Raises:
        TrainingError: TensorFlow cannot be started with this number of threads.
    """
    runtime.start(threads)
    from chargen.models.recurrent import gpus

    return Machine(thread_count(threads), len(gpus()), bfloat16_feature(), workers)


@cache
def features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return the processor's features under the names that Linux uses; on other systems, none."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    # All cores have the same.
    return next(
        (frozenset(value.split()) for name, _, value in named if name.strip() in HEADINGS),
        frozenset(),
    )


def training_throughput(threads: int | None) -> float:
    """Return the characters per second that this kind of processor trains an LSTM of 256 units on.

    Args:
        threads: how many to compute with; None uses one for each core.
    """
    feature = bfloat16_feature()
    if feature is None:
        return thread_count(threads) * FLOAT32_CHARACTERS_PER_SECOND
    return thread_count(threads) * CHARACTERS_PER_SECOND[feature]


def memory_bytes() -> int:
    """Return the memory of this machine in bytes, or as much of it as this process may use."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # another system, or no limit, which reads "max"
        found.append(int(GROUP_MEMORY.read_text()))
    return min(found)


def most_memory_used() -> int:
    """Return the most memory that this process has had so far, in bytes."""
    import resource  # which only Unix has

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def bfloat16_feature() -> str | None:
    """Return the feature that makes products of bfloat16 faster here than float32, or None."""
    if not runtime.multiplies_bfloat16():
        return None
    return next((name for name in CHARACTERS_PER_SECOND if name in features(CPUINFO)), None)
