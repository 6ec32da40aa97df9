"""One session of a run: build the model, `compile`, `fit`, and leave a checkpoint behind."""

from typing import Any

import keras
import numpy as np

from chargen.architecture import parameter_count
from chargen.checkpoint import FILES, best_of
from chargen.config import TrainConfig
from chargen.data.windows import make_windows
from chargen.errors import TrainingError
from chargen.models.factory import build_model
from chargen.training import state
from chargen.training.batches import Batches
from chargen.training.callbacks import (
    EpochStart,
    Evaluation,
    Progress,
    Saving,
)
from chargen.training.events import Reason, Report, Started, Stopped
from chargen.training.examiner import Examiner
from chargen.training.interruption import Interruption
from chargen.training.plan import Plan

__all__ = ["compile_model", "run_session"]

WARM_UP = 0.03
"""Share of the steps in which the learning rate climbs: Adam's first estimates are poor."""
FINAL_RATE = 0.02
"""What the cosine leaves of the learning rate: the last steps settle, but still learn."""
SGD_MOMENTUM = 0.9


def run_session(plan: Plan, *, resume: bool, report: Report) -> None:
    """Train from the start, or from where the run stopped, to its end or an interruption.

    Args:
        plan: what to train; its checkpoint's directory exists.
        resume: the directory holds this run's state.
        report: told what happens.

    Raises:
        KeyboardInterrupt: after SIGINT, once the run is saved.
        TrainingError: the loss or the weights became no numbers.
    """
    checkpoint = plan.checkpoint
    training = checkpoint.training
    windows = make_windows(plan.train_ids, checkpoint.model, training)
    total_steps = windows.steps * training.epochs
    model = build_model(
        checkpoint.model, batch_size=training.batch_size, random_seed=training.random_seed
    )
    compile_model(model, training, total_steps)
    if plan.initial_weights is not None:
        for variable, array in zip(model.trainable_variables, plan.initial_weights, strict=True):
            variable.assign(array)
    run = state.RunState()
    means: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    if resume:
        run, means = state.restore(checkpoint.path, model)
        history = checkpoint.history()[: run.evaluations]
        if run.step > total_steps:
            raise TrainingError(
                f"this run has done {run.step / windows.steps:.1f} epochs, more than --epochs "
                f"{training.epochs}; give more, or start a new run"
            )
        if plan.extended:
            run.stale = 0  # told to go on for longer, it gets another chance to get better
    progress = Progress(run, windows, training.epochs, report)
    interruption = Interruption()
    examiner = Examiner(checkpoint, plan.validation_ids)
    evaluation = Evaluation(
        checkpoint,
        run,
        examiner,
        build_model(checkpoint.model, random_seed=training.random_seed),
        progress,
        report,
        history,
    )
    evaluation.set_model(model)
    with interruption.watching():
        if resume:
            state.save(checkpoint.path, model, run)
            checkpoint.write()  # epochs, patience, threads or the text's place may be others
        else:
            _begin(plan, model, run, evaluation)
        parameters = parameter_count(checkpoint.model)
        report(Started(checkpoint, parameters, run.step, windows.steps, total_steps))
        saving = Saving(checkpoint, run, interruption, evaluation)
        while (
            run.step < total_steps
            and not run.is_stale(training.patience)
            and interruption.signal is None
        ):
            epoch, first_step = divmod(run.step, windows.steps)
            batches = Batches(windows, first_step)
            model.fit(
                batches.dataset(),
                initial_epoch=epoch,
                # An epoch that is gone on with in its middle is shorter: Keras wants it apart.
                epochs=epoch + 1 if first_step else training.epochs,
                callbacks=[EpochStart(batches, means), progress, evaluation, saving],
                shuffle=False,
                verbose=0,
            )
        reason: Reason = "interrupted"
        if run.step >= total_steps:
            reason = "finished"
        elif run.is_stale(training.patience):
            reason = "patience"
        report(Stopped(reason, checkpoint.path, run.step, run.seconds, best_of(history)))


def compile_model(model: keras.Model, training: TrainConfig, total_steps: int) -> None:
    """Give the model its loss, its metric and its optimizer."""
    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        warm_up = max(1, round(WARM_UP * total_steps))
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=training.learning_rate,
            warmup_steps=warm_up,
            decay_steps=max(1, total_steps - warm_up),
            alpha=FINAL_RATE,
        )
    options: dict[str, Any] = {
        "learning_rate": rate,
        "global_clipnorm": training.clip_norm or None,
        # AdamW wants a number; the others skip a product with every weight when it is None.
        "weight_decay": training.weight_decay or (0.0 if training.optimizer == "adamw" else None),
    }
    match training.optimizer:
        case "adam":
            optimizer = keras.optimizers.Adam(beta_2=training.beta_2, **options)
        case "adamw":
            optimizer = keras.optimizers.AdamW(beta_2=training.beta_2, **options)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(**options)
        case "sgd":
            optimizer = keras.optimizers.SGD(momentum=SGD_MOMENTUM, **options)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    # Create the variables of both now, so that a resumed run has something to restore into.
    optimizer.build(model.trainable_variables)
    targets = np.zeros([size or 1 for size in model.output_shape[:-1]], np.int32)
    model.compute_metrics(None, targets, keras.ops.one_hot(targets, model.output_shape[-1]))
    model.reset_metrics()


def _begin(plan: Plan, model: keras.Model, run: state.RunState, evaluation: Evaluation) -> None:
    """Write a checkpoint that is whole before the first step; its weights are the initial ones."""
    path = plan.checkpoint.path
    for name in FILES:  # of the checkpoint to replace, the one that makes it a checkpoint first
        (path / name).unlink(missing_ok=True)
    evaluation.write_model()
    evaluation.write_history()
    state.save(path, model, run)
    plan.checkpoint.write()
