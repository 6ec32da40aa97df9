"""Where a run stands in its epochs and its time."""

from typing import Any

import numpy as np
import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.data.windows import make_windows
from chargen.training import runtime

runtime.start()
from chargen.training import pace as pace_module  # noqa: E402
from chargen.training.pace import Pace  # noqa: E402
from chargen.training.state import RunState  # noqa: E402


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(pace_module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def make_pace(run: RunState, started: float, **options: Any) -> Pace:
    """Epochs of 10 steps of 2 windows of 4 characters."""
    training = make_training(batch_size=2, epochs=3, **options)
    ids = np.zeros(2 * 4 * 10 + 4, np.uint8)
    windows = make_windows(ids, ModelConfig(vocabulary_size=2, units=1, window=4), training)
    assert windows.steps == 10
    return Pace(run, windows, training, started)


def test_without_a_budget_steps_count(clock: Clock):
    run = RunState()
    pace = make_pace(run, clock.now, evaluate_every=4)
    due = []
    for step in range(1, 31):
        clock.now += 1
        pace.reach(step)
        if pace.is_evaluation_due:
            due.append(step)
    assert due == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert pace.is_over
    assert not pace.is_out_of_time
    assert pace.fraction(15) == 0.5
    assert run.seconds == 30


def test_whole_epochs_between_evaluations(clock: Clock):
    pace = make_pace(RunState(), clock.now, evaluate_every=20)
    due = []
    for step in range(1, 31):
        pace.reach(step)
        if pace.is_evaluation_due:
            due.append(step)
    assert due == [20, 30]
    assert [pace.boundary(step) for step in (0, 9, 10, 29)] == [10, 10, 20, 30]


def test_a_budget_ends_the_run_with_time_left_for_the_last_evaluation(clock: Clock):
    run = RunState()
    pace = make_pace(run, clock.now - 5, evaluate_every=1, budget=65.0)  # 5 seconds of start-up
    step, due = 0, []
    while not pace.is_over:
        step += 1
        clock.now += 3
        pace.reach(step)
        if pace.is_evaluation_due:
            due.append(step)
            clock.now += 2
            pace.count_evaluation(2.0)
    assert pace.is_out_of_time
    assert step < 30
    assert 65 - 1.2 * 2 - 1 <= run.seconds <= 65 - 1.2 * 2 + 2
    assert due[-1] == step
    assert 1 <= len(due) <= 3  # evaluations take a twenty-fifth of the time


def test_the_schedule_follows_whichever_is_further_on(clock: Clock):
    pace = make_pace(RunState(), clock.now, budget=101.0)
    clock.now += 20  # reading and compiling are no learning
    assert pace.fraction(0) == 0
    pace.reach(1)
    assert pace.fraction(15) == 0.5  # of the steps, while no time has passed
    clock.now += 60
    assert pace.fraction(15) == 0.75  # of the time
    clock.now += 1000
    assert pace.fraction(15) == 1


def test_seconds_and_budget_go_on_in_another_session(clock: Clock):
    run = RunState(step=7, seconds=60.0)
    pace = make_pace(run, clock.now, budget=101.0)
    clock.now += 40
    pace.reach(8)
    assert run.seconds == 100
    assert pace.is_out_of_time


def test_the_pace_is_that_of_this_session(clock: Clock):
    pace = make_pace(RunState(step=10, seconds=500.0), clock.now)
    clock.now += 7  # start-up
    pace.begin()
    for step in range(11, 16):
        clock.now += 2
        pace.reach(step)
    assert pace.characters == 15 * 8
    assert pace.characters_per_second == pytest.approx(4)
    assert pace.seconds_left == pytest.approx(30)
    assert pace.steps_in(1.0) == 1
    assert pace.steps_in(10.0) == 5
