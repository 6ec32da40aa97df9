"""What happens around the steps of `fit`: fresh epochs, progress, evaluations, saving."""

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import keras

from chargen.checkpoint.atomic import replace_file, write_file
from chargen.checkpoint.directory import HISTORY, HISTORY_FIELDS, MODEL, Checkpoint
from chargen.errors import NumericalError
from chargen.models.saving import save_model
from chargen.training import state
from chargen.training.batches import Batches
from chargen.training.events import Evaluated, Progressed, Report
from chargen.training.examiner import Examiner
from chargen.training.interruption import Interruption
from chargen.training.pace import Pace

__all__ = ["Diverged", "Evaluation", "Feeding", "Progress", "Saving"]

BLOCK_SECONDS = 0.1
"""Of steps between two looks at what happens around them: nobody waits longer for Ctrl-C."""
REPORT_SECONDS = 0.2
"""Between two reports of progress: as often as an eye follows."""


class Diverged(Exception):  # noqa: N818 - not an error until the run gives up
    """The loss or the weights are no longer numbers, or have exploded, at a step."""

    def __init__(self, step: int) -> None:
        super().__init__(f"diverged at step {step}")
        self.step = step


class Feeding(keras.callbacks.Callback):
    """Lengthens blocks to what the machine does in a moment, and begins epochs.

    To Keras, the run is one epoch: it would take blocks of varying length for an accident.

    Args:
        batches: told how long blocks may be.
        pace: says where the run stands, and how many steps a moment is.
        means: where a run is gone on with, the running means to put back.
    """

    def __init__(self, batches: Batches, pace: Pace, means: dict[str, Any]) -> None:
        super().__init__()
        self._batches = batches
        self._pace = pace
        self._means = means

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras, which has just reset the metrics."""
        state.restore_means(self.model, self._means)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Called by Keras before each block: all streams begin anew with an epoch."""
        if self._pace.begins_epoch:
            self.model.reset_states()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras after each block."""
        self._batches.block = self._pace.steps_in(BLOCK_SECONDS)


class Progress(keras.callbacks.Callback):
    """Counts steps, notices when they diverge, and reports how fast it goes.

    Args:
        run: counted by `pace`.
        pace: says where the run stands.
        report: told of the progress.
    """

    def __init__(self, run: state.RunState, pace: Pace, report: Report) -> None:
        super().__init__()
        self._run = run
        self._pace = pace
        self._report = report
        self._reported = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock when Keras is ready, unless it runs already."""
        self._pace.begin()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each block; `logs` are means since the metrics were reset."""
        self._pace.reach(int(self.model.optimizer.iterations))
        assert logs is not None
        if logs["diverged"]:
            raise Diverged(self._run.step)
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            pace = self._pace
            epoch = self._run.step / pace.epoch_steps
            fraction, loss = pace.fraction(self._run.step), logs["loss"]
            rate, left = pace.characters_per_second, pace.seconds_left
            self._report(Progressed(self._run.step, epoch, fraction, loss, rate, left))


class Evaluation(keras.callbacks.Callback):
    """Every so many steps and after the last: score, keep the best weights, write the history.

    With nothing held out nothing tells better weights from worse, and the newest are kept.

    Args:
        checkpoint: where to, and how often.
        run: its best figure and patience are kept here.
        examiner: scores the model.
        exported: the model as it is saved: stock layers, any batch size.
        pace: says when.
        report: told of each evaluation.
        history: the lines so far.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        run: state.RunState,
        examiner: Examiner,
        exported: keras.Model,
        pace: Pace,
        report: Report,
        history: list[dict[str, Any]],
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._run = run
        self._examiner = examiner
        self._exported = exported
        self._pace = pace
        self._report = report
        self._history = history

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras after each block."""
        if self._pace.is_evaluation_due:
            started = time.monotonic()
            self._evaluate()
            self._pace.count_evaluation(time.monotonic() - started)
        stale = self._run.is_stale(self._checkpoint.training.patience)
        if self._pace.is_over or stale:
            self.model.stop_training = True

    def write_model(self, folder: Path | None = None) -> None:
        """Write the current weights as `model.keras`, elsewhere where a folder is given."""
        self._exported.set_weights(self.model.learned())
        path = (folder or self._checkpoint.path) / MODEL
        replace_file(path, partial(save_model, self._exported))

    def write_history(self, folder: Path | None = None) -> None:
        """Write `history.jsonl`, likewise."""
        lines = "".join(json.dumps(line) + "\n" for line in self._history)
        write_file((folder or self._checkpoint.path) / HISTORY, lines.encode())

    def note_recovery(self, step: int) -> None:
        """Add a line on a run that diverged at a step to the history, and keep what is known."""
        place = self._place(step, self._pace.elapsed())
        halved = {"learning_rate": place["learning_rate"] / 2}
        figures = dict.fromkeys(HISTORY_FIELDS) | place | halved
        del self._history[self._run.evaluations :]
        self._history.append(figures | {"best": False, "diverged": True})
        self._run.evaluations += 1
        self.write_history()

    def _place(self, step: int, seconds: float) -> dict[str, Any]:
        """Where a line of the history stands."""
        return {
            "step": step,
            "epoch": step / self._pace.epoch_steps,
            "seconds": round(seconds, 3),
            "characters": self._pace.characters_after(step),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }

    def _evaluate(self) -> None:
        run = self._run
        means = {mean.name: float(mean.result()) for mean in self.model.metrics}
        self.model.reset_metrics()
        try:
            score, sample = self._examiner.examine(self.model, run.step)
        except NumericalError:
            # The last step's loss was one of finite weights; what it made of them was not seen.
            raise Diverged(run.step) from None
        nats = score.nats_per_character if score else None
        best = nats is None or run.best_nats is None or nats < run.best_nats
        if not (self._checkpoint.path / MODEL).exists():
            best = True  # of what there is, since somebody has removed the better ones
        run.stale = 0 if best else run.stale + 1
        if best:
            run.best_nats = nats
            self.write_model()
        record = self._place(run.step, run.seconds) | {
            "train_nats": means["loss"],
            "train_accuracy": means["accuracy"],
            "validation_nats": nats,
            "validation_bits": None if nats is None else nats / math.log(2),
            "validation_accuracy": score.accuracy if score else None,
            "best": best,
        }
        run.evaluations += 1
        self._history.append(record)
        self.write_history()
        rate, left = self._pace.characters_per_second, self._pace.seconds_left
        self._report(Evaluated(record, sample, rate, left))


class Saving(keras.callbacks.Callback):
    """Keeps `resume.npz` current: after evaluations, every so often, and before stopping.

    Last in the list of callbacks, so that it saves what the others have done. A run that is
    stopped before its first evaluation, or that has nothing to tell better weights by, also leaves
    the weights that it has come to as its model.

    Args:
        checkpoint: where to.
        run: what to save beside the model.
        interruption: asks the run to stop.
        evaluation: writes the model.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        run: state.RunState,
        interruption: Interruption,
        evaluation: Evaluation,
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._run = run
        self._interruption = interruption
        self._evaluation = evaluation
        self._evaluations = run.evaluations
        self._saved = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras after each block."""
        if self._interruption.signal is not None:
            self.model.stop_training = True
            if self._run.best_nats is None:
                self._evaluation.write_model()
        evaluated = self._run.evaluations > self._evaluations
        overdue = time.monotonic() - self._saved >= self._checkpoint.training.save_every
        if evaluated or overdue or self.model.stop_training:
            self._checkpoint.mend()
            state.save(self._checkpoint.path, self.model, self._run)
            self._evaluations = self._run.evaluations
            self._saved = time.monotonic()
