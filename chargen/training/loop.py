"""The run, top to bottom: a generator of what happens.

    for event in run(plan):
        show(event)

Take a block of batches, learn from it, go back where it diverged, evaluate and save where that is
due, tell.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.atomic import replace_directory, replace_file, write_file
from chargen.checkpoint.directory import FILES, HISTORY, HISTORY_FIELDS, MODEL, best_of
from chargen.config import SampleConfig
from chargen.data.windows import make_windows
from chargen.errors import NumericalError, TrainingError
from chargen.models.factory import build_learner, build_model
from chargen.models.learner import EXPLODED
from chargen.models.saving import save_model
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.sampling.generate import write
from chargen.scoring.score import score_ids
from chargen.scoring.tally import Score
from chargen.training import state
from chargen.training.clock import Clock
from chargen.training.events import (
    Evaluated,
    Event,
    Progressed,
    Reason,
    Recovered,
    Started,
    Stopped,
)
from chargen.training.interruption import Interruption
from chargen.training.lock import Lock
from chargen.training.plan import Plan

__all__ = ["run"]

BLOCK_SECONDS = 0.1
"""Of steps between two looks at what happens around them: nobody waits longer for Ctrl-C."""
BLOCK_STEPS = 64
"""In such a block, at most: its batches are held in memory."""
REPORT_SECONDS = 0.2
"""Between two reports of progress: as often as an eye follows."""
SAMPLE_LENGTH = 100
"""Characters written at each evaluation: a line of a terminal."""
MOST_RECOVERIES = 5
"""Of a run that diverges: a rate that is 32 times too high is not the only fault."""


def run(plan: Plan, started: float | None = None) -> Iterator[Event]:
    """Train from the start, or from where the run stopped, to its end or an interruption.

    Args:
        plan: what to train; the directory of its checkpoint exists.
        started: when the command began, by `time.monotonic`, which its seconds and its budget
            count from; None is now.

    Yields:
        What happens, once it is saved.

    Raises:
        CheckpointError: another process trains in the directory, or the state to resume from is
            damaged.
        KeyboardInterrupt: after SIGINT, once the run is saved.
        TrainingError: the run diverged again and again.
    """
    training, interruption = plan.checkpoint.training, Interruption()
    with Lock(plan.checkpoint.path) as lock:
        trainer = _Trainer(plan, time.monotonic() if started is None else started)
        now, clock = trainer.state, trainer.clock
        with interruption.watching():
            trainer.begin(lock)
            yield trainer.started()
            while not (clock.is_over or now.is_stale(training.patience) or interruption.signal):
                evaluated = None
                try:
                    trainer.learn()
                    if clock.is_evaluation_due:
                        evaluated = trainer.evaluate()
                except NumericalError:
                    yield trainer.recover()
                    continue
                if evaluated or trainer.is_save_due:
                    trainer.save()
                if evaluated or trainer.is_report_due:
                    yield evaluated or trainer.progressed()
            if interruption.signal:
                trainer.leave()
            yield trainer.stopped()


class _Trainer:
    """A learner, where it stands, and the files that keep both.

    Attributes:
        state: where the run stands.
        clock: what is due.
    """

    def __init__(self, plan: Plan, started: float) -> None:
        checkpoint = plan.checkpoint
        self._plan, self._checkpoint, training = plan, checkpoint, checkpoint.training
        self._windows = make_windows(plan.train_ids, checkpoint.model, training)
        self._learner = build_learner(checkpoint.model, training)
        # As it is saved: Keras' own layers, for any batch size.
        self._exported = build_model(checkpoint.model, random_seed=training.random_seed)
        self._history: list[dict[str, Any]] = []
        self.state = state.RunState()
        if plan.initial_weights is not None:
            self._learner.assign(plan.initial_weights)
        if plan.resumed:
            self.state = state.restore(checkpoint.path, self._learner)
            self._history = checkpoint.history()[: self.state.evaluations]
            if plan.extended:
                self.state.stale = 0  # a run that is given longer gets another chance to improve
        self.clock = Clock(self.state, self._windows, training, started)
        if self.state.step > self.clock.total_steps:
            raise TrainingError(
                f"this run has done {self.state.step / self.clock.epoch_steps:.1f} epochs, more "
                f"than --epochs {training.epochs}; give more, or start a new run"
            )
        self._rate = self.clock.learning_rate(self.state.step)
        self._saved_step = self.state.step
        self._saved = self._reported = time.monotonic()

    def begin(self, lock: Lock) -> None:
        """Make the directory a whole checkpoint before the first step, with the initial weights.

        That of a resumed run is one; its options and the place of its text may have changed.
        """
        if self._plan.resumed:
            state.save(self._checkpoint.path, self._learner, self.state)
            self._checkpoint.write()
        else:

            def fill(folder: Path) -> None:
                lock.hold(folder)
                self._write_model(folder)
                self._write_history(folder)
                state.save(folder, self._learner, self.state)
                replace(self._checkpoint, path=folder).write()

            replace_directory(self._checkpoint.path, FILES, fill)
        self.clock.begin()

    def learn(self) -> None:
        """Learn from the next block of batches.

        Raises:
            NumericalError: the run has diverged.
        """
        now, clock = self.state, self.clock
        epoch, first = divmod(now.step, clock.epoch_steps)
        if not first:
            self._learner.reset_states()  # all streams start anew with an epoch
        count = clock.next_block(BLOCK_SECONDS, BLOCK_STEPS)
        inputs, targets = self._windows.block(epoch, first, count)
        rates = [clock.learning_rate(now.step + k) for k in range(len(inputs))]
        self._rate = rates[-1]
        learned = self._learner.learn(inputs, targets, np.asarray(rates, np.float32))
        size = targets[0].size
        # One step after the other, so that a run in other blocks comes to the same sums.
        for nats, accuracy in zip(learned.losses, learned.accuracies, strict=True):
            now.targets += size
            now.nats += float(nats) * size
            now.hits += float(accuracy) * size
        clock.reach(now.step + len(learned.losses))
        if learned.diverged:
            raise NumericalError("the loss is no longer a number, or has exploded")

    def recover(self) -> Recovered:
        """Go back to the last state that was saved, with half the learning rate.

        Raises:
            TrainingError: this did not help often enough.
        """
        now, step = self.state, self.state.step
        if now.recoveries == MOST_RECOVERIES:
            raise TrainingError(
                f"training diverged: at step {step:,} the loss or the weights are no longer "
                f"numbers, or have exploded, and halving the learning rate {MOST_RECOVERIES} times "
                "did not help; the best weights so far are kept: train again with a lower "
                "--learning-rate or a smaller --clip-norm"
            )
        record = dict.fromkeys(HISTORY_FIELDS) | self._place(step, self.clock.elapsed())
        recovered = state.restore(self._checkpoint.path, self._learner)
        vars(now).update(vars(recovered), recoveries=now.recoveries + 1)
        self._rate = self.clock.learning_rate(now.step)
        del self._history[now.evaluations :]
        self._record(record | {"learning_rate": self._rate, "best": False, "diverged": True})
        self.save()
        return Recovered(step, recovered.step, now.rate_factor)

    def evaluate(self) -> Evaluated:
        """Score the held-out text, keep the best weights, and add a line to the history.

        With nothing held out, nothing tells better weights from worse, and the newest are kept.

        Raises:
            NumericalError: the weights, or what they make of the text, are not numbers.
        """
        now, started = self.state, time.monotonic()
        score, sample = self._examine()
        nats = score.nats_per_character if score else None
        best = nats is None or now.best_nats is None or nats < now.best_nats
        if not (self._checkpoint.path / MODEL).exists():
            best = True  # of what is left, since somebody has removed the better ones
        now.stale = 0 if best else now.stale + 1
        if best:
            now.best_nats = nats
            self._write_model(self._checkpoint.path)
        record = self._place(now.step, now.seconds) | {
            "train_nats": now.nats / now.targets,
            "train_accuracy": now.hits / now.targets,
            "validation_nats": nats,
            "validation_bits": None if nats is None else nats / math.log(2),
            "validation_accuracy": score.accuracy if score else None,
            "best": best,
        }
        now.targets, now.nats, now.hits = 0, 0.0, 0.0
        self._record(record)
        clock = self.clock
        clock.count_evaluation(time.monotonic() - started)
        return Evaluated(record, sample, clock.characters_per_second, clock.seconds_left)

    @property
    def is_save_due(self) -> bool:
        """Whether a killed run would lose more than it may."""
        return time.monotonic() - self._saved >= self._checkpoint.training.save_every

    def save(self) -> None:
        """Write what `--resume` needs, and what somebody may have removed."""
        self._checkpoint.mend()
        state.save(self._checkpoint.path, self._learner, self.state)
        self._saved_step, self._saved = self.state.step, time.monotonic()

    def leave(self) -> None:
        """Save what an interrupted run has learned since it was saved.

        One that was not evaluated yet, or has nothing to tell better weights by, also leaves the
        weights that it has reached as its model.
        """
        if self.state.step > self._saved_step:
            if self.state.best_nats is None:
                self._write_model(self._checkpoint.path)
            self.save()

    def started(self) -> Started:
        """What is about to be trained."""
        parameters, clock = parameter_count(self._checkpoint.model), self.clock
        return Started(
            self._checkpoint, parameters, self.state.step, clock.epoch_steps, clock.total_steps
        )

    @property
    def is_report_due(self) -> bool:
        """Whether an eye would notice."""
        return time.monotonic() - self._reported >= REPORT_SECONDS

    def progressed(self) -> Progressed:
        """How far the run is, and how fast."""
        now, clock, self._reported = self.state, self.clock, time.monotonic()
        return Progressed(
            step=now.step,
            epoch=now.step / clock.epoch_steps,
            fraction=clock.fraction(now.step),
            train_nats=now.nats / now.targets,
            characters_per_second=clock.characters_per_second,
            seconds_left=clock.seconds_left,
        )

    def stopped(self) -> Stopped:
        """Why the run ends."""
        now, patience = self.state, self._checkpoint.training.patience
        reason: Reason = "interrupted"
        if now.step >= self.clock.total_steps:
            reason = "finished"
        elif now.is_stale(patience):
            reason = "patience"
        elif self.clock.is_out_of_time:
            reason = "budget"
        return Stopped(reason, self._checkpoint.path, now.step, now.seconds, best_of(self._history))

    def _examine(self) -> tuple[Score | None, str]:
        """The held-out text's score, None where nothing in it can be scored, and a short text.

        The code is that of `evaluate` and `sample`, so that the figures agree.
        """
        weights: list[NDArray[np.float32]] = self._learner.learned()
        if not all(np.isfinite(array).all() for array in weights):
            raise NumericalError("the weights are no longer numbers")
        checkpoint = self._checkpoint
        model = LanguageModel(Network(checkpoint.model, weights), checkpoint.vocabulary)
        # Another text each time, and the same in the same run.
        random_seed = checkpoint.training.random_seed + self.state.step
        ((_, pieces),) = write(model, [""], SampleConfig(length=SAMPLE_LENGTH), random_seed)
        sample = "".join(pieces)
        score = score_ids(model, self._plan.validation_ids)
        if math.isnan(score.nats_per_character):
            return None, sample
        # The weights' last step may have ruined them: the loss before it does not know.
        if score.nats_per_character > EXPLODED * math.log(len(checkpoint.vocabulary)):
            raise NumericalError("the loss of the held-out text has exploded")
        return score, sample

    def _place(self, step: int, seconds: float) -> dict[str, Any]:
        """Where a line of the history stands."""
        return {
            "step": step,
            "epoch": step / self.clock.epoch_steps,
            "seconds": round(seconds, 3),
            "characters": self.clock.characters(step),
            "learning_rate": self._rate,
        }

    def _record(self, record: dict[str, Any]) -> None:
        self._history.append(record)
        self.state.evaluations = len(self._history)
        self._write_history(self._checkpoint.path)

    def _write_model(self, folder: Path) -> None:
        self._exported.set_weights(self._learner.learned())
        replace_file(folder / MODEL, partial(save_model, self._exported))

    def _write_history(self, folder: Path) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in self._history)
        write_file(folder / HISTORY, lines.encode())
