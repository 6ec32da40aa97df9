"""Copied passages are found, those that a naive search finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data import passages
from chargen.data.passages import copied, longest_copy, window_hashes
from chargen.data.vocabulary import code_points

TEXTS = st.text("ab", max_size=60) | st.text("abc\U0001f600", max_size=60)


@given(TEXTS, TEXTS, st.integers(1, 12))
def test_copies_are_those_of_a_naive_search(text: str, corpus: str, length: int):
    expected = [False] * len(text)
    for start in range(len(text) - length + 1):
        if text[start : start + length] in corpus:
            expected[start : start + length] = [True] * length
    found = copied(code_points(text), code_points(corpus), length)
    assert found.tolist() == expected


@given(TEXTS, TEXTS)
def test_the_longest_copy_is_that_of_a_naive_search(text: str, corpus: str):
    windows = (
        (length, start)
        for length in range(len(text), 0, -1)
        for start in range(len(text) - length + 1)
        if text[start : start + length] in corpus
    )
    longest = next(windows, None)
    found = longest_copy(code_points(text), code_points(corpus))
    if longest is None:
        assert found is None
    else:
        assert found is not None
        assert (found.length, found.start) == longest
        passage = text[found.start : found.start + found.length]
        assert found.corpus_start == corpus.find(passage)


@pytest.mark.parametrize("length", [1, 3, 8])
def test_windows_are_hashed_alike_wherever_blocks_end(length: int, monkeypatch: pytest.MonkeyPatch):
    ids = np.random.default_rng(0).integers(0, 70, 100).astype(np.uint8)
    whole = np.concatenate(list(window_hashes(ids, length)))
    monkeypatch.setattr(passages, "BLOCK_CHARACTERS", 7)
    np.testing.assert_array_equal(np.concatenate(list(window_hashes(ids, length))), whole)
    mask, factor = (1 << 64) - 1, passages.FACTOR
    for start, found in enumerate(whole.tolist()):
        window = ids[start : start + length].tolist()
        expected = sum((c + 1) * pow(factor, j, 1 << 64) for j, c in enumerate(window)) & mask
        assert found == expected


def test_windows_of_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    """A factor of 1 gives all windows of the same characters the same hash, in any order."""
    monkeypatch.setattr(passages, "FACTOR", 1)
    monkeypatch.setattr(passages, "INVERSE", 1)
    text, corpus = code_points("abba"), code_points("cabab")
    assert copied(text, corpus, 2).tolist() == [True, True, True, True]
    assert copied(text, code_points("cab"), 3).tolist() == [False] * 4
    assert not copied(code_points("ba"), code_points("ab"), 2).any()
