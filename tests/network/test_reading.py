"""One stream, many streams and windows read the same text alike."""

from typing import Any

import numpy as np
import pytest
from rounding import CLOSE, prediction

from chargen.network.reading import (
    BatchReading,
    OneReading,
    StaggeredReading,
    WindowReading,
    exact_threads_for,
    make_reading,
    predictions,
    read_beginnings,
)
from chargen.network.threads import computing
from network.conftest import ids_of, make_network

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("computing_alone")]
CELLS = ["lstm", "gru", "rnn"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"layers": 3}, {"embedding": 4, "layers": 2}])
def test_many_streams_read_as_one_does(cell: str, options: dict[str, Any]):
    network = make_network(cell=cell, **options)
    ids = ids_of(30, 5)
    streams = BatchReading(network, 5)
    by_run = np.concatenate([streams.run(ids[:13]), streams.run(ids[13:])])
    by_step = BatchReading(network, 5)
    for t, row in enumerate(ids):
        by_step.step(row)
        np.testing.assert_allclose(by_step.logits(), by_run[t], atol=CLOSE)
    for b in range(5):
        np.testing.assert_allclose(OneReading(network).run(ids[:, b]), by_run[:, b], atol=CLOSE)
        np.testing.assert_allclose(predictions(network, ids[:, b]), by_run[:, b], atol=CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_the_streams_that_are_kept_continue(cell: str):
    network = make_network(cell=cell, layers=2)
    ids = ids_of(20, 5)
    streams = BatchReading(network, 5)
    streams.run(ids[:10])
    streams.keep(np.array([1, 4]))
    for row in ids[10:, [1, 4]]:
        streams.step(row)
    for index, b in enumerate((1, 4)):
        expected = predictions(network, ids[:, b])[-1]
        np.testing.assert_allclose(streams.logits()[index], expected, atol=CLOSE)


@pytest.mark.parametrize("predict", ["all", "last"])
def test_texts_of_unequal_lengths_end_together(predict: str):
    network = make_network(predict=predict, cell="gru")
    paths = [[1, 2, 3, 4, 5, 6, 7, 8], [3], [], [5, 6]]
    reading = make_reading(network, len(paths))
    reading.extend(paths)
    for logits, path in zip(reading.logits().copy(), paths, strict=True):
        np.testing.assert_allclose(logits, prediction(network, path), atol=CLOSE)
        if not path:
            np.testing.assert_array_equal(logits, network.dense_bias)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{"layers": 2}, {"window": 1}, {"window": 40}])
def test_staggered_windows_predict_what_whole_ones_do(cell: str, options: dict[str, Any]):
    network = make_network(predict="last", cell=cell, **options)
    staggered, windows = StaggeredReading(network, 1), WindowReading(network, 1)
    np.testing.assert_array_equal(staggered.logits(), windows.logits())
    for path in ([1], [2, 3], [], [*range(8)] * 6, [4], [5, 6, 7]):
        for reading in (staggered, windows):
            reading.extend([path])
        np.testing.assert_allclose(staggered.logits(), windows.logits(), atol=CLOSE)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("window", [1, 3, 40])
def test_staggered_windows_of_many_texts_predict_what_whole_ones_do(cell: str, window: int):
    network = make_network(predict="last", cell=cell, window=window)
    staggered, windows = StaggeredReading(network, 4), WindowReading(network, 4)
    for reading in (staggered, windows):
        reading.extend([[1, 2, 3, 4, 5], [], [6], [7, 8] * 30])
    steps, kept = ids_of(50, 4), np.array([3, 0, 0])
    for t, ids in enumerate(steps):
        np.testing.assert_allclose(staggered.logits(), windows.logits(), atol=CLOSE)
        if t in (2, 30):
            staggered.keep(kept)
            windows.keep(kept)
            kept = np.array([2, 1])
        rows = len(staggered.logits())
        for reading in (staggered, windows):
            reading.step(ids[:rows])


def test_the_reading_follows_from_the_model_and_the_number_of_texts():
    assert isinstance(make_reading(make_network(), 1), OneReading)
    assert isinstance(make_reading(make_network(), 2), BatchReading)
    assert isinstance(make_reading(make_network(predict="last"), 1), StaggeredReading)
    assert isinstance(make_reading(make_network(predict="last"), 2), StaggeredReading)
    assert isinstance(make_reading(make_network(predict="last"), 1000), WindowReading)
    assert isinstance(make_reading(make_network(predict="last", window=9000), 1), StaggeredReading)
    both_ways = make_network(predict="last", bidirectional=True)
    assert isinstance(make_reading(both_ways, 1), WindowReading)


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_of_one_stream_makes_no_arrays(cell: str, monkeypatch: pytest.MonkeyPatch):
    stream = OneReading(make_network(cell=cell, layers=2))
    stream.step((1,))
    stream.logits()
    for name in ("empty", "zeros", "concatenate", "empty_like", "zeros_like"):
        monkeypatch.setattr(np, name, None)  # calling it would fail
    places = [array.__array_interface__["data"] for array in stream.arrays()]
    stream.step((2,))
    logits = stream.logits()
    assert logits is stream.logits()
    assert places == [array.__array_interface__["data"] for array in stream.arrays()]


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "rnn", "units": 700},
        {"cell": "rnn", "units": 512, "layers": 2},
        {"cell": "gru", "units": 500, "layers": 2},
        {"units": 30, "vocabulary_size": 20_000},
        {"units": 500, "predict": "last"},
    ],
)
@pytest.mark.parametrize("most", [2, 3, 4])
def test_the_threads_of_one_text_change_no_bit(options: dict[str, Any], most: int):
    network = make_network(**options)
    threads = exact_threads_for(network, most)
    assert 1 <= threads <= most
    found = []
    for count in (1, threads):
        reading = make_reading(network, 1)
        with computing(count):
            reading.extend([ids_of(40).tolist()])
            found.append(reading.logits().copy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_beginnings_are_read_as_windows_of_their_own(cell: str, bidirectional: bool):
    """Before a whole window was read, a character is predicted from all that came before it."""
    network = make_network(predict="last", cell=cell, layers=2, bidirectional=bidirectional)
    ids = ids_of(network.config.window - 1, 5)
    read = list(read_beginnings(network, ids))
    steps = [t for part, _ in read for t in range(part.start, part.stop)]
    assert steps == list(range(len(ids)))
    logits = np.concatenate([part for _, part in read])
    for end in range(1, len(ids) + 1):
        expected = network.run_windows(ids[:end].T)
        np.testing.assert_allclose(logits[end - 1], expected, atol=CLOSE)
