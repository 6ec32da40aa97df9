"""What a run tells while it goes; the caller prints, plots or ignores it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chargen.checkpoint.directory import Checkpoint

Reason = Literal["finished", "budget", "patience", "interrupted"]

__all__ = [
    "Evaluated",
    "Event",
    "Progressed",
    "Reason",
    "Recovered",
    "Report",
    "Started",
    "Stopped",
]


@dataclass(frozen=True)
class Started:
    """The run is about to take its first step."""

    checkpoint: Checkpoint
    parameters: int
    first_step: int
    epoch_steps: int
    total_steps: int


@dataclass(frozen=True)
class Progressed:
    """A step was taken; sent a few times a second at most."""

    step: int
    epoch: float
    fraction: float
    train_nats: float
    characters_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluated:
    """The model was scored; `record` is the line of `history.jsonl`."""

    record: dict[str, Any]
    sample: str
    characters_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Recovered:
    """The run diverged at a step, and goes on from an earlier one with half the learning rate."""

    step: int
    back_to: int
    rate_factor: float


@dataclass(frozen=True)
class Stopped:
    """The run ended: done, out of time, no longer getting better, or told to stop."""

    reason: Reason
    path: Path
    step: int
    seconds: float
    best: dict[str, Any] | None


Event = Started | Progressed | Evaluated | Recovered | Stopped
Report = Callable[[Event], None]
