"""How far a run is, in steps of its epochs and in seconds of its budget, and what is due."""

import math
import time

from chargen.config import TrainConfig
from chargen.data.windows import Windows
from chargen.training.defaults import EVALUATIONS
from chargen.training.state import RunState

__all__ = ["Clock"]

WARM_UP = 0.03
"""Share of the run in which the learning rate climbs: Adam's first estimates are poor."""
FINAL_RATE = 0.02
"""What the cosine leaves of the learning rate: the last steps settle, but still learn."""
EVALUATION_SHARE = 1 / 25
"""Share of the time that evaluations take at most, where there is a budget."""
ENDING_SECONDS = 1.0
"""Seconds that it takes to write the last files and to leave, without the evaluation."""


class Clock:
    """Counts the steps and the seconds of a run.

    A run with a budget ends when its epochs or its time are over, whichever comes first, and its
    schedule follows the one that is further on.

    Args:
        run: its `step` and `seconds` count the sessions before this one too.
        windows: say how long an epoch is.
        training: says how many epochs there are, how often to evaluate, and what time there is.
        started: when this session's command began, by `time.monotonic`: the run's seconds include
            reading and compiling.

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
        self._first_step, self._first_second = run.step, self.elapsed()
        self._longest_evaluation = 0.0
        self._next_evaluation = self._after(self._first_second)

    def elapsed(self) -> float:
        """Seconds of all sessions."""
        return time.monotonic() - self._origin

    def begin(self) -> None:
        """Note that the first step of this session is about to be taken."""
        self._first_second = self.elapsed()

    def reach(self, step: int) -> None:
        """Note that steps were taken, up to this one."""
        run = self._run
        if run.step == self._first_step:
            self._next_evaluation = self._after(self.elapsed())  # the first step compiles
        run.step, run.seconds = step, self.elapsed()
        if run.begun is None:
            run.begun = run.seconds

    def count_evaluation(self, seconds: float) -> None:
        """Note that an evaluation took so long: the last one must fit into the budget."""
        self._longest_evaluation = max(self._longest_evaluation, seconds)
        self._next_evaluation = self._after(self.elapsed())

    def characters(self, step: int) -> int:
        """Characters learned from by the end of a step; exact where an epoch ends."""
        return round(step * self._step_characters)

    @property
    def characters_per_second(self) -> float:
        """The pace of this session, evaluations included."""
        return self._steps_per_second() * self._step_characters

    @property
    def seconds_left(self) -> float:
        """Seconds to the run's end, at this session's pace."""
        left = self.total_steps - self._run.step
        of_epochs = left / pace if (pace := self._steps_per_second()) else math.inf
        if self._training.budget is None:
            return of_epochs
        return max(0.0, min(of_epochs, self._time_to_learn() - self.elapsed()))

    def fraction(self, step: int) -> float:
        """Share of the run that is done before a step."""
        of_epochs, begun = step / self.total_steps, self._run.begun
        if self._training.budget is None or begun is None:
            return of_epochs
        of_time = (self.elapsed() - begun) / max(self._time_to_learn() - begun, 1e-9)
        return min(1.0, max(of_epochs, of_time))

    def learning_rate(self, step: int) -> float:
        """The rate of a step, by the schedule and what recoveries have left of it."""
        highest = self._training.learning_rate * self._run.rate_factor
        fraction = self.fraction(step)
        if self._training.schedule == "constant":
            return highest
        if fraction < WARM_UP:
            return highest * max(fraction / WARM_UP, FINAL_RATE)  # at 0 a step would teach nothing
        cosine = (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
        return highest * (FINAL_RATE + (1 - FINAL_RATE) * cosine)

    @property
    def is_over(self) -> bool:
        """Whether the epochs are done, or the time is up."""
        return self._run.step >= self.total_steps or self.is_out_of_time

    @property
    def is_out_of_time(self) -> bool:
        """Whether only the ending fits into what is left of the budget."""
        return self._training.budget is not None and self.elapsed() >= self._time_to_learn()

    @property
    def is_evaluation_due(self) -> bool:
        """Whether to evaluate after the last step."""
        if self.is_over:
            return True
        if self._training.budget is not None:
            return self._run.seconds >= self._next_evaluation
        step, every = self._run.step, self._training.evaluate_every
        return step == self._boundary(step - 1) and (every < self.epoch_steps or step % every == 0)

    def next_block(self, seconds: float, most: int) -> int:
        """How many steps to take next without looking up.

        As many as this session takes in such a time, 1 at least, and none past an epoch's end or
        an evaluation.

        Args:
            seconds: the time.
            most: steps, at most.
        """
        step = self._run.step
        fitting = max(1, int(self._steps_per_second() * seconds))
        return min(fitting, most, self._boundary(step) - step)

    def _boundary(self, step: int) -> int:
        """The first step after this one at which an epoch ends or an evaluation may be due."""
        every = self._training.evaluate_every
        epoch_end = (step // self.epoch_steps + 1) * self.epoch_steps
        if self._training.budget is not None or every >= self.epoch_steps:
            return epoch_end
        within = step % self.epoch_steps
        return min(epoch_end, step - within + (within // every + 1) * every)

    def _steps_per_second(self) -> float:
        """The pace of this session; 0 before its first step."""
        return (self._run.step - self._first_step) / max(self.elapsed() - self._first_second, 1e-9)

    def _time_to_learn(self) -> float:
        assert self._training.budget is not None
        return self._training.budget - 1.2 * self._longest_evaluation - ENDING_SECONDS

    def _after(self, second: float) -> float:
        """When to evaluate next."""
        between = (self._training.budget or 0) / EVALUATIONS
        return second + max(between, self._longest_evaluation / EVALUATION_SHARE)
