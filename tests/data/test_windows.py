"""Batches of windows hold each character of a text as often as they should."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data.windows import (
    Permutation,
    SlidingWindows,
    StreamWindows,
    one_hot,
    sliding_windows,
)


@st.composite
def stream_sizes(draw: st.DrawFn) -> tuple[int, int, int]:
    batch_size, window = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    return draw(st.integers(batch_size * window + 1, 200)), batch_size, window


@given(stream_sizes(), st.integers(0, 3), st.integers(0, 2**63 - 1))
def test_streams_continue_where_they_ended_and_predict_the_next(
    sizes: tuple[int, int, int], epoch: int, seed: int
):
    count, batch_size, window = sizes
    ids = np.arange(count, dtype=np.uint8)
    streams = StreamWindows(ids, batch_size, window, seed)
    assert streams.steps >= 1
    assert streams.targets_per_epoch == streams.steps * batch_size * window
    previous = None
    seen = []
    for step in range(streams.steps):
        inputs, targets = streams.batch(epoch, step)
        assert inputs.shape == targets.shape == (batch_size, window)
        assert inputs.dtype == targets.dtype == np.int32
        assert (targets == inputs + 1).all()  # the ids count up
        if previous is not None:
            assert (inputs[:, 0] == previous).all()
        previous = targets[:, -1]
        seen.extend(targets.ravel().tolist())
    assert len(seen) == len(set(seen)), "a character was predicted twice in an epoch"


@given(stream_sizes())
def test_streams_leave_out_less_than_a_window_each_and_one_for_the_offset(
    sizes: tuple[int, int, int],
):
    count, batch_size, window = sizes
    streams = StreamWindows(np.zeros(count, np.uint8), batch_size, window, 0)
    left_out = count - 1 - streams.steps * batch_size * window
    assert left_out < batch_size * window + window + batch_size


def test_the_offset_is_another_each_epoch_and_the_same_again():
    ids = np.arange(250, dtype=np.uint8)
    first = [int(StreamWindows(ids, 2, 16, 5).batch(epoch, 0)[0][0, 0]) for epoch in range(20)]
    again = [int(StreamWindows(ids, 2, 16, 5).batch(epoch, 0)[0][0, 0]) for epoch in range(20)]
    assert first == again
    assert len(set(first)) > 5


def test_too_few_ids_for_the_streams_are_a_programmers_mistake():
    with pytest.raises(ValueError, match="need 13 ids; found 12"):
        StreamWindows(np.zeros(12, np.uint8), 3, 4, 0)


@given(st.integers(2, 120), st.integers(1, 5), st.integers(1, 7), st.integers(0, 3))
def test_sliding_gives_each_window_once_an_epoch(
    count: int, batch_size: int, window: int, epoch: int
):
    window = min(window, count - 1)
    ids = np.arange(count, dtype=np.uint8)
    sliding = SlidingWindows(ids, batch_size, window, 3)
    assert sliding.targets_per_epoch == count - window
    labels = []
    for step in range(sliding.steps):
        inputs, targets = sliding.batch(epoch, step)
        assert inputs.shape == (len(targets), window)
        assert inputs.dtype == targets.dtype == np.int32
        assert (inputs[:, -1] + 1 == targets).all()
        assert (np.diff(inputs, axis=1) == 1).all()
        labels.extend(targets.tolist())
    assert sorted(labels) == list(range(window, count))


def test_sliding_is_shuffled_anew_each_epoch():
    ids = np.arange(200, dtype=np.uint8)
    orders = [SlidingWindows(ids, 196, 4, 0).batch(epoch, 0)[1].tolist() for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


@given(st.integers(1, 3000), st.integers(0, 1000))
def test_a_permutation_has_each_number_once(size: int, key: int):
    values = Permutation(size, (key,))(np.arange(size))
    assert sorted(values.tolist()) == list(range(size))


def test_a_permutation_looks_random():
    size = 10_000
    order = Permutation(size, (1, 2))(np.arange(size))
    # Neighbours and positions of a random order are uncorrelated: |r| is below 4 / sqrt(n).
    for a, b in ((order[:-1], order[1:]), (np.arange(size), order)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(size)
    fixed = int((order == np.arange(size)).sum())
    assert fixed < 8  # one is expected


def test_windows_are_views_and_batches_alone_take_memory():
    ids = np.zeros(5_000_000, np.uint8)
    tracemalloc.start()
    windows, labels = sliding_windows(ids, 100)
    sliding = SlidingWindows(ids, 32, 100, 0)
    sliding.batch(0, 7)
    StreamWindows(ids, 32, 100, 0).batch(0, 7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert windows.shape == (4_999_900, 100)
    assert np.shares_memory(windows, ids)
    assert np.shares_memory(labels, ids)
    assert peak < 500_000


def test_one_hot_windows_of_a_sentence():
    ids = np.array([0, 1, 2, 1], np.uint8)
    windows, labels = sliding_windows(ids, 2)
    assert windows.tolist() == [[0, 1], [1, 2]]
    assert labels.tolist() == [2, 1]
    hot = one_hot(windows, 3)
    assert hot.shape == (2, 2, 3)
    assert hot.dtype == np.float32
    assert hot.argmax(-1).tolist() == windows.tolist()
    assert (hot.sum(-1) == 1).all()


def test_a_window_needs_a_character_after_it():
    with pytest.raises(ValueError, match="needs 4 ids; found 3"):
        sliding_windows(np.zeros(3, np.uint8), 3)
