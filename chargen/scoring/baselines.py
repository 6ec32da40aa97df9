"""What a text costs without a network: n-grams of characters, and compressors.

Both have seen the text that the network was trained on, and are asked for the same text as it.
"""

import bz2
import lzma
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids

__all__ = ["HIGHEST_ORDER", "MOST_TRAINING", "compressed_bits", "ngram_bits"]


HIGHEST_ORDER = 8
"""Characters of context that are counted, at most."""
MOST_TRAINING = 1 << 25
"""Characters of a training text that are looked at, its end: 33 million, for which counting takes a
minute or two and 3 GB; most compressors look back on less."""
ZSTD_LEVEL = 19
WINDOW_LOG = 27


def ngram_bits(
    train: Ids, text: Ids, size: int, discount: float | None = None
) -> Iterator[NDArray[np.float64]]:
    """Bits of each character of a text by n-grams, for orders 0, 1, ... `HIGHEST_ORDER`.

    Order n predicts from the n characters before, interpolated with order n - 1 as Kneser and Ney
    do: a discount is taken off each count and given to the shorter context, in which a character
    counts once for each different character that it was seen to follow the context with. Below
    order 0 all characters are equally likely.

    Args:
        train: (N,), what is counted.
        text: (M,), what is predicted, each character from those before it in the text.
        size: how many characters there are; ids are below it.
        discount: from 0 to 1; None estimates each order's from how many counts are 1 and 2.

    Yields:
        float64 (M,).

    Source: Ney, Essen and Kneser 1994; Chen and Goodman 1998.
    """
    # Of the order before, by counts of different contexts: what the next is interpolated with.
    shorter = np.full(len(text), 1 / size)
    # Of the context before each place, its number among those of training, or -1. The empty one,
    # before all places, is number 0.
    numbers, looked_up = np.zeros(len(train), np.int64), np.zeros(len(text), np.int64)
    for order in range(HIGHEST_ORDER + 1):
        wanted = np.where(looked_up >= 0, looked_up * size + text, -1)
        seen = numbers >= 0
        pairs, counts = np.unique(numbers[seen] * size + train[seen], return_counts=True)
        yield -np.log2(_interpolated(pairs, counts, looked_up, wanted, shorter, size, discount))
        if order == HIGHEST_ORDER:
            return
        numbers, keys = _longer(numbers, train, order, size)
        seen = numbers >= 0
        longer = np.unique(numbers[seen] * size + train[seen])
        pairs, counts = np.unique(
            keys[longer // size] // size * size + longer % size, return_counts=True
        )
        shorter = _interpolated(pairs, counts, looked_up, wanted, shorter, size, discount)
        looked_up = _looked_up(looked_up, text, order, size, keys)


def _interpolated(
    pairs: NDArray[np.int64],
    counts: NDArray[np.int64],
    contexts: NDArray[np.int64],
    wanted: NDArray[np.int64],
    shorter: NDArray[np.float64],
    size: int,
    discount: float | None,
) -> NDArray[np.float64]:
    """Probabilities (M,) by the counts of pairs, context * size + character, in order."""
    if not len(pairs):
        return shorter
    if discount is None:
        ones, twos = (float(np.count_nonzero(counts == n)) for n in (1, 2))
        discount = ones / (ones + 2 * twos) if ones else 0.5
    holders = pairs // size
    totals, kinds = np.bincount(holders, weights=counts), np.bincount(holders)
    known = (contexts >= 0) & (contexts < len(totals))
    known[known] = totals[contexts[known]] > 0
    at = contexts[known]
    places = np.minimum(np.searchsorted(pairs, wanted[known]), len(pairs) - 1)
    count = np.where(pairs[places] == wanted[known], counts[places], 0)
    probability = shorter.copy()
    probability[known] = (
        np.maximum(count - discount, 0) + discount * kinds[at] * shorter[known]
    ) / totals[at]
    return probability


def _longer(
    numbers: NDArray[np.int64], ids: Ids, order: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the contexts one character longer, -1 where the text is not; their keys."""
    keys = _keys(numbers, ids, order, size)
    table = np.unique(keys[keys >= 0])
    return np.where(keys >= 0, np.searchsorted(table, keys), -1), table


def _looked_up(
    numbers: NDArray[np.int64], ids: Ids, order: int, size: int, table: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The same by the numbers of training; -1 too where it has no such context."""
    keys = _keys(numbers, ids, order, size)
    places = np.minimum(np.searchsorted(table, keys), max(0, len(table) - 1))
    found = (keys >= 0) & (table[places] == keys) if len(table) else np.zeros(len(ids), np.bool_)
    return np.where(found, places, -1)


def _keys(numbers: NDArray[np.int64], ids: Ids, order: int, size: int) -> NDArray[np.int64]:
    """Of each context one longer than `order`: number of the shorter one * size + the character."""
    keys = np.full(len(ids), -1, np.int64)
    before = ids[: max(0, len(ids) - order - 1)].astype(np.int64)
    part = numbers[order + 1 :]
    keys[order + 1 :] = np.where(part >= 0, part * size + before, -1)
    return keys


def compressed_bits(context: str, text: str) -> Iterator[tuple[str, float]]:
    """Bits that each compressor adds to the compressed context for a text that follows it.

    Args:
        context: what it has seen.
        text: what is measured.

    Yields:
        The compressor's name, and the bits.
    """
    before = context.encode()
    both = before + text.encode()
    for name, compress in _compressors(len(both)):
        yield name, 8.0 * (len(compress(both)) - len(compress(before)))


def _compressors(size: int) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    import zstandard

    window = max(1 << 16, 1 << math.ceil(math.log2(size + 1)))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}]
    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, window_log=min(WINDOW_LOG, window.bit_length() - 1), enable_ldm=True
    )
    yield "gzip", lambda data: zlib.compress(data, 9)
    yield "bzip2", lambda data: bz2.compress(data, 9)
    yield "xz", lambda data: lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters)
    yield "zstd", zstandard.ZstdCompressor(compression_params=parameters).compress
