"""What the counts of a text say about its characters, before anything is learned from it.

An optimizer such as Adam moves a weight by at most the learning rate at each step, and a rare
character takes part in few steps. So what a count can say is better counted than learned.
"""

import numpy as np
from numpy.typing import NDArray

from chargen.data.ids import in_blocks
from chargen.data.vocabulary import Ids

__all__ = ["character_vectors", "log_frequencies", "perplexity"]

COUNTED = 1 << 20
"""Characters counted at a time: NumPy turns them into integers of eight bytes."""
MOST_READ = 1 << 23
"""The most characters of a text, from its end, in which neighbours are counted."""
OFFSETS = (1, -1, 2, -2)
"""The places whose characters describe a character: the next two and the two before."""
MOST_NEIGHBOURS = 1_024
"""How many of the commonest characters are counted as neighbours. Rare ones would describe little,
and the work grows with their number."""
MOST_CELLS = 1 << 23
"""The most counts for one offset, which then take 64 MB: V times the number of neighbours."""
SPREAD = 0.29
"""The standard deviation of the vectors' numbers, that of numbers drawn evenly from -0.5 to 0.5."""
OVERSAMPLING, ITERATIONS = 16, 3
"""Directions beyond those wanted, and rounds that turn them to the largest singular values."""


def log_frequencies(ids: Ids, size: int) -> NDArray[np.float32]:
    """Return the logarithm of each character's share of a text, float32 (size,).

    Args:
        ids: (N,), the text. Each character counts once more than it occurs, so that none is taken
            for impossible.
        size: V, the number of characters.
    """
    counts = 1 + _counts(ids, size)
    logarithms: NDArray[np.float32] = np.log(counts / counts.sum()).astype(np.float32)
    return logarithms


def perplexity(logarithms: NDArray[np.float32]) -> float:
    """Return how many equally frequent characters would be as hard to guess as those of a text.

    Args:
        logarithms: (V,), from `log_frequencies`.
    """
    exact = logarithms.astype(np.float64)
    return float(np.exp(-np.exp(exact) @ exact))


def character_vectors(ids: Ids, size: int, width: int) -> NDArray[np.float32]:
    """Return a vector for each character; those with like neighbours have like vectors.

    A character is described by how much more often than by chance each common character stands in
    the two places before and the two after it: by the logarithm of the ratio, or 0 if it is no more
    often. The vectors are the left singular vectors of these descriptions.

    Args:
        ids: (N,), the text; of one longer than `MOST_READ` the end is read.
        size: V, the number of characters.
        width: the size of a vector.

    Returns:
        Float32 (size, D) with a standard deviation of `SPREAD`. D is `width`, or the number of
        singular values if there are fewer.

    Sources: Levy and Goldberg 2014 (positive pointwise mutual information); Halko, Martinsson and
    Tropp 2011 (the singular vectors).
    """
    ids = ids[-MOST_READ:]
    counts = _counts(ids, size)
    common = np.argsort(-counts, kind="stable")[: min(MOST_NEIGHBOURS, max(1, MOST_CELLS // size))]
    column = np.full(size, -1)
    column[common] = np.arange(len(common))
    # How often each pair would occur by chance is the product of these two.
    rows = np.maximum(1, counts)[:, None].astype(np.float32)
    columns = (np.maximum(1, counts[common]) / max(1, len(ids))).astype(np.float32)
    parts = []
    for offset in OFFSETS:
        pairs = np.zeros(size * len(common), np.int64)
        for start in range(0, len(ids), COUNTED):
            # Each part brings the characters that the offset reaches beyond it.
            places = np.arange(max(start, -offset), min(start + COUNTED, len(ids) - max(0, offset)))
            neighbours = column[ids[places + offset]]
            numbers = ids[places].astype(np.int64) * len(common) + neighbours
            pairs += np.bincount(numbers[neighbours >= 0], minlength=len(pairs))
        ratios = pairs.reshape(size, -1).astype(np.float32)
        ratios /= rows
        ratios /= columns
        parts.append(np.log(np.maximum(1, ratios, out=ratios), out=ratios))
    vectors = _left_singular_vectors(np.concatenate(parts, axis=1), width)
    return vectors * np.float32(SPREAD * np.sqrt(size))


def _counts(ids: Ids, size: int) -> NDArray[np.int64]:
    counts = np.zeros(size, np.int64)
    for block in in_blocks(ids, COUNTED):
        counts += np.bincount(block, minlength=size)
    return counts


def _left_singular_vectors(matrix: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Return those of the largest singular values, (rows, at most `number`)."""
    rng = np.random.default_rng(0)  # what it draws hardly matters
    directions = rng.standard_normal((matrix.shape[1], number + OVERSAMPLING), np.float32)
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ directions)
        directions, _ = np.linalg.qr(matrix.T @ basis)
    left, _, _ = np.linalg.svd(matrix @ directions, full_matrices=False)
    return left[:, :number]
