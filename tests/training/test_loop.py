"""A run learns, evaluates, saves, recovers, stops and resumes as it should."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLOSE, FABLES
from safetensors.numpy import load_file

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import Sources
from chargen.data.passages import copied
from chargen.data.statistics import character_vectors
from chargen.errors import CheckpointError, TrainingError
from chargen.scoring.baselines import mean_ngram_bits, ngram_bits
from chargen.scoring.tally import round_figure
from chargen.training.divergence import MOST_STRAYED
from chargen.training.events import (
    COPIED_LENGTH,
    Evaluated,
    Event,
    Progressed,
    Recovered,
    Started,
    Stopped,
)
from training.conftest import DEEP, SAVE_EVERY, SMALL, TEXT, Trained, begin, history, stop_when

BOTH_WAYS: dict[str, Any] = {
    "predict": "last",
    "bidirectional": True,
    "embedding": 4,
    "precision": "bfloat16",
    "batch_size": 5,  # so that no batch is smaller: each size is compiled by itself
}
DROPPING: dict[str, Any] = {"layers": 2, "dropout": 0.3, "batch_size": 1, "epochs": 2}
HISTORY_NAMES = [
    "step",
    "epoch",
    "seconds",
    "characters",
    "learning_rate",
    "train_nats",
    "train_accuracy",
    "validation_nats",
    "validation_bits",
    "validation_accuracy",
    "best",
    "gradient_norm",
    "logit_factor",
    "sample",
]


def test_a_run_leaves_a_whole_checkpoint(trained: Trained):
    run = trained()
    path, events = run.path, run.events
    assert path == run.folder / "ck"
    assert sorted(p.name for p in path.iterdir()) == [
        "config.json",
        "history.jsonl",
        "model.keras",
        "resume.safetensors",
        "vocabulary.json",
    ]
    lines = history(path)
    assert all(list(line) == HISTORY_NAMES for line in lines)
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    assert lines[-1]["epoch"] == 2
    assert lines[-1]["characters"] == lines[-1]["step"] * 4 * 8
    best = min(lines, key=lambda line: line["validation_nats"])
    assert best["best"]
    assert [line["best"] for line in lines] == [
        line["validation_nats"] < min([math.inf, *(a["validation_nats"] for a in lines[:index])])
        for index, line in enumerate(lines)
    ]
    assert best["validation_bits"] == pytest.approx(best["validation_nats"] / math.log(2))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "finished"
    assert [event.record for event in events if isinstance(event, Evaluated)] == lines
    samples = [event.sample for event in events if isinstance(event, Evaluated)]
    assert all(samples)
    assert [line["sample"] for line in lines] == samples
    assert all(0 < line["gradient_norm"] < 100 for line in lines)


@pytest.mark.parametrize(
    "options",
    [
        DEEP,
        pytest.param(
            {"predict": "last", "cell": "rnn", "activation": "relu"}, marks=pytest.mark.slow
        ),
        pytest.param(BOTH_WAYS, marks=pytest.mark.cpu),
        DROPPING,
        {"predict": "last", "window": 1, "cell": "rnn"},
    ],
)
def test_evaluate_gives_the_figure_of_the_history(trained: Trained, options: dict[str, Any]):
    path = trained(**{"epochs": 1} | options).path
    checkpoint = Checkpoint.open(path)
    best = checkpoint.best()
    assert best is not None
    held_out = "".join(Sources(checkpoint).held_out_parts(1000))
    assert held_out == TEXT[int(len(TEXT) * 0.9) :]
    score = chargen.load(path).evaluate(held_out)
    assert score.nats_per_character == pytest.approx(best["validation_nats"], **CLOSE)
    assert score.accuracy == pytest.approx(best["validation_accuracy"])


def test_the_figures_of_the_history_have_as_many_digits_as_those_of_evaluate(trained: Trained):
    lines = history(trained().path)
    for name in ("validation_nats", "validation_bits", "validation_accuracy"):
        assert [line[name] for line in lines] == [round_figure(line[name]) for line in lines]


@pytest.mark.slow
def test_epochs_end_with_an_evaluation_and_may_hold_several(trained: Trained):
    epochs = [line["epoch"] for line in history(trained(epochs=3).path)]
    assert {1.0, 2.0, 3.0} <= set(epochs)
    assert len(epochs) > 3
    path = trained(predict="last", epochs=1, batch_size=100).path
    assert history(path)[-1]["characters"] == Checkpoint.open(path).corpus.train_characters - 8


def without_seconds(path: Path) -> list[dict[str, Any]]:
    return [{**line, "seconds": None} for line in history(path)]


@dataclass(frozen=True)
class Stops:
    """A run that was stopped twice, within its first epoch and at an evaluation, and ended.

    Attributes:
        straight: the same without a stop.
        first: a copy of its checkpoint after the first stop.
        second: another after the second.
        step: of the first stop.
        ended: its checkpoint.
    """

    straight: Path
    first: Path
    second: Path
    step: int
    ended: Path


@pytest.fixture(
    scope="module",
    params=[
        DROPPING,
        pytest.param(
            {"cell": "gru", "predict": "last", "optimizer": "sgd", "batch_size": 32},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"cell": "rnn", "optimizer": "rmsprop", "schedule": "constant", "embedding": 3},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["lstm", "gru", "rnn"],
)
def stops(
    request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Stops:
    straight = trained(**request.param)
    text = straight.folder / "fables.txt"
    evaluated = [line["step"] for line in history(straight.path)]
    middle = evaluated[len(evaluated) // 2]
    folder = tmp_path_factory.mktemp("stops")
    path = folder / "ended"
    steps: list[int] = []

    def has_progressed(event: Event) -> bool:
        if isinstance(event, Progressed):
            steps.append(event.step)
        return bool(steps)

    def is_in_the_middle(event: Event) -> bool:
        return isinstance(event, Evaluated) and event.record["step"] == middle

    with pytest.raises(KeyboardInterrupt):
        chargen.train(
            text, checkpoint=path, report=stop_when(has_progressed), **SMALL | request.param
        )
    shutil.copytree(path, folder / "first")
    with pytest.raises(KeyboardInterrupt):
        chargen.train(checkpoint=path, resume=True, report=stop_when(is_in_the_middle))
    shutil.copytree(path, folder / "second")
    chargen.train(text, checkpoint=path, resume=True)
    return Stops(straight.path, folder / "first", folder / "second", steps[0], path)


def arrays_of(path: Path) -> list[np.ndarray]:
    """Weights, moments of the optimizer, states: everything that a run goes on with."""
    return list(load_file(path / "resume.safetensors").values())


def test_an_interrupted_run_ends_as_one_that_was_not(stops: Stops):
    assert without_seconds(stops.ended) == without_seconds(stops.straight)
    for array, expected in zip(arrays_of(stops.ended), arrays_of(stops.straight), strict=True):
        np.testing.assert_array_equal(array, expected)
    for array, expected in zip(
        Checkpoint.open(stops.ended).weights(),
        Checkpoint.open(stops.straight).weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(array, expected)


def test_a_run_stopped_within_an_epoch_continues_in_its_middle(stops: Stops):
    straight = without_seconds(stops.straight)
    epoch_steps = round(straight[-1]["step"] / straight[-1]["epoch"])
    assert stops.step % epoch_steps != 0
    until = without_seconds(stops.second)
    assert until == straight[: len(until)]
    assert 0 < len(until) < len(straight)


def test_a_run_stopped_before_its_first_evaluation_leaves_what_it_learned(stops: Stops):
    assert history(stops.first) == []
    weights = Checkpoint.open(stops.first).weights()
    state = load_file(stops.first / "resume.safetensors")
    for index, array in enumerate(weights):
        np.testing.assert_array_equal(array, state[f"weight{index}"])


def test_the_same_random_seed_gives_the_same_run(trained: Trained, text: Path, tmp_path: Path):
    one, again = (trained(validation=0, save_every=often).path for often in SAVE_EVERY)
    assert without_seconds(one) == without_seconds(again)
    for array, expected in zip(arrays_of(one), arrays_of(again), strict=True):
        np.testing.assert_array_equal(array, expected)

    def first_weights(name: str, seed: int) -> list[np.ndarray]:
        begin(text, checkpoint=tmp_path / name, **SMALL | {"random_seed": seed})
        return Checkpoint.open(tmp_path / name).weights()

    initial, equal, other = (first_weights(*run) for run in (("a", 1), ("b", 1), ("c", 2)))
    assert all(np.array_equal(a, b) for a, b in zip(initial, equal, strict=True))
    assert not np.array_equal(initial[0], other[0])


@pytest.mark.slow
def test_another_random_seed_gives_another_run(trained: Trained):
    one, other = trained(), trained(random_seed=2)
    weights = [Checkpoint.open(run.path).weights() for run in (one, other)]
    assert all((a != b).any() for a, b in zip(*weights, strict=True))
    assert history(one.path)[-1]["train_nats"] != history(other.path)[-1]["train_nats"]


def test_a_finished_run_can_be_given_more_epochs(trained: Trained, tmp_path: Path):
    path = trained().copy(tmp_path)
    steps = history(path)[-1]["step"]
    events: list[Event] = []
    chargen.train(checkpoint=path, resume=True, report=events.append)
    assert history(path)[-1]["step"] == steps
    assert not any(isinstance(event, Evaluated) for event in events)
    chargen.train(checkpoint=path, resume=True, epochs=3)
    assert history(path)[-1]["step"] == steps * 3 // 2
    assert Checkpoint.open(path).training.epochs == 3


COUNT_THREADS = """
import json, sys
from concurrent import futures
import chargen

counts = [0]

class Pool(futures.ThreadPoolExecutor):
    def __init__(self, max_workers=None, **options):
        counts.append(max_workers)
        super().__init__(max_workers, **options)

futures.ThreadPoolExecutor = Pool
chargen.train("text", checkpoint="ck", **json.loads(sys.argv[1]))
print(max(counts))
"""
"""How many threads a pool may start. Fewer are started where one is free again in time."""


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_evaluations_compute_with_the_runs_number_of_threads(tmp_path: Path, threads: int):
    (tmp_path / "text").write_text(FABLES[:12_000], encoding="utf-8")
    options = SMALL | {"epochs": 1, "validation": 0.3, "threads": threads}
    script = [sys.executable, "-c", COUNT_THREADS, json.dumps(options)]
    result = subprocess.run(script, cwd=tmp_path, capture_output=True, check=True)
    assert int(result.stdout) == (threads if threads > 1 else 0)


def test_patience_stops_a_run_that_gets_worse(trained: Trained):
    run = trained(epochs=50, learning_rate=1.0, patience=2, schedule="constant")
    path = run.path
    lines = history(path)
    assert isinstance(run.events[-1], Stopped)
    assert run.events[-1].reason == "patience"
    assert lines[-1]["epoch"] < 50
    assert not lines[-1]["best"]
    assert not lines[-2]["best"]
    best = Checkpoint.open(path).best()
    assert best is not None
    held_out = "".join(Sources(Checkpoint.open(path)).held_out_parts(1000))
    score = chargen.load(path).evaluate(held_out)
    assert score.nats_per_character == pytest.approx(best["validation_nats"], **CLOSE)


def test_a_run_that_patience_stopped_trains_on_only_if_it_is_given_longer(
    trained: Trained, tmp_path: Path
):
    options: dict[str, Any] = {"learning_rate": 1.0, "patience": 2, "schedule": "constant"}
    path = trained(epochs=50, **options).copy(tmp_path)
    before = history(path)
    events: list[Event] = []
    chargen.train(checkpoint=path, resume=True, save_every=10, report=events.append)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "patience"
    assert history(path) == before
    assert Checkpoint.open(path).training.save_every == 10
    chargen.train(checkpoint=path, resume=True, patience=3)
    assert len(history(path)) > len(before)


@pytest.mark.slow
def test_a_budget_ends_a_run_by_the_clock_of_this_machine(trained: Trained):
    run = trained(budget="10s", epochs=10**6, patience=0)
    stopped = run.events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "budget"
    assert history(run.path)[-1]["step"] == stopped.step
    assert Checkpoint.open(run.path).best() is not None


def test_an_interrupted_run_says_so_though_its_time_is_up_when_it_is_saved(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock, late, events = time.monotonic, 0.0, list[Event]()
    monkeypatch.setattr(time, "monotonic", lambda: clock() + late)
    interrupt = stop_when(lambda event: isinstance(event, Progressed))

    def report(event: Event) -> None:
        nonlocal late
        events.append(event)
        interrupt(event)
        late = 3600 * isinstance(event, Progressed)

    options = SMALL | {"epochs": 10**6, "budget": "1h", "save_every": "1h"}
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=tmp_path / "ck", report=report, **options)
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "interrupted"


def test_a_run_ends_with_an_evaluation_though_its_time_was_up_only_after_it_was_asked(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from chargen.training.clock import Clock

    monkeypatch.setattr(Clock, "is_evaluation_due", property(lambda clock: False))
    events: list[Event] = []
    path = chargen.train(text, checkpoint=tmp_path / "ck", report=events.append, **SMALL)
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert [line["step"] for line in history(path)] == [stopped.step]


@pytest.mark.slow
def test_a_budget_ends_the_run_in_time_and_keeps_its_best_weights(
    ticking: None, text: Path, tmp_path: Path
):
    events: list[Event] = []
    path = chargen.train(
        text,
        checkpoint=tmp_path / "ck",
        report=events.append,
        budget="10s",
        **SMALL | {"epochs": 10**4, "patience": 0},
    )
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "budget"
    lines = history(path)
    assert len(lines) > 3
    assert lines[-1]["seconds"] <= 10
    assert lines[-1]["step"] == stopped.step
    rates = [line["learning_rate"] for line in lines]
    assert rates[-1] < 0.05 * max(rates)  # the schedule was laid out over the time
    checkpoint = Checkpoint.open(path)
    assert checkpoint.training.budget == 10.0
    assert checkpoint.best() is not None
    # A resumed run has what is left of its time, or of a longer one.
    chargen.train(checkpoint=path, resume=True)
    assert history(path)[-1]["seconds"] <= 10
    chargen.train(checkpoint=path, resume=True, budget=13)
    after = history(path)[-1]
    assert after["step"] > stopped.step
    assert 10 < after["seconds"] <= 13


def test_weights_that_are_averaged_are_the_ones_that_are_scored_and_kept(trained: Trained):
    plain, averaged = trained().path, trained(average=0.99).path
    one, other = history(plain)[-1], history(averaged)[-1]
    assert one["train_nats"] == pytest.approx(other["train_nats"], abs=1e-4)  # learned alike
    assert one["validation_nats"] != pytest.approx(other["validation_nats"], abs=1e-3)
    best = Checkpoint.open(averaged).best()
    assert best is not None
    held_out = "".join(Sources(Checkpoint.open(averaged)).held_out_parts(1000))
    score = chargen.load(averaged).evaluate(held_out)
    assert score.nats_per_character == pytest.approx(best["validation_nats"], **CLOSE)


def test_with_nothing_held_out_the_newest_weights_are_kept(trained: Trained):
    path = trained(validation=0, save_every=SAVE_EVERY[1]).path
    lines = history(path)
    assert all(line["best"] for line in lines)
    for name in ("validation_nats", "validation_bits", "validation_accuracy"):
        assert all(line[name] is None for line in lines)
    newest = load_file(path / "resume.safetensors")["weight0"]
    np.testing.assert_array_equal(Checkpoint.open(path).weights()[0], newest)


def test_a_run_that_keeps_diverging_is_an_error_that_says_what_to_do(text: Path, tmp_path: Path):
    options = SMALL | {
        "cell": "rnn",
        "activation": "relu",
        "learning_rate": 1e30,
        "clip_norm": 0,
        "schedule": "constant",
        "optimizer": "sgd",
    }
    with pytest.raises(TrainingError, match="training diverged: at step .* halving .* 5 times"):
        chargen.train(text, checkpoint=tmp_path / "ck", **options)
    assert [line["diverged"] for line in history(tmp_path / "ck")] == [True] * 5
    assert len(chargen.load(tmp_path / "ck").sample("The", length=5)) == 5


def test_the_state_is_saved_as_often_as_asked_for(trained: Trained):
    always, seldom = (trained(validation=0, save_every=often) for often in SAVE_EVERY)
    assert len(always.saved) > len(seldom.saved)
    assert set(seldom.saved) <= {0} | {line["step"] for line in history(seldom.path)}


def test_two_trainers_in_one_directory_are_refused(text: Path, tmp_path: Path):
    def train_too(event: Event) -> None:
        if isinstance(event, Started):
            for how in ({"resume": True}, {"force": True}):
                with pytest.raises(CheckpointError, match="another process is training in"):
                    chargen.train(text, checkpoint=tmp_path / "ck", **how)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=tmp_path / "ck", report=train_too, **SMALL)


@pytest.mark.parametrize("how", ["resume", "force"])
def test_what_killed_runs_left_half_written_is_removed(trained: Trained, tmp_path: Path, how: str):
    path = trained().copy(tmp_path)
    before = {entry.name for entry in path.iterdir()}
    for name in (".model.123.keras", ".resume.45.safetensors", ".config.6.json"):
        (path / name).write_bytes(b"half")
    others = {".model.mine.keras", "model.123.keras", ".notes.7.txt"}
    for name in others:
        (path / name).write_bytes(b"mine")
    begin(tmp_path / "fables.txt", checkpoint=path, **{how: True}, **SMALL | {"epochs": 3})
    assert {entry.name for entry in path.iterdir()} == before | others


@pytest.mark.parametrize("steps", [1, 20], ids=["just", "long"])
def test_a_run_that_diverges_continues_from_its_last_state_with_half_the_rate(
    trained: Trained, text: Path, tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
):
    from chargen.training.clock import Clock

    asked: list[int] = []
    plain = [line["step"] for line in history(trained().path)]
    explode_at = plain[2] - steps

    rate = Clock.learning_rate

    def explode_once(clock: Clock, step: int) -> float:
        asked.append(step)
        return 1e30 if step == explode_at and asked.count(step) == 1 else rate(clock, step)

    monkeypatch.setattr(Clock, "learning_rate", explode_once)
    options = SMALL | {"clip_norm": 0, "optimizer": "sgd", "schedule": "constant"}
    options["learning_rate"] = 0.1  # or a few steps would not improve on the first guess
    events: list[Event] = []
    path = chargen.train(text, checkpoint=tmp_path / "ck", report=events.append, **options)
    recovered = [event for event in events if isinstance(event, Recovered)]
    assert len(recovered) == 1
    assert 0 < recovered[0].back_to < recovered[0].step
    assert recovered[0].rate_factor == 0.5
    lines = history(path)
    (noted,) = [line for line in lines if line.get("diverged")]
    assert noted["step"] == recovered[0].step
    assert not noted["best"]
    others = [line for line in lines if not line.get("diverged")]
    assert [line["step"] for line in others] == plain
    after = others[-1]["learning_rate"]
    assert after == pytest.approx(0.05)
    assert others[-1]["train_nats"] < others[0]["train_nats"]


def test_a_run_that_runs_away_continues_from_its_best_weights(
    trained: Trained, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its figures are finite, and the last state was saved after the best weights were."""
    from chargen.models.learner import BlockResult, Learner
    from chargen.training import loop

    plain = [line["step"] for line in history(trained().path)]
    begins, events, kept = plain[2], list[Event](), list[Any]()
    learn, begin_again, calibrate = Learner.learn, Learner.begin_again, loop.calibrate
    first_factors: list[float] = []

    def runs_away(self: Learner, *block: Any) -> BlockResult:
        result = learn(self, *block)
        if kept or self.steps <= begins:
            return result
        return replace(result, losses=result.losses + 4, gradient_norms=result.gradient_norms + 999)

    def begins_again(self: Learner, weights: Any) -> None:
        kept.append(Checkpoint.open(tmp_path / "ck").weights())
        begin_again(self, weights)
        for one, two in zip(self.weights_to_keep(), kept[0], strict=True):
            np.testing.assert_array_equal(one, two)

    def calibrated(model_of: Any, ids: Any, factor: float) -> Any:
        first_factors.append(factor)
        found = calibrate(model_of, ids, factor)._replace(better=0.9)
        evaluations = sum(isinstance(event, Evaluated) for event in events)
        if evaluations != 2:
            return found
        nats = 2 * found.score.nats_per_character
        return found._replace(score=replace(found.score, nats_per_character=nats))

    monkeypatch.setattr(Learner, "learn", runs_away)
    monkeypatch.setattr(Learner, "begin_again", begins_again)
    monkeypatch.setattr(loop, "calibrate", calibrated)
    path = chargen.train(text, checkpoint=tmp_path / "ck", report=events.append, **SMALL)
    (recovered,) = [event for event in events if isinstance(event, Recovered)]
    assert recovered == Recovered(begins + MOST_STRAYED + 1, begins, plain[1], 0.5)
    lines = history(path)
    assert [line["step"] for line in lines if not line.get("diverged")] == plain
    (noted,) = [line for line in lines if line.get("diverged")]
    assert noted["step"] == recovered.step
    assert lines[-1]["best"]
    # The best weights have their factor already.
    assert first_factors == [1.0, 0.9, 0.9, 1.0]


@pytest.mark.parametrize("validation", [0, pytest.param(0.2, marks=pytest.mark.slow)])
def test_weights_that_are_no_numbers_never_replace_the_best(
    trained: Trained, tmp_path: Path, validation: float, monkeypatch: pytest.MonkeyPatch
):
    """An evaluation right after the step that explodes: the loss before it was a number."""
    path = trained(validation=validation, save_every=SAVE_EVERY[1]).copy(tmp_path)
    before = (path / "model.keras").read_bytes()

    from chargen.training import state

    restore = state.restore

    def explode(folder: Path, learner: Any) -> Any:
        run = restore(folder, learner)
        learner.assign(
            [np.full(array.shape, 1e38, np.float32) for array in learner.weights_to_keep()]
        )
        return run

    monkeypatch.setattr(state, "restore", explode)
    with pytest.raises(TrainingError, match="training diverged: at step"):
        chargen.train(checkpoint=path, resume=True, epochs=3)
    assert (path / "model.keras").read_bytes() == before


def test_calibration_changes_how_sure_the_model_is_and_not_what_it_learns(trained: Trained):
    # Much of a short text is known by heart after as many steps, and more is thought to be.
    options: dict[str, Any] = {"epochs": 12, "units": 32, "learning_rate": 0.03}
    plain, calibrated = (trained(calibrate=on, **options) for on in (False, True))
    before, after = history(plain.path), history(calibrated.path)
    for one, other in zip(before, after, strict=True):
        assert one["logit_factor"] == 1.0
        assert one["train_nats"] == other["train_nats"]
        assert one["validation_accuracy"] == pytest.approx(other["validation_accuracy"], abs=1e-3)
        assert other["validation_nats"] < one["validation_nats"] + 1e-3
    factors = [line["logit_factor"] for line in after]
    assert min(factors) < 0.95
    gains = [
        o["validation_nats"] - a["validation_nats"] for o, a in zip(before, after, strict=True)
    ]
    assert max(gains) > 0.01
    best = max((line for line in after if line["best"]), key=lambda line: line["step"])
    score = chargen.load(calibrated.path).evaluate(TEXT[int(len(TEXT) * 0.9) :])
    assert score.nats_per_character == pytest.approx(best["validation_nats"], **CLOSE)


@pytest.mark.slow
def test_clipping_bounds_the_gradient(trained: Trained):
    options: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant"}
    free, tight = (trained(clip_norm=norm, **options).path for norm in (0, 1e-6))
    assert history(free)[-1]["train_nats"] < history(tight)[-1]["train_nats"] - 0.1


@pytest.mark.slow
def test_weight_decay_shrinks_the_weights(trained: Trained):
    def size(**options: Any) -> float:
        path = trained(learning_rate=0.1, optimizer="adamw", **options).path
        return float(sum((w**2).sum() for w in Checkpoint.open(path).weights()))

    assert size(weight_decay=0.5) < 0.8 * size()


@pytest.mark.slow
def test_the_cosine_climbs_and_falls_and_constant_does_neither(trained: Trained):
    rates = [line["learning_rate"] for line in history(trained(epochs=20).path)]
    peak = rates.index(max(rates))
    assert 0 < peak <= 2  # after a tenth of the twenty epochs
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[peak] > 0.0099
    assert rates[-1] == pytest.approx(0.0002, rel=0.02)
    constant = history(trained(schedule="constant").path)
    assert {round(line["learning_rate"], 6) for line in constant} == {0.01}


def test_the_first_guess_is_the_frequencies_of_the_text(trained: Trained):
    """A network that has hardly learned anything predicts as a count of the characters does."""
    path = trained(learning_rate=1e-9, epochs=1).path
    model = chargen.load(path)
    sources = Sources(model.checkpoint)
    train, held_out = sources.train_ids(), sources.held_out_ids()
    bits = next(ngram_bits(train, held_out, len(model.vocabulary))).mean()
    assert history(path)[0]["validation_bits"] == pytest.approx(bits, rel=0.02)
    assert bits < 0.9 * math.log2(len(model.vocabulary))


def test_an_embedding_starts_from_the_neighbours_of_each_character(text: Path, tmp_path: Path):
    begin(text, checkpoint=tmp_path / "ck", **SMALL | {"embedding": 6})
    checkpoint = Checkpoint.open(tmp_path / "ck")
    ids, size = Sources(checkpoint).train_ids(), len(checkpoint.vocabulary)
    expected = character_vectors(ids, size, 6)
    np.testing.assert_allclose(checkpoint.weights()[0], expected, atol=1e-4)


def test_a_run_says_what_counting_knows_of_the_held_out_text(trained: Trained):
    run = trained()
    checkpoint = Checkpoint.open(run.path)
    sources = Sources(checkpoint)
    bits = mean_ngram_bits(sources.train_ids(), sources.held_out_ids(), checkpoint.vocabulary, 5)
    started = run.events[0]
    assert isinstance(started, Started)
    assert (started.unigram_bits, started.sixgram_bits) == (bits[0], bits[5])


def test_without_a_held_out_text_there_is_nothing_to_compare(trained: Trained):
    started = trained(validation=0.0, epochs=1).events[0]
    assert isinstance(started, Started)
    assert started.unigram_bits is started.sixgram_bits is None


def test_a_run_says_how_much_it_copies(trained: Trained, tmp_path: Path):
    stopped = trained().events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.copied == 0  # two epochs of eight units know no twenty characters of a text
    sources = Sources(Checkpoint.open(trained().path))
    expected = copied(sources.held_out_ids(), sources.train_ids(), COPIED_LENGTH).mean()
    assert stopped.usual == pytest.approx(expected)
    (tmp_path / "play.txt").write_text("All work and no play. " * 200)
    events: list[Event] = []
    chargen.train(
        tmp_path / "play.txt", checkpoint=tmp_path / "ck", report=events.append, validation=0.0,
        units=32, window=22, batch_size=4, epochs=10, learning_rate=0.02, random_seed=1,
    )  # fmt: skip
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.copied is not None
    assert stopped.copied > 0.9
    assert stopped.usual is None


def test_a_preset_and_given_weights_begin_as_they_are(trained: Trained, tmp_path: Path):
    text = trained().folder / "fables.txt"
    begin(text, checkpoint=tmp_path / "preset", preset="tutorial")
    assert not Checkpoint.open(tmp_path / "preset").weights()[-1].any()
    options = {"preset": "tutorial", "embedding": 6}
    drawn = []
    for seed in (1, 2):
        path = tmp_path / f"preset{seed}"
        begin(text, checkpoint=path, random_seed=seed, **options)
        drawn.append(Checkpoint.open(path).weights()[0])
    assert (drawn[0] != drawn[1]).any()
    begin(text, checkpoint=tmp_path / "more", init_from=trained().path)
    expected = Checkpoint.open(trained().path).weights()
    for one, two in zip(Checkpoint.open(tmp_path / "more").weights(), expected, strict=True):
        np.testing.assert_array_equal(one, two)
