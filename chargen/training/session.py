"""One session of a run: build the model, `compile`, `fit`, and leave a checkpoint behind."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.atomic import replace_directory
from chargen.checkpoint.directory import FILES, best_of
from chargen.config import TrainConfig
from chargen.data.windows import make_windows
from chargen.errors import TrainingError
from chargen.models.factory import build_learner, build_model
from chargen.training import state
from chargen.training.batches import Batches
from chargen.training.callbacks import (
    Diverged,
    Evaluation,
    Feeding,
    Progress,
    Saving,
)
from chargen.training.events import Reason, Recovered, Report, Started, Stopped
from chargen.training.examiner import Examiner
from chargen.training.interruption import Interruption
from chargen.training.lock import Lock
from chargen.training.machine import settled
from chargen.training.pace import Pace
from chargen.training.plan import Plan

__all__ = ["compile_model", "learning_rate", "run_session"]

WARM_UP = 0.03
"""Share of the steps in which the learning rate climbs: Adam's first estimates are poor."""
FINAL_RATE = 0.02
"""What the cosine leaves of the learning rate: the last steps settle, but still learn."""
SGD_MOMENTUM = 0.9
MOST_RECOVERIES = 5
"""Of a run that diverges: a rate 32 times too high is not the rate's fault alone."""


def run_session(plan: Plan, lock: Lock, *, resume: bool, report: Report, started: float) -> None:
    """Train from the start, or from where the run stopped, to its end or an interruption.

    Args:
        plan: what to train; its checkpoint's directory exists.
        lock: held on that directory.
        resume: the directory holds this run's state.
        report: told what happens.
        started: when the command began, by `time.monotonic`.

    Raises:
        KeyboardInterrupt: after SIGINT, once the run is saved.
        TrainingError: the run diverged again and again.
    """
    checkpoint = plan.checkpoint
    if not resume:
        training = settled(checkpoint.model, checkpoint.training)
        checkpoint = replace(checkpoint, training=training)
        plan = replace(plan, checkpoint=checkpoint)
    training = checkpoint.training
    windows = make_windows(plan.train_ids, checkpoint.model, training)
    total_steps = windows.steps * training.epochs
    model = build_learner(checkpoint.model, training)
    compile_model(model, training)
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
    pace = Pace(run, windows, training, started)
    progress = Progress(run, pace, report)

    def rate(step: int) -> float:
        return learning_rate(training, pace.fraction(step)) * run.rate_factor

    interruption = Interruption()
    examiner = Examiner(checkpoint, plan.validation_ids)
    evaluation = Evaluation(
        checkpoint,
        run,
        examiner,
        build_model(checkpoint.model, random_seed=training.random_seed),
        pace,
        report,
        history,
    )
    evaluation.set_model(model)
    with interruption.watching():
        if resume:
            state.save(checkpoint.path, model, run)
            checkpoint.write()  # epochs, patience, threads or the text's place may be others
        else:
            _begin(plan, lock, model, run, evaluation)
        parameters = parameter_count(checkpoint.model)
        report(Started(checkpoint, parameters, run.step, windows.steps, total_steps))
        saving = Saving(checkpoint, run, interruption, evaluation)
        while not (pace.is_over or run.is_stale(training.patience) or interruption.signal):
            batches = Batches(windows, rate, pace.boundary, run.step)
            try:
                model.fit(
                    batches.dataset(),
                    steps_per_epoch=total_steps,  # at most: callbacks end it
                    callbacks=[Feeding(batches, pace, means), progress, evaluation, saving],
                    shuffle=False,
                    verbose=0,
                )
            except Diverged as diverged:
                means = _recover(plan, model, run, evaluation, diverged.step)
                report(Recovered(diverged.step, run.step, run.rate_factor))
        reason: Reason = "interrupted"
        if run.step >= total_steps:
            reason = "finished"
        elif run.is_stale(training.patience):
            reason = "patience"
        elif pace.is_out_of_time:
            reason = "budget"
        report(Stopped(reason, checkpoint.path, run.step, run.seconds, best_of(history)))


def learning_rate(training: TrainConfig, fraction: float) -> float:
    """The rate when so much of the run is done."""
    if training.schedule == "constant":
        return training.learning_rate
    if fraction < WARM_UP:
        # The first step, at 0, would teach nothing.
        return training.learning_rate * max(fraction / WARM_UP, FINAL_RATE)
    cosine = (1 + math.cos(math.pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2
    return training.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def compile_model(model: keras.Model, training: TrainConfig) -> None:
    """Give the model its optimizer."""
    options: dict[str, Any] = {
        "learning_rate": training.learning_rate,
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
    # What is compiled by XLA is a shard's pass and the update, not Keras' loop around them.
    model.compile(optimizer=optimizer, jit_compile=False)
    # Create its variables now, so that a resumed run has something to restore into.
    optimizer.build(model.trainable_variables)


def _recover(
    plan: Plan, model: keras.Model, run: state.RunState, evaluation: Evaluation, step: int
) -> dict[str, Any]:
    """Go back to the last good state with half the learning rate; returns its running means.

    Raises:
        TrainingError: this did not help often enough.
    """
    if run.recoveries == MOST_RECOVERIES:
        raise TrainingError(
            f"training diverged: at step {step:,} the loss or the weights are no longer numbers, "
            f"or have exploded, and halving the learning rate {MOST_RECOVERIES} times did not "
            "help; the best weights so far are kept: train again with a lower --learning-rate or "
            "a smaller --clip-norm"
        )
    path = plan.checkpoint.path
    good, means = state.restore(path, model)
    vars(run).update(vars(good), recoveries=run.recoveries + 1)
    evaluation.note_recovery(step)
    state.save(path, model, run)
    return means


def _begin(
    plan: Plan, lock: Lock, model: keras.Model, run: state.RunState, evaluation: Evaluation
) -> None:
    """Write a checkpoint that is whole before the first step; its weights are the initial ones."""

    def write(folder: Path) -> None:
        lock.hold(folder)
        evaluation.write_model(folder)
        evaluation.write_history(folder)
        state.save(folder, model, run)
        replace(plan.checkpoint, path=folder).write()

    replace_directory(plan.checkpoint.path, FILES, write)
