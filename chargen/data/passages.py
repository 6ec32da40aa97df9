"""Finds passages of one text in another: by hashes, then compared character by character."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTOR", "INVERSE", "Copy", "copied", "longest_copy", "window_hashes"]

Characters = NDArray[np.integer]

FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse, and with its set bits spread out: 2**64 over the golden ratio."""
INVERSE = pow(FACTOR, -1, 1 << 64)
BLOCK_CHARACTERS = 1 << 20
"""Characters hashed or compared at a time."""
MOST_BITS = 28
"""The most bits of a hash that are looked up in a table; the table then takes 256 MB."""
FIRST_LENGTH = 16
"""The first length tried for the longest copy: about what texts of one kind have in common."""


@dataclass(frozen=True)
class Copy:
    """A passage that occurs in both texts."""

    length: int
    start: int
    """Where it begins in the text, from 0."""
    corpus_start: int
    """Where it first begins in the corpus, from 0."""


def window_hashes(characters: Characters, length: int) -> Iterator[NDArray[np.uint64]]:
    """Yield the hash of each window of `length` characters, in order, in blocks uint64 (n,).

    The hash of c_0 c_1 ... is the sum of (c_j + 1) FACTOR**j, modulo 2**64.
    """
    count = max(0, len(characters) - length + 1)
    size = min(count, BLOCK_CHARACTERS) + length
    powers, inverses = _powers(FACTOR, size), _powers(INVERSE, size)
    for start in range(0, count, BLOCK_CHARACTERS):
        block = characters[start : start + BLOCK_CHARACTERS + length - 1]
        part = block.astype(np.uint64) + np.uint64(1)
        sums = np.zeros(len(part) + 1, np.uint64)
        np.cumsum(part * powers[: len(part)], out=sums[1:])
        windows = sums[length:] - sums[: len(sums) - length]
        yield windows * inverses[: len(windows)]


def copied(text: Characters, corpus: Characters, length: int) -> NDArray[np.bool_]:
    """Return whether each character of a text is in a copy of `length` or more, bool (N,)."""
    places, _ = _matches(text, corpus, length)
    steps = np.zeros(len(text) + 1, np.int64)
    steps[places] += 1
    steps[places + length] -= 1
    return np.asarray(np.cumsum(steps[:-1]) > 0)


def longest_copy(text: Characters, corpus: Characters) -> Copy | None:
    """Return the longest passage that both texts contain, or None if there is none.

    Of several equally long passages it is the first in the text. A copy of some length contains
    copies of every shorter length, so a binary search finds the length.
    """
    found: Copy | None = None
    least, most = 1, min(len(text), len(corpus))
    step = FIRST_LENGTH
    while least <= most:
        # Doubled until there is no copy of that length, then bisected: most texts copy little.
        length = min(step, most) if step else (least + most) // 2
        places, elsewhere = _matches(text, corpus, length)
        if len(places):
            found = Copy(length, int(places[0]), int(elsewhere[0]))
            least, step = length + 1, 2 * step
        else:
            most, step = length - 1, 0
    return found


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


def _matches(
    text: Characters, corpus: Characters, length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the text has windows that the corpus also has, and their first places there."""
    nowhere = np.zeros(0, np.intp)
    if not 0 < length <= min(len(text), len(corpus)):
        return nowhere, nowhere
    hashes = np.concatenate(list(window_hashes(text, length)))
    different = np.unique(hashes)
    first = np.full(len(different), -1, np.intp)
    # The first bits of their hashes rule out most windows of the corpus: looking these bits up in
    # a table is far faster than a binary search.
    shift = np.uint64(64 - min(MOST_BITS, len(different).bit_length() + 3))
    possible = np.zeros(1 << (64 - int(shift)), np.bool_)
    possible[different >> shift] = True
    start = 0
    for block in window_hashes(corpus, length):
        candidates = np.flatnonzero(possible[block >> shift])
        wanted = block[candidates]
        at = np.minimum(np.searchsorted(different, wanted), len(different) - 1)
        hits = np.flatnonzero((different[at] == wanted) & (first[at] < 0))[::-1]
        # In reverse order, so that the first of the block is written last and stays.
        first[at[hits]] = start + candidates[hits]
        start += len(block)
    elsewhere = first[np.searchsorted(different, hashes)]
    places = np.flatnonzero(elsewhere >= 0)
    same = _equal(text, corpus, places, elsewhere[places], length)
    for place in places[~same].tolist():  # two windows share one hash: this hardly ever happens
        elsewhere[place] = _find(corpus, text[place : place + length])
    places = places[elsewhere[places] >= 0]
    return places, elsewhere[places]


def _equal(
    text: Characters,
    corpus: Characters,
    places: NDArray[np.intp],
    elsewhere: NDArray[np.intp],
    length: int,
) -> NDArray[np.bool_]:
    """Return whether the windows at these places are the same: two may share one hash."""
    ours, theirs = (
        np.lib.stride_tricks.sliding_window_view(characters, length)
        for characters in (text, corpus)
    )
    size = max(1, BLOCK_CHARACTERS // length)
    same = np.ones(len(places), np.bool_)
    for start in range(0, len(places), size):
        part = slice(start, start + size)
        same[part] = (ours[places[part]] == theirs[elsewhere[part]]).all(axis=1)
    return same


def _find(corpus: Characters, window: Characters) -> int:
    """Return the first place of a window in the corpus, or -1."""
    if window.max() > np.iinfo(corpus.dtype).max:
        return -1
    data, wanted = corpus.tobytes(), window.astype(corpus.dtype).tobytes()
    place = data.find(wanted)
    while place % corpus.itemsize > 0 and place >= 0:  # a match that begins within a character
        place = data.find(wanted, place + 1)
    return place // corpus.itemsize if place >= 0 else -1
