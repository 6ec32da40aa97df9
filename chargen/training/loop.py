"""The training run, from top to bottom, as a generator of events.

    for event in run(plan, lock):
        show(event)

Each turn of the loop learns from a block of batches, goes back to what was saved if that diverged,
evaluates and saves if either is due, and yields what happened.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.atomic import (
    remove_temporary,
    replace_directory,
    replace_file,
    write_file,
)
from chargen.checkpoint.directory import FILES, HISTORY, HISTORY_FIELDS, MODEL, best_of
from chargen.checkpoint.ids import IDS
from chargen.config import SampleConfig
from chargen.data.passages import copied
from chargen.data.windows import make_windows
from chargen.errors import CheckpointError, NumericalError, TrainingError
from chargen.models.factory import build_learner, build_model
from chargen.models.learner import EXPLODED
from chargen.models.saving import save_model
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.sampling.generate import write
from chargen.scoring.baselines import SIXGRAM_ORDER, mean_ngram_bits
from chargen.scoring.calibration import Calibrated, calibrate, scaled
from chargen.scoring.score import score_ids
from chargen.training import runtime, state
from chargen.training.clock import Clock
from chargen.training.divergence import MOST_STRAYED, Limits
from chargen.training.events import (
    COPIED_LENGTH,
    Evaluated,
    Event,
    Preview,
    Progressed,
    Reason,
    Recovered,
    Started,
    Stopped,
)
from chargen.training.interruption import Interruption
from chargen.training.lock import Lock
from chargen.training.machine import most_memory_used
from chargen.training.plan import Plan
from chargen.training.start import with_counts
from chargen.training.team import Ending, Leader, Team

__all__ = ["rehearse", "run"]

BLOCK_SECONDS = 0.1
"""How long a block of steps should take: Ctrl-C takes effect when the block ends."""
BLOCK_SECONDS_TOGETHER = 1.0
"""The same with other workers: passing a block on to them takes 7 to 20 ms."""
BLOCK_STEPS = 64
"""The most steps in a block, whose batches are held in memory together."""
REHEARSAL_SECONDS = 3.0
"""How long a rehearsal takes steps, once they are compiled."""
REPORT_SECONDS = 0.2
"""The time between two reports of progress, which is as often as the eye can follow."""
SAMPLE_LENGTH = 100
"""The number of characters written at each evaluation, about a line of a terminal."""
COPIED_SAMPLE = 2_000
"""The number of characters written to see how much of them is copied."""
MOST_MEMORISED = 1_000_000
"""The longest text learned from, in characters, that the runs of `LADDER` could memorise."""
MOST_COUNTED = 1 << 22
"""The most characters of the training text whose n-grams are counted, from its end, and of the
held-out text that they predict, from its beginning: counting four million took three seconds, which
a budget has to pay for."""
MOST_RECOVERIES = 5
"""How often a run may recover. If it still diverges at a 32nd of its learning rate, something else
is the cause."""


def run(
    plan: Plan, lock: Lock, started: float | None = None, team: Team | None = None
) -> Iterator[Event]:
    """Carry out a plan, until the run ends or is interrupted.

    Args:
        plan: what to train.
        lock: the lock on the directory of its checkpoint.
        started: when the command began, by `time.monotonic`: the run's seconds and its budget
            count from there; None means now.
        team: the workers that train together, which this process leads; None if it trains alone.

    Yields:
        The events of the run. An evaluation is yielded after it was saved.

    Raises:
        CheckpointError: the state to resume from is damaged.
        KeyboardInterrupt: SIGINT arrived, here or at another worker, and the run was saved.
        TrainingError: the run diverged again and again, or another worker has stopped.
    """
    interruption = Interruption()
    trainer = _Trainer(plan, time.monotonic() if started is None else started, team)
    clock = trainer.clock
    with interruption.watching(), trainer.leading():
        trainer.begin(lock)
        yield trainer.started()
        ending = clock.ending
        while not (ending or interruption.signal or trainer.is_asked_to_end):
            evaluated = None
            try:
                trainer.learn()
                # Asked once per block: a budget that ends later still gets its evaluation.
                ending = clock.ending
                if ending or clock.is_evaluation_due:
                    evaluated = trainer.evaluate()
                    ending = clock.ending
            except NumericalError:
                yield trainer.recover()
                ending = clock.ending
                continue
            if evaluated or trainer.is_save_due:
                trainer.save()
            if evaluated or trainer.is_report_due:
                yield evaluated or trainer.progressed()
        if ending is None:
            trainer.save_unsaved()
        yield trainer.stopped(ending or "interrupted")
    if trainer.is_asked_to_end:
        raise KeyboardInterrupt


def rehearse(plan: Plan, started: float) -> Preview:
    """Take the first steps of a plan to find out how long it would take, and write nothing.

    Args:
        plan: what to train.
        started: when the command began, by `time.monotonic`.
    """
    trainer = _Trainer(plan, started)
    clock, budget = trainer.clock, plan.checkpoint.training.budget
    clock.begin()
    trainer.learn()  # which compiles
    until = time.monotonic() + REHEARSAL_SECONDS
    while time.monotonic() < until and not clock.is_at_end:
        trainer.learn()
    seconds = clock.elapsed() + clock.seconds_left
    if budget is None:
        seconds += clock.evaluations * trainer.time_evaluation()
    else:
        seconds = min(seconds, budget)
    return Preview(trainer.started(), seconds, most_memory_used())


class _Trainer:
    """A learner, the progress of its run, and the files of its checkpoint.

    Attributes:
        state: the progress of the run.
        clock: the time and the steps, which say what is due.
    """

    def __init__(self, plan: Plan, started: float, team: Team | None = None) -> None:
        checkpoint = plan.checkpoint
        self._plan, self._checkpoint, training = plan, checkpoint, checkpoint.training
        self._windows = make_windows(plan.train_ids, checkpoint.model, training)
        self._leader = Leader(checkpoint.model, training, team) if team else None
        self._learner = self._leader or build_learner(checkpoint.model, training)
        # The model as it is saved, with Keras' own layers and for any batch size.
        self._exported = build_model(checkpoint.model, random_seed=training.random_seed)
        self._history: list[dict[str, Any]] = []
        self.state = state.RunState()
        drawn = self._exported.get_weights()  # from the same random seed as the learner's
        self._learner.assign(
            plan.initial_weights or with_counts(drawn, checkpoint.model, plan.counts)
        )
        if plan.resumed:
            self.state = state.restore(checkpoint.path, self._learner)
            self._history = checkpoint.history()[: self.state.evaluations]
            if plan.extended:
                self.state.extend()
        self.clock = Clock(self.state, self._windows, training, started)
        self._rate = self.clock.learning_rate(self.state.step)
        # Counted before the clock measures how fast steps are taken.
        bits = mean_ngram_bits(
            plan.train_ids[-MOST_COUNTED:],
            plan.validation_ids[:MOST_COUNTED],
            checkpoint.vocabulary,
            SIXGRAM_ORDER,
        )
        self._ngram_bits = None if math.isnan(bits[0]) else bits  # by order
        self._ending = Ending.FAILED
        runtime.return_memory()  # counting takes more than a step does
        self._saved_step = self.state.step
        self._saved_at = self._reported_at = time.monotonic()

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Have the other workers end, if there are any, however the run ends in the body."""
        try:
            yield
        finally:
            if self._leader is not None:
                with suppress(TrainingError):  # it was raised in the body already
                    self._leader.stop(self._ending)

    @property
    def is_asked_to_end(self) -> bool:
        """Whether another worker was asked to end."""
        return self._leader is not None and self._leader.is_asked_to_end

    def begin(self, lock: Lock) -> None:
        """Write a complete checkpoint, with the initial weights, before the first step.

        A resumed run has one already, but its options and the paths of its texts may have changed.
        """
        remove_temporary(self._checkpoint.path, (*FILES, IDS))
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

            replace_directory(self._checkpoint.path, FILES, fill, (IDS,))
        self.clock.begin()

    def learn(self) -> None:
        """Learn from the next block of batches.

        Raises:
            NumericalError: the run has diverged.
        """
        progress, clock = self.state, self.clock
        epoch, first = divmod(progress.step, clock.epoch_steps)
        if not first:
            self._learner.reset_states()  # every epoch begins at the start of each stream
        seconds = BLOCK_SECONDS_TOGETHER if self._leader else BLOCK_SECONDS
        count = clock.next_block(seconds, BLOCK_STEPS)
        inputs, targets = self._windows.block(epoch, first, count)
        rates = [clock.learning_rate(progress.step + k) for k in range(len(inputs))]
        self._rate = rates[-1]
        result = self._learner.learn(inputs, targets, np.asarray(rates, np.float32))
        limits = Limits.of(best_of(self._history), self._checkpoint.model.vocabulary_size)
        size, taken, ran_away = targets[0].size, len(result.losses), False
        # Added step by step, so that the sums do not depend on how steps are grouped into blocks.
        figures = zip(result.losses, result.accuracies, result.gradient_norms, strict=True)
        for index, (nats, accuracy, norm) in enumerate(figures, 1):
            progress.targets += size
            progress.nats += float(nats) * size
            progress.hits += float(accuracy) * size
            progress.gradient_norms += float(norm) * size
            strayed = limits.are_passed(float(nats), float(norm))
            progress.strayed = progress.strayed + 1 if strayed else 0
            if ran_away := progress.strayed > MOST_STRAYED:
                taken = index
                break
        clock.reach(progress.step + taken)
        if result.diverged:
            raise NumericalError("the loss is not a finite number, or has exploded")
        if ran_away:
            raise NumericalError("the loss and the gradients have run away")

    def recover(self) -> Recovered:
        """Go back to the last saved state, with half the learning rate.

        If the run has gone on since its best evaluation, that state may be about to diverge
        already; so the best weights take the place of its weights.

        Raises:
            TrainingError: the run has done this `MOST_RECOVERIES` times already.
        """
        progress, step = self.state, self.state.step
        if progress.recoveries == MOST_RECOVERIES:
            raise TrainingError(
                f"training diverged: at step {step:,} the loss or the weights are not finite "
                f"numbers, or have exploded, and halving the learning rate {MOST_RECOVERIES} times "
                "did not help; the best weights so far are kept: train again with a lower "
                "--learning-rate or a smaller --clip-norm"
            )
        record = dict.fromkeys(HISTORY_FIELDS) | self._when_fields(step, self.clock.elapsed())
        recovered = state.restore(self._checkpoint.path, self._learner)
        weights_of, best = recovered.step, best_of(self._history[: recovered.evaluations])
        if best is not None and best["step"] < recovered.step:
            with suppress(CheckpointError):  # somebody has removed them
                self._learner.begin_again(self._checkpoint.weights())
                weights_of = best["step"]
                recovered.logit_factor = 1.0  # those weights have theirs already
        again = progress.recoveries + 1
        vars(progress).update(vars(recovered), recoveries=again, strayed=0)
        self._rate = self.clock.learning_rate(progress.step)
        del self._history[progress.evaluations :]
        self._record(record | {"learning_rate": self._rate, "best": False, "diverged": True})
        self.save()
        return Recovered(step, recovered.step, weights_of, progress.rate_factor)

    def evaluate(self) -> Evaluated:
        """Score the held-out text, keep the best weights, and add a line to the history.

        If nothing is held out, weights cannot be compared, and the newest are kept.

        Raises:
            NumericalError: the weights or the outputs are not finite numbers, or the loss of the
                held-out text has exploded.
        """
        progress, started = self.state, time.monotonic()
        found, sample = self._score_and_sample()
        factor, score = (found.factor, found.score) if found else (1.0, None)
        nats = score.nats_per_character if score else None
        best = nats is None or progress.best_nats is None or nats < progress.best_nats
        if not (self._checkpoint.path / MODEL).exists():
            best = True  # somebody has removed the better ones
        progress.stale = 0 if best else progress.stale + 1
        if best:
            progress.best_nats = nats
            self._write_model(self._checkpoint.path, factor)
        if found:
            progress.logit_factor = found.better
        record = self._when_fields(progress.step, progress.seconds) | {
            "train_nats": progress.nats / progress.targets,
            "train_accuracy": progress.hits / progress.targets,
            "validation_nats": nats,
            "validation_bits": score.bits_per_character if score else None,
            "validation_accuracy": score.accuracy if score else None,
            "best": best,
            "gradient_norm": progress.gradient_norms / progress.targets,
            "logit_factor": factor,
            "sample": sample,
        }
        progress.targets, progress.nats, progress.hits, progress.gradient_norms = 0, 0.0, 0.0, 0.0
        self._record(record)
        clock = self.clock
        clock.count_evaluation(time.monotonic() - started)
        return Evaluated(record, sample, clock.characters_per_second, clock.seconds_left)

    def time_evaluation(self) -> float:
        """Return the seconds that an evaluation takes."""
        started = time.monotonic()
        self._score_and_sample()
        return time.monotonic() - started

    @property
    def is_save_due(self) -> bool:
        """Whether a killed run would lose more than it may, of what is worth keeping."""
        unsaved = time.monotonic() - self._saved_at
        return unsaved >= self._checkpoint.training.save_every and not self.state.strayed

    def save(self) -> None:
        """Write what `--resume` needs, and any file of the checkpoint that was removed."""
        self._checkpoint.mend()
        state.save(self._checkpoint.path, self._learner, self.state)
        self._saved_step, self._saved_at = self.state.step, time.monotonic()

    def save_unsaved(self) -> None:
        """Save what an interrupted run has learned since it was last saved.

        If it was not evaluated yet, or nothing is held out, its current weights become its model.
        """
        if self.state.step > self._saved_step:
            if self.state.best_nats is None:
                self._write_model(self._checkpoint.path)
            self.save()

    def started(self) -> Started:
        """Return the event that opens a session."""
        parameters, clock = parameter_count(self._checkpoint.model), self.clock
        bits = self._ngram_bits
        return Started(
            self._checkpoint,
            parameters,
            self.state.step,
            clock.epoch_steps,
            clock.total_steps,
            unigram_bits=bits[0] if bits else None,
            sixgram_bits=bits[SIXGRAM_ORDER] if bits else None,
        )

    @property
    def is_report_due(self) -> bool:
        """Whether the last report of progress was long enough ago."""
        return time.monotonic() - self._reported_at >= REPORT_SECONDS

    def progressed(self) -> Progressed:
        """Return an event that says how far the run is and how fast."""
        progress, clock, self._reported_at = self.state, self.clock, time.monotonic()
        return Progressed(
            step=progress.step,
            epoch=progress.step / clock.epoch_steps,
            fraction=clock.fraction(progress.step),
            train_nats=progress.nats / progress.targets,
            gradient_norm=progress.gradient_norms / progress.targets,
            characters_per_second=clock.characters_per_second,
            seconds_left=clock.seconds_left,
        )

    def stopped(self, reason: Reason) -> Stopped:
        """Return the event that closes a session."""
        self._ending = Ending.INTERRUPTED if reason == "interrupted" else Ending.OVER
        progress, best = self.state, best_of(self._history)
        looked_at = best is not None and reason != "interrupted"
        copied, usual = self._copied_shares() if looked_at else (None, None)
        path = self._checkpoint.path
        return Stopped(reason, path, progress.step, progress.seconds, best, copied, usual)

    def _copied_shares(self) -> tuple[float | None, float | None]:
        """Return the shares that are copied of a text by the best weights and of the held-out text.

        Both are None where the text is too long to be memorised, or the weights are gone.
        """
        checkpoint, train, held_out = (
            self._checkpoint,
            self._plan.train_ids,
            self._plan.validation_ids,
        )
        if len(train) > MOST_MEMORISED:
            return None, None
        try:
            network = Network(checkpoint.model, checkpoint.weights())
        except CheckpointError:
            return None, None
        model = LanguageModel(network, checkpoint.vocabulary, checkpoint.training.threads)
        written = self._written(model, COPIED_SAMPLE)
        shares = [
            float(copied(ids, train, COPIED_LENGTH).mean()) if len(ids) else None
            for ids in (checkpoint.vocabulary.encode(written), held_out)
        ]
        return shares[0], shares[1]

    def _score_and_sample(self) -> tuple[Calibrated | None, str]:
        """Return the score of the held-out text, if any of it can be scored, and a short sample.

        The code is that of `chargen evaluate` and `chargen sample`, so that the figures agree.
        """
        weights: list[NDArray[np.float32]] = self._learner.weights_to_keep()
        if not all(np.isfinite(array).all() for array in weights):
            raise NumericalError("the weights are not finite numbers")
        checkpoint, held_out = self._checkpoint, self._plan.validation_ids

        def model_of(factor: float) -> LanguageModel:
            network = Network(checkpoint.model, scaled(weights, factor))
            return LanguageModel(network, checkpoint.vocabulary, checkpoint.training.threads)

        if checkpoint.training.calibrate:
            found = calibrate(model_of, held_out, self.state.logit_factor)
        else:
            model = model_of(1.0)
            found = Calibrated(model, 1.0, score_ids(model, held_out), 1.0)
        sample = self._written(found.model, SAMPLE_LENGTH)
        nats = found.score.nats_per_character
        if math.isnan(nats):
            return None, sample
        # The last step may have ruined the weights; its loss was computed before it.
        if nats > EXPLODED * math.log(len(checkpoint.vocabulary)):
            raise NumericalError("the loss of the held-out text has exploded")
        return found, sample

    def _written(self, model: LanguageModel, length: int) -> str:
        # Every evaluation has another random seed, and the same run has the same ones.
        random_seed = self._checkpoint.training.random_seed + self.state.step
        ((_, pieces),) = write(model, [""], SampleConfig(length=length), random_seed)
        return "".join(pieces)

    def _when_fields(self, step: int, seconds: float) -> dict[str, Any]:
        """Return the fields of a line of the history that say when it was written."""
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

    def _write_model(self, folder: Path, factor: float = 1.0) -> None:
        self._exported.set_weights(scaled(self._learner.weights_to_keep(), factor))
        replace_file(folder / MODEL, partial(save_model, self._exported))

    def _write_history(self, folder: Path) -> None:
        lines = "".join(json.dumps(line) + "\n" for line in self._history)
        write_file(folder / HISTORY, lines.encode())
