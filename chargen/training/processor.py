"""What the processor does well, by the features that it names and never by a stopwatch.

A product that is timed takes longer while the machine is busy with something else, and the same
seed, text and options would then give another model.
"""

from functools import cache
from pathlib import Path

from chargen.network.threads import thread_count
from chargen.training.runtime import multiplies_bfloat16

__all__ = ["bfloat16_feature", "features", "learning_speed"]

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists the features. Of the libraries that could be asked, py-cpuinfo takes 1.3 s,
archspec does not know all of these features, and NumPy names none for bfloat16."""

SPEEDS = {"amx_bf16": 85_000, "avx512_bf16": 45_000}
"""Features that multiply bfloat16, the fastest first, with the characters per second that one core
with it learned from, training an LSTM of 256 units: on an Intel Xeon and an AMD Zen 4."""
FLOAT32_SPEED = 30_000
"""The same with float32 alone, on the Zen 4."""


@cache
def features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The names of what the processor can do, as Linux writes them; none on other systems."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    # x86 calls them flags and Arm Features; all cores have the same.
    return next(
        (frozenset(value.split()) for name, _, value in named if name.strip() in _HEADINGS),
        frozenset(),
    )


def bfloat16_feature() -> str | None:
    """The feature by which products of bfloat16 are faster here than those of float32, or None."""
    if not multiplies_bfloat16():
        return None
    return next((name for name in SPEEDS if name in features(CPUINFO)), None)


def learning_speed(threads: int | None) -> float:
    """Characters per second that an LSTM of 256 units learns from on a processor such as this.

    Args:
        threads: to compute with; None is one for each core.
    """
    feature = bfloat16_feature()
    return thread_count(threads) * (SPEEDS[feature] if feature else FLOAT32_SPEED)


_HEADINGS = {"flags", "Features"}
