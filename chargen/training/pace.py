"""Where a run stands: steps of its epochs, seconds of its budget."""

import time

from chargen.config import TrainConfig
from chargen.data.windows import Windows
from chargen.training.recipe import EVALUATIONS
from chargen.training.state import RunState

__all__ = ["Pace"]

EVALUATION_SHARE = 1 / 25
"""Of the time at most, for evaluations."""
ENDING_SECONDS = 1.0
"""To write the last files and to leave, evaluation apart."""


class Pace:
    """The clock and the counter of a run.

    A run with a budget ends when its epochs or its time are over, whichever comes first, and its
    schedule follows the one that is further on.

    Args:
        run: its `step` and `seconds`, of all sessions before this one too.
        windows: say how long an epoch is.
        training: says how many there are, how often to evaluate, and what time there is.
        started: when this session's command began, by `time.monotonic`; the run's seconds go on
            from there, so that they include reading and compiling.
    """

    def __init__(
        self, run: RunState, windows: Windows, training: TrainConfig, started: float
    ) -> None:
        self.epoch_steps = windows.steps
        self.total_steps = windows.steps * training.epochs
        self._run = run
        self._every = training.evaluate_every
        self._budget = training.budget
        self._characters_per_step = windows.targets_per_epoch / windows.steps
        self._first_step = run.step
        self._origin = started - run.seconds
        self._first_second = self.elapsed()
        self._longest_evaluation = 0.0
        self._next_evaluation = self._after(self._first_second)

    def elapsed(self) -> float:
        """Seconds of all sessions."""
        return time.monotonic() - self._origin

    def begin(self) -> None:
        """Note that steps are about to be taken, from where their pace is measured."""
        if self._run.step == self._first_step:
            self._first_second = self.elapsed()

    def reach(self, step: int) -> None:
        """Note that steps were taken, up to this one."""
        if self._run.step == self._first_step:
            self._next_evaluation = self._after(self.elapsed())  # the first step compiles
        self._run.step = step
        self._run.seconds = self.elapsed()
        if self._run.begun is None:
            self._run.begun = self._run.seconds

    def count_evaluation(self, seconds: float) -> None:
        """Note that an evaluation was made: the last one must fit into the budget."""
        self._longest_evaluation = max(self._longest_evaluation, seconds)
        self._next_evaluation = self._after(self.elapsed())

    @property
    def characters(self) -> int:
        """Characters learned from so far; exact at the end of each epoch."""
        return self.characters_after(self._run.step)

    def characters_after(self, step: int) -> int:
        """Characters learned from by the end of a step."""
        return round(step * self._characters_per_step)

    @property
    def characters_per_second(self) -> float:
        """Since this session began, evaluations included."""
        steps = self._run.step - self._first_step
        return steps * self._characters_per_step / self._seconds_of_steps()

    def steps_in(self, seconds: float) -> int:
        """How many steps are taken in such a time, 1 at least."""
        steps = self._run.step - self._first_step
        return max(1, int(steps / self._seconds_of_steps() * seconds))

    @property
    def seconds_left(self) -> float:
        """To the run's end, at this session's pace."""
        done = max(self._run.step - self._first_step, 1)
        of_epochs = (self.total_steps - self._run.step) * self._seconds_of_steps() / done
        if self._budget is None:
            return of_epochs
        return max(0.0, min(of_epochs, self._time_to_learn() - self.elapsed()))

    def fraction(self, step: int) -> float:
        """Share of the run that is done before a step."""
        of_epochs = step / self.total_steps
        if self._budget is None:
            return of_epochs
        begun = self._run.begun
        if begun is None:
            return of_epochs
        of_time = (self.elapsed() - begun) / max(self._time_to_learn() - begun, 1e-9)
        return min(1.0, max(of_epochs, of_time))

    @property
    def begins_epoch(self) -> bool:
        """Whether the next step is an epoch's first."""
        return self._run.step % self.epoch_steps == 0

    @property
    def is_over(self) -> bool:
        """Whether its epochs are done, or its time is up."""
        return self._run.step >= self.total_steps or self.is_out_of_time

    @property
    def is_out_of_time(self) -> bool:
        """Whether only the ending fits into what is left of the budget."""
        return self._budget is not None and self.elapsed() >= self._time_to_learn()

    @property
    def is_evaluation_due(self) -> bool:
        """Whether to evaluate after the last step."""
        step = self._run.step
        if self.is_over:
            return True
        if self._budget is not None:
            return self._run.seconds >= self._next_evaluation
        part_of_epoch = self._every < self.epoch_steps
        return step == self.boundary(step - 1) and (part_of_epoch or step % self._every == 0)

    def boundary(self, step: int) -> int:
        """The first step after this one at which something besides learning may be due."""
        epoch_end = (step // self.epoch_steps + 1) * self.epoch_steps
        if self._budget is not None or self._every >= self.epoch_steps:
            return epoch_end
        within = step % self.epoch_steps
        return min(epoch_end, step - within + (within // self._every + 1) * self._every)

    def _time_to_learn(self) -> float:
        assert self._budget is not None
        return self._budget - 1.2 * self._longest_evaluation - ENDING_SECONDS

    def _after(self, second: float) -> float:
        between = max(
            (self._budget or 0) / EVALUATIONS, self._longest_evaluation / EVALUATION_SHARE
        )
        return second + between

    def _seconds_of_steps(self) -> float:
        return max(self.elapsed() - self._first_second, 1e-9)
