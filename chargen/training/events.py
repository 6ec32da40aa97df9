"""Events of a training run, which the caller prints, plots or ignores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chargen.checkpoint.directory import Checkpoint

Reason = Literal["finished", "budget", "patience", "interrupted"]

__all__ = [
    "COPIED_LENGTH",
    "Evaluated",
    "Event",
    "Noted",
    "Preview",
    "Progressed",
    "Reason",
    "Recovered",
    "Report",
    "Started",
    "Stopped",
    "TextRead",
]

COPIED_LENGTH = 20
"""The length in characters from which on a passage counts as copied: about four words."""


@dataclass(frozen=True)
class Noted:
    """Something that the user should know: about the texts, or what cannot be written.

    Attributes:
        sentence: what it is, without a full stop.
    """

    sentence: str


@dataclass(frozen=True)
class TextRead:
    """A part of a long text was read, before the run starts.

    This event comes a few times per second at most, and not at all if the text is short.

    Attributes:
        read: how many bytes of the texts have been read.
        size: how many there are; None if that is not known, as of a pipe or a compressed text, and
            has not been read to the end.
    """

    read: int
    size: int | None


@dataclass(frozen=True)
class Started:
    """The run is about to take the first step of this session.

    Attributes:
        checkpoint: the directory and the configuration.
        parameters: how many numbers are trained.
        first_step: how many steps earlier sessions have taken.
        epoch_steps: steps in an epoch.
        total_steps: steps in all epochs.
        unigram_bits: bits per held-out character if each is predicted from the frequencies of the
            training text alone; None if nothing is held out.
        sixgram_bits: the same from the five characters before it, by counting; see
            `chargen.scoring.baselines`.
    """

    checkpoint: Checkpoint
    parameters: int
    first_step: int
    epoch_steps: int
    total_steps: int
    unigram_bits: float | None
    sixgram_bits: float | None


@dataclass(frozen=True)
class Progressed:
    """Steps were taken. This event comes a few times per second at most.

    Attributes:
        step: how many steps have been taken in all.
        epoch: the same in epochs.
        fraction: share of the run that is done, from 0 to 1.
        train_nats: mean loss since the last evaluation, in nats per character.
        gradient_norm: mean norm of the gradient of all weights since then, before it is clipped.
        characters_per_second: throughput of the last seconds, evaluations included.
        seconds_left: estimate of the time until the run ends.
    """

    step: int
    epoch: float
    fraction: float
    train_nats: float
    gradient_norm: float
    characters_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Evaluated:
    """The model was evaluated.

    Attributes:
        record: the line that was added to `history.jsonl`.
        sample: a short text that the model wrote.
        characters_per_second: throughput of the last seconds, evaluations included.
        seconds_left: estimate of the time until the run ends.
    """

    record: dict[str, Any]
    sample: str
    characters_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Recovered:
    """The run diverged, and continues from its last saved state with half the learning rate.

    Attributes:
        step: where it diverged.
        back_to: the step of the saved state.
        weights_of: the step of the weights it continues with, which are the best so far where the
            run had gone on since.
        rate_factor: what is left of the configured learning rate, from 0 to 1.
    """

    step: int
    back_to: int
    weights_of: int
    rate_factor: float


@dataclass(frozen=True)
class Stopped:
    """The run ended: it was finished, out of time, no longer improving, or interrupted.

    Attributes:
        reason: which of these it was.
        path: the checkpoint's directory.
        step: how many steps were taken in all.
        seconds: time spent over all sessions.
        best: the line of `history.jsonl` for the best weights; None before an evaluation.
        copied: the share of a text by the best weights, from 0 to 1, in passages of
            `COPIED_LENGTH` characters or more that stand word for word in the text learned from;
            None if that was not looked at.
        usual: the same share of the held-out text; None if nothing is held out.
    """

    reason: Reason
    path: Path
    step: int
    seconds: float
    best: dict[str, Any] | None
    copied: float | None = None
    usual: float | None = None


@dataclass(frozen=True)
class Preview:
    """A run as it would be; the answer of a rehearsal, and no event of a run.

    Attributes:
        started: the event that would open it.
        seconds: how long it would take on this machine, start-up included: its budget, or an
            estimate.
        memory: how many bytes this process held at most.
    """

    started: Started
    seconds: float
    memory: int


Event = Noted | TextRead | Started | Progressed | Evaluated | Recovered | Stopped
Report = Callable[[Event], None]
