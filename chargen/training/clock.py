"""Measure how far a run is, in steps and in seconds, and say what is due."""

import math
import time
from collections import deque
from typing import Literal

from chargen.config import TrainConfig
from chargen.data.windows import Windows
from chargen.training.defaults import EVALUATIONS
from chargen.training.state import RunState

__all__ = ["Clock"]

WARM_UP_SHARE = 0.1
"""Share of the run in which the learning rate rises, because Adam's first estimates are poor."""
FINAL_RATE_FACTOR = 0.02
"""Share of the learning rate that the cosine ends at: the last steps settle, but still learn."""
EVALUATION_SHARE = 1 / 25
"""Largest share of a budget that evaluations may take."""
LAST_EVALUATION_FACTOR = 1.2
"""How many times as long as the longest evaluation so far the last one may take, which has to fit
into the budget."""
RECENT_SECONDS = 20
"""The time that the throughput is taken over: a machine's speed changes within a run, with whatever
else it does."""
MARK_SECONDS = 1
"""The time between two moments to measure from."""
ENDING_SECONDS = 1.0
"""Seconds for writing the last files and exiting, the last evaluation not included."""


class Clock:
    """Counts the steps and the seconds of a run.

    A run with a budget ends when its epochs or its time are used up, whichever comes first, and
    its schedule follows whichever is further along.

    Args:
        run: the progress of the run, earlier sessions included.
        windows: the training text; it determines the length of an epoch.
        training: the number of epochs, the interval of evaluations, and the budget.
        started: when this session's command began, by `time.monotonic`, so that the run's seconds
            include reading and compiling.

    Attributes:
        epoch_steps: steps in an epoch.
        total_steps: steps in all epochs.
    """

    def __init__(
        self, run: RunState, windows: Windows, training: TrainConfig, started: float
    ) -> None:
        self.epoch_steps = windows.steps
        self.total_steps = windows.steps * training.epochs
        self._run, self._training = run, training
        self._step_characters = windows.targets_per_epoch / windows.steps
        self._origin = started - run.seconds
        self._steps = 0  # taken in this session
        # Steps and seconds to measure throughput from: those of the beginning, and of moments after
        # the first block, which compiles; the oldest comes first.
        self._beginning = (0, self.elapsed())
        self._marks: deque[tuple[int, float]] = deque()
        self._longest_evaluation = 0.0
        self._next_evaluation = self._after(self.elapsed())

    def elapsed(self) -> float:
        """Return the seconds spent over all sessions."""
        return time.monotonic() - self._origin

    def begin(self) -> None:
        """Note that the first step of this session is about to be taken."""
        self._beginning = (0, self.elapsed())
        self._marks.clear()

    def reach(self, step: int) -> None:
        """Note that the run has taken this many steps in all."""
        run = self._run
        self._steps += step - run.step
        run.step, run.seconds = step, self.elapsed()
        if not self._marks:
            self._marks.append((self._steps, run.seconds))
            self._next_evaluation = self._after(run.seconds)
        elif run.seconds - self._marks[-1][1] >= MARK_SECONDS:
            self._marks.append((self._steps, run.seconds))
            while self._marks[1][1] <= run.seconds - RECENT_SECONDS:
                self._marks.popleft()
        if run.begun is None:
            run.begun = run.seconds

    def count_evaluation(self, seconds: float) -> None:
        """Note how many seconds an evaluation took, as the last one must fit into the budget."""
        self._longest_evaluation = max(self._longest_evaluation, seconds)
        self._next_evaluation = self._after(self.elapsed())

    def characters(self, step: int) -> int:
        """Return how many characters the first `step` steps learn from; exact after an epoch."""
        return round(step * self._step_characters)

    @property
    def evaluations(self) -> int:
        """How many evaluations the whole run has, if it has no budget."""
        return -(-self.total_steps // self._training.evaluate_every)

    @property
    def characters_per_second(self) -> float:
        """The throughput of the last `RECENT_SECONDS`, evaluations included."""
        return self._steps_per_second() * self._step_characters

    @property
    def seconds_left(self) -> float:
        """Seconds until the run ends, at that throughput."""
        left = self.total_steps - self._run.step
        of_epochs = left / throughput if (throughput := self._steps_per_second()) else math.inf
        if self._training.budget is None:
            return of_epochs
        return max(0.0, min(of_epochs, self._time_to_learn() - self.elapsed()))

    def fraction(self, step: int) -> float:
        """Return the share of the run that is done before a step, from 0 to 1."""
        of_epochs, begun = step / self.total_steps, self._run.begun
        if self._training.budget is None or begun is None:
            return of_epochs
        of_time = (self.elapsed() - begun) / max(self._time_to_learn() - begun, 1e-9)
        return min(1.0, max(of_epochs, of_time))

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, from the schedule and the recoveries so far."""
        highest = self._training.learning_rate * self._run.rate_factor
        fraction = self.fraction(step)
        if self._training.schedule == "constant":
            return highest
        if fraction < WARM_UP_SHARE:
            # At 0 a step would teach nothing.
            return highest * max(fraction / WARM_UP_SHARE, FINAL_RATE_FACTOR)
        cosine = (1 + math.cos(math.pi * (fraction - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
        return highest * (FINAL_RATE_FACTOR + (1 - FINAL_RATE_FACTOR) * cosine)

    @property
    def is_at_end(self) -> bool:
        """Whether the epochs are done or the time is up, however well the run goes."""
        return self._run.step >= self.total_steps or self.is_out_of_time

    @property
    def ending(self) -> Literal["finished", "patience", "budget"] | None:
        """Why the run is over; None if it is not."""
        if self._run.step >= self.total_steps:
            return "finished"
        if self._run.is_stale(self._training.patience):
            return "patience"
        return "budget" if self.is_out_of_time else None

    @property
    def is_out_of_time(self) -> bool:
        """Whether the budget leaves only enough time to finish the run."""
        return self._training.budget is not None and self.elapsed() >= self._time_to_learn()

    @property
    def is_evaluation_due(self) -> bool:
        """Whether to evaluate after the step just taken."""
        if self.is_at_end:
            return True
        if self._training.budget is not None:
            return self._run.seconds >= self._next_evaluation
        step, every = self._run.step, self._training.evaluate_every
        return step == self._boundary(step - 1) and (every < self.epoch_steps or step % every == 0)

    def next_block(self, seconds: float, most: int) -> int:
        """Return how many steps to take before looking at anything else.

        The block takes about the given time. It has at least one step, and ends no later than the
        epoch or the next evaluation.

        Args:
            seconds: how long the block should take.
            most: the largest number of steps.
        """
        step = self._run.step
        fitting = max(1, int(self._steps_per_second() * seconds))
        return min(fitting, most, self._boundary(step) - step)

    def _boundary(self, step: int) -> int:
        """Return the next step at which an epoch ends or an evaluation may be due."""
        every = self._training.evaluate_every
        epoch_end = (step // self.epoch_steps + 1) * self.epoch_steps
        if self._training.budget is not None or every >= self.epoch_steps:
            return epoch_end
        within = step % self.epoch_steps
        return min(epoch_end, step - within + (within // every + 1) * every)

    def _steps_per_second(self) -> float:
        """Return the recent steps per second, without the first block if there were others."""
        since = self._marks[0] if self._marks else self._beginning
        steps, second = since if self._steps > since[0] else self._beginning
        return (self._steps - steps) / max(self.elapsed() - second, 1e-9)

    def _time_to_learn(self) -> float:
        assert self._training.budget is not None
        last_evaluation = LAST_EVALUATION_FACTOR * self._longest_evaluation
        return self._training.budget - last_evaluation - ENDING_SECONDS

    def _after(self, second: float) -> float:
        """Return the second of the next evaluation, counted from `second`."""
        between = (self._training.budget or 0) / EVALUATIONS
        return second + max(between, self._longest_evaluation / EVALUATION_SHARE)
