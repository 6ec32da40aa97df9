"""What happens around the steps of `fit`: fresh epochs, progress, evaluations, saving."""

import json
import math
import time
from typing import Any

import keras

from chargen.checkpoint import HISTORY, MODEL, Checkpoint, replace_file, write_file
from chargen.data.windows import Windows
from chargen.errors import NumericalError, TrainingError
from chargen.training import state
from chargen.training.batches import Batches
from chargen.training.events import Evaluated, Progressed, Report
from chargen.training.examiner import Examiner
from chargen.training.interruption import Interruption

__all__ = ["EpochStart", "Evaluation", "Progress", "Saving"]

SAVE_SECONDS = 30.0
"""What a run loses at most when it is killed outright."""
REPORT_SECONDS = 0.2
"""Between two reports of progress: as often as an eye follows."""


class EpochStart(keras.callbacks.Callback):
    """At each epoch's start: its own batches, recurrent states at zero, all streams anew.

    Args:
        batches: told which epoch it is.
        means: where the epoch is gone on with in its middle, the running means to put back.
    """

    def __init__(self, batches: Batches, means: dict[str, Any]) -> None:
        super().__init__()
        self._batches = batches
        self._means = means

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras, which has just reset the metrics."""
        self._batches.epoch = epoch
        if self._batches.first_step:
            state.restore_means(self.model, self._means)
            return
        for layer in self.model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_states()


class Progress(keras.callbacks.Callback):
    """Counts steps, refuses a loss that is no number, and reports how fast it goes.

    Args:
        run: its `step` and `seconds` are kept here.
        windows: say how long an epoch is.
        epochs: how many there are in the whole run.
        report: told of the progress.
    """

    def __init__(self, run: state.RunState, windows: Windows, epochs: int, report: Report) -> None:
        super().__init__()
        self.epoch_steps = windows.steps
        self.total_steps = windows.steps * epochs
        self._run = run
        self._characters_per_step = windows.targets_per_epoch / windows.steps
        self._report = report
        self._seconds_before = run.seconds
        self._first_step = run.step
        self._started = self._reported = time.monotonic()

    @property
    def characters(self) -> int:
        """Characters learned from so far; exact at the end of each epoch."""
        return round(self._run.step * self._characters_per_step)

    @property
    def characters_per_second(self) -> float:
        """Since this session began, evaluations included."""
        steps = self._run.step - self._first_step
        return steps * self._characters_per_step / max(self._elapsed(), 1e-9)

    @property
    def seconds_left(self) -> float:
        """To the last epoch's end, at this session's pace."""
        done = max(self._run.step - self._first_step, 1)
        return (self.total_steps - self._run.step) * self._elapsed() / done

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock when Keras is ready, unless it runs already."""
        if self._run.step == self._first_step:
            self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras after each step; `logs` are means since the metrics were reset."""
        self._run.step += 1
        self._run.seconds = self._seconds_before + self._elapsed()
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise _diverged(self._run.step)
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            epoch = self._run.step / self.epoch_steps
            rate, left = self.characters_per_second, self.seconds_left
            self._report(Progressed(self._run.step, epoch, loss, rate, left))

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


class Evaluation(keras.callbacks.Callback):
    """Every so many steps and after the last: score, keep the best weights, write the history.

    With nothing held out nothing tells better weights from worse, and the newest are kept.

    Args:
        checkpoint: where to, and how often.
        run: its best figure and patience are kept here.
        examiner: scores the model.
        exported: the model as it is saved: stock layers, any batch size.
        progress: the clock.
        report: told of each evaluation.
        history: the lines so far.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        run: state.RunState,
        examiner: Examiner,
        exported: keras.Model,
        progress: Progress,
        report: Report,
        history: list[dict[str, Any]],
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._run = run
        self._examiner = examiner
        self._exported = exported
        self._progress = progress
        self._report = report
        self._history = history

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras after each step."""
        due = self._is_due()
        if due or self._run.step % self._progress.epoch_steps == 0:
            self._collect_metrics()
        if due:
            self._evaluate()
            if self._run.is_stale(self._checkpoint.training.patience):
                self.model.stop_training = True

    def write_model(self) -> None:
        """Write the current weights as `model.keras`."""
        self._exported.set_weights(self.model.get_weights())
        replace_file(self._checkpoint.path / MODEL, self._exported.save)

    def write_history(self) -> None:
        """Write `history.jsonl`."""
        lines = "".join(json.dumps(line) + "\n" for line in self._history)
        write_file(self._checkpoint.path / HISTORY, lines.encode())

    def _is_due(self) -> bool:
        step, every = self._run.step, self._checkpoint.training.evaluate_every
        if every >= self._progress.epoch_steps:
            return step % every == 0 or step == self._progress.total_steps
        within = step % self._progress.epoch_steps
        return within % every == 0  # 0 at the epoch's end

    def _collect_metrics(self) -> None:
        """Move what Keras' metrics counted into the run's sums: Keras resets them each epoch."""
        for variable in self.model.metrics_variables:
            value = float(keras.ops.convert_to_numpy(variable))
            self._run.sums[variable.path] = self._run.sums.get(variable.path, 0.0) + value
        self.model.reset_metrics()

    def _mean(self, metric: str) -> float:
        return self._run.sums[f"{metric}/total"] / self._run.sums[f"{metric}/count"]

    def _evaluate(self) -> None:
        run = self._run
        try:
            score, sample = self._examiner.examine(self.model, run.step)
        except NumericalError:
            # The last step's loss was one of finite weights; what it made of them was not seen.
            raise _diverged(run.step) from None
        nats = score.nats_per_character if score else None
        best = nats is None or run.best_nats is None or nats < run.best_nats
        run.stale = 0 if best else run.stale + 1
        if best:
            run.best_nats = nats
            self.write_model()
        record = {
            "step": run.step,
            "epoch": run.step / self._progress.epoch_steps,
            "seconds": round(run.seconds, 3),
            "characters": self._progress.characters,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "train_nats": self._mean("loss"),
            "train_accuracy": self._mean("accuracy"),
            "validation_nats": nats,
            "validation_bits": None if nats is None else nats / math.log(2),
            "validation_accuracy": score.accuracy if score else None,
            "best": best,
        }
        run.sums.clear()
        run.evaluations += 1
        self._history.append(record)
        self.write_history()
        rate, left = self._progress.characters_per_second, self._progress.seconds_left
        self._report(Evaluated(record, sample, rate, left))


def _diverged(step: int) -> TrainingError:
    """The error of a run whose loss or weights are no longer numbers."""
    return TrainingError(
        f"training diverged: at step {step:,} the loss or the weights are no longer numbers; the "
        "best weights so far are kept: train again with a lower --learning-rate or a smaller "
        "--clip-norm"
    )


class Saving(keras.callbacks.Callback):
    """Keeps `resume.npz` current: after evaluations, every half minute, and before stopping.

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
        """Called by Keras after each step."""
        if self._interruption.signal is not None:
            self.model.stop_training = True
            if self._run.best_nats is None:
                self._evaluation.write_model()
        evaluated = self._run.evaluations > self._evaluations
        overdue = time.monotonic() - self._saved >= SAVE_SECONDS
        if evaluated or overdue or self.model.stop_training:
            state.save(self._checkpoint.path, self.model, self._run)
            self._evaluations = self._run.evaluations
            self._saved = time.monotonic()
