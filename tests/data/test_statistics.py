"""What is counted in a text before anything is learned from it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from chargen.data import statistics
from chargen.data.statistics import SPREAD, character_vectors, log_frequencies, perplexity

SYLLABLES = np.array([[a, b] for a in range(10) for b in range(10, 20)])
"""All pairs of a character below 10 and one from 10 to 19."""


def syllables(number: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).choice(SYLLABLES, number).ravel()


def cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units @ units.T


def test_frequencies_are_those_of_the_text_with_each_character_counted_once_more(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(statistics, "COUNTED", 3)
    ids = np.array([0, 2, 2, 0, 2, 2, 2], np.uint8)
    expected = np.log(np.array([3, 1, 6, 1]) / 11)
    found = log_frequencies(ids, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_the_perplexity_of_equally_frequent_characters_is_their_number():
    assert perplexity(log_frequencies(np.arange(50).repeat(3), 50)) == pytest.approx(50)
    common = np.concatenate([np.zeros(10**6, int), np.arange(50)])
    assert 1 < perplexity(log_frequencies(common, 50)) < 1.01


@pytest.mark.numeric
def test_characters_with_like_neighbours_have_like_vectors():
    vectors = character_vectors(syllables(5_000), 20, 2)
    assert vectors.shape == (20, 2)
    assert vectors.dtype == np.float32
    found = cosines(vectors)
    assert found[:10, :10].min() > 0.9
    assert found[10:, 10:].min() > 0.9
    assert found[:10, 10:].max() < 0.5


@pytest.mark.numeric
@pytest.mark.parametrize("part", [1, 2, 999])
def test_vectors_do_not_depend_on_how_much_is_counted_at_a_time(
    part: int, monkeypatch: pytest.MonkeyPatch
):
    ids = syllables(500).astype(np.uint8)
    expected = character_vectors(ids, 20, 4)
    monkeypatch.setattr(statistics, "COUNTED", part)
    np.testing.assert_array_equal(character_vectors(ids, 20, 4), expected)


@pytest.mark.numeric
def test_only_common_characters_describe_others(monkeypatch: pytest.MonkeyPatch):
    ids = np.concatenate([syllables(200), [20, 0, 20, 1, 20, 2]])
    monkeypatch.setattr(statistics, "MOST_NEIGHBOURS", 20)  # all but the last, which is rare
    expected = character_vectors(ids, 21, 3)
    monkeypatch.setattr(statistics, "MOST_NEIGHBOURS", 1_024)
    monkeypatch.setattr(statistics, "MOST_CELLS", 20 * 21)
    np.testing.assert_array_equal(character_vectors(ids, 21, 3), expected)
    monkeypatch.setattr(statistics, "MOST_CELLS", 1 << 23)
    assert (character_vectors(ids, 21, 3) != expected).any()


@pytest.mark.numeric
def test_of_a_long_text_the_end_is_read(monkeypatch: pytest.MonkeyPatch):
    ids = syllables(300)
    monkeypatch.setattr(statistics, "MOST_READ", 200)
    np.testing.assert_array_equal(
        character_vectors(ids, 20, 4), character_vectors(ids[-200:], 20, 4)
    )


@pytest.mark.numeric
@pytest.mark.parametrize("ids", [[0, 1], [0, 1, 0], [2, 2, 2]])
def test_short_texts_have_vectors_too(ids: list[int]):
    """There are no more numbers in one than the characters can be told apart by."""
    vectors = character_vectors(np.array(ids), 3, 64)
    assert vectors.shape == (3, 3)
    assert np.isfinite(vectors).all()
    assert vectors.std() < 2 * SPREAD
