"""The clock knows how far a run is in its epochs and its time, and what is due."""

from typing import Any

import numpy as np
import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.data.windows import make_windows
from chargen.training import clock as clock_module
from chargen.training.clock import Clock
from chargen.training.state import RunState


class Hand:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock_module.time, "monotonic", lambda: self.now)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(monkeypatch)


def make_clock(run: RunState, started: float, **options: Any) -> Clock:
    """Epochs of 10 steps of 2 windows of 4 characters."""
    training = make_training(**{"batch_size": 2, "epochs": 3} | options)
    ids = np.zeros(2 * 4 * 10 + 4, np.uint8)
    windows = make_windows(ids, ModelConfig(vocabulary_size=2, units=1, window=4), training)
    assert windows.steps == 10
    return Clock(run, windows, training, started)


def test_without_a_budget_a_run_ends_after_its_steps(hand: Hand):
    run = RunState()
    clock = make_clock(run, hand.now, evaluate_every=4)
    due = []
    for step in range(1, 31):
        hand.now += 1
        clock.reach(step)
        if clock.is_evaluation_due:
            due.append(step)
    assert due == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert clock.is_at_end
    assert not clock.is_out_of_time
    assert clock.fraction(15) == 0.5
    assert run.seconds == 30


def test_evaluations_may_be_whole_epochs_apart(hand: Hand):
    clock = make_clock(RunState(), hand.now, evaluate_every=20)
    due = []
    for step in range(1, 31):
        clock.reach(step)
        if clock.is_evaluation_due:
            due.append(step)
    assert due == [20, 30]


def test_a_block_ends_where_an_epoch_or_an_evaluation_may_be_due(hand: Hand):
    run = RunState()
    clock = make_clock(run, hand.now, evaluate_every=20)
    clock.begin()
    assert clock.next_block(1e9, 64) == 1  # nothing is known of the throughput
    hand.now += 1
    blocks = {}
    for step in (1, 9, 10, 29):
        clock.reach(step)
        blocks[step] = clock.next_block(1e9, 64)
    assert blocks == {1: 9, 9: 1, 10: 10, 29: 1}
    clock.reach(10)
    assert clock.next_block(1e9, 3) == 3
    part = make_clock(RunState(step=12), hand.now, evaluate_every=4)
    hand.now += 1
    part.reach(13)
    assert part.next_block(1e9, 64) == 1  # an epoch's evaluations are counted from its beginning


def test_a_budget_ends_the_run_with_time_left_for_the_last_evaluation(hand: Hand):
    run = RunState()
    clock = make_clock(run, hand.now - 5, evaluate_every=1, budget=65.0)  # 5 seconds of start-up
    step, due = 0, []
    while not clock.is_at_end:
        step += 1
        hand.now += 3
        clock.reach(step)
        if clock.is_evaluation_due:
            due.append(step)
            hand.now += 2
            clock.count_evaluation(2.0)
    assert clock.is_out_of_time
    assert step < 30
    assert 65 - 1.2 * 2 - 1 <= run.seconds <= 65 - 1.2 * 2 + 2
    assert due[-1] == step
    assert 1 <= len(due) <= 3  # evaluations take a twenty-fifth of the time


def test_the_schedule_follows_whichever_is_further_on(hand: Hand):
    clock = make_clock(RunState(), hand.now, budget=101.0)
    hand.now += 20  # reading and compiling are no learning
    assert clock.fraction(0) == 0
    clock.reach(1)
    assert clock.fraction(15) == 0.5  # of the steps, while no time has passed
    hand.now += 60
    assert clock.fraction(15) == 0.75  # of the time
    hand.now += 1000
    assert clock.fraction(15) == 1


def test_seconds_and_budget_continue_in_another_session(hand: Hand):
    run = RunState(step=7, seconds=60.0)
    clock = make_clock(run, hand.now, budget=101.0)
    hand.now += 40
    clock.reach(8)
    assert run.seconds == 100
    assert clock.is_out_of_time


def test_the_pace_is_that_of_this_session_after_the_block_that_compiles(hand: Hand):
    clock = make_clock(RunState(step=10, seconds=500.0), hand.now, evaluate_every=10)
    hand.now += 7  # start-up
    clock.begin()
    hand.now += 20  # compiling
    clock.reach(11)
    assert clock.characters_per_second == pytest.approx(8 / 20)  # all that is known
    for step in range(12, 16):
        hand.now += 2
        clock.reach(step)
    assert clock.characters(15) == 15 * 8
    assert clock.characters_per_second == pytest.approx(4)
    assert clock.seconds_left == pytest.approx(30)
    assert clock.next_block(1.0, 64) == 1
    assert clock.next_block(8.0, 64) == 4


def test_the_pace_is_that_of_the_last_seconds(hand: Hand):
    clock = make_clock(RunState(), hand.now, epochs=100)
    clock.begin()
    for step in range(1, 101):
        hand.now += 3
        clock.reach(step)
    assert clock.characters_per_second == pytest.approx(8 / 3)
    for step in range(101, 200):
        hand.now += 0.5
        clock.reach(step)
    assert clock.characters_per_second == pytest.approx(16)
    assert clock.seconds_left == pytest.approx((1000 - 199) / 2)


@pytest.mark.parametrize(
    ("schedule", "rates"), [("cosine", [0.0002, 0.01, 0.0051, 0.0002]), ("constant", [0.01] * 4)]
)
def test_the_rate_climbs_and_falls_or_stays_and_is_halved_by_recoveries(
    hand: Hand, schedule: Any, rates: list[float]
):
    run = RunState()
    clock = make_clock(run, hand.now, learning_rate=0.01, schedule=schedule)
    found = [clock.learning_rate(step) for step in (0, 0.1 * 30, 0.55 * 30, 30)]
    assert found == pytest.approx(rates)
    run.recoveries = 2
    assert clock.learning_rate(30) == pytest.approx(rates[-1] / 4)
