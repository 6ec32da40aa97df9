"""What a run computes on: threads, a GPU, and what the processor multiplies fast.

The processor is known by the features that it names and never by a stopwatch. A product that is
timed takes longer while the machine is busy with something else, and the same seed, text and
options would then give another model.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chargen.config import ModelConfig, NumberFormat, Precision
from chargen.errors import OptionError
from chargen.network.threads import thread_count
from chargen.training import runtime

__all__ = [
    "Machine",
    "bfloat16_feature",
    "features",
    "learning_speed",
    "memory_bytes",
    "this_machine",
]

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists the features. Of the libraries that could be asked, py-cpuinfo takes 1.3 s,
archspec does not know all of these features, and NumPy names none for bfloat16."""
HEADINGS = {"flags", "Features"}
"""What Linux calls them on x86 and on Arm."""
GROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says what a container may have."""

SPEEDS = {"amx_bf16": 85_000, "avx512_bf16": 45_000}
"""Features that multiply bfloat16, the fastest first, with the characters per second that one core
with it learned from, training an LSTM of 256 units: on an Intel Xeon and an AMD Zen 4."""
FLOAT32_SPEED = 30_000
"""The same with float32 alone, on the Zen 4."""
FEWEST_ROWS = 8
"""In a shard: each prepares the weights for its products again, which fewer rows do not repay."""


@dataclass(frozen=True)
class Machine:
    """What the settings of a run depend on besides its text and its options.

    Attributes:
        threads: to compute with.
        has_gpu: whether TensorFlow computes on a GPU.
        bfloat16: the feature of the processor by which products of bfloat16 are faster here than
            those of float32, or None.
    """

    threads: int
    has_gpu: bool = False
    bfloat16: str | None = None

    def precision(self, asked_for: Precision) -> tuple[NumberFormat, str | None]:
        """The precision of the products, and why where it was not asked for.

        Raises:
            OptionError: bfloat16 was asked for on a GPU, where Keras' own layers run.
        """
        if asked_for == "bfloat16" and self.has_gpu:
            raise OptionError(
                "--precision bfloat16 is for training on a CPU; leave it out on a GPU"
            )
        if asked_for != "auto":
            return asked_for, None
        if self.has_gpu:
            return "float32", "Keras' layers on a GPU use it"
        if self.bfloat16 is None:
            return "float32", "this processor or this TensorFlow has no faster products of bfloat16"
        return "bfloat16", f"the processor has {self.bfloat16}"

    def shards(self, model: ModelConfig, batch_size: int) -> int:
        """Into how many parts to divide a batch, to be computed side by side."""
        if self.has_gpu:
            return 1
        most = max(1, min(self.threads, batch_size // FEWEST_ROWS))
        if model.predict == "last":  # whose batches vary anyway
            return most
        return next(n for n in range(most, 0, -1) if batch_size % n == 0)


def this_machine(threads: int | None) -> Machine:
    """Start TensorFlow, which alone knows whether there is a GPU it can use, and look.

    Args:
        threads: to compute with; None is one for each core.

    Raises:
        TrainingError: TensorFlow cannot be started with these threads.
    """
    runtime.start(threads)
    from chargen.models.recurrent import on_gpu

    return Machine(thread_count(threads), on_gpu(), bfloat16_feature())


@cache
def features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The names of what the processor can do, as Linux writes them; none on other systems."""
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


def learning_speed(threads: int | None) -> float:
    """Characters per second that an LSTM of 256 units learns from on a processor such as this.

    Args:
        threads: to compute with; None is one for each core.
    """
    feature = bfloat16_feature()
    return thread_count(threads) * (SPEEDS[feature] if feature else FLOAT32_SPEED)


def memory_bytes() -> int:
    """The memory of this machine, or as much of it as this process may have."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # another system, or no limit: then it says "max"
        found.append(int(GROUP_MEMORY.read_text()))
    return min(found)


def bfloat16_feature() -> str | None:
    """The feature by which products of bfloat16 are faster here than those of float32, or None."""
    if not runtime.multiplies_bfloat16():
        return None
    return next((name for name in SPEEDS if name in features(CPUINFO)), None)
