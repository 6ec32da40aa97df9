"""What a text costs without a network: n-grams of characters, and compressors.

Both have seen the text that the network was trained on, and predict the same text as the network.
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
"""The longest context counted, in characters."""
MOST_TRAINING = 1 << 25
"""The most characters of a training text that are used, from its end: 33 million, which takes a
minute or two and 3 GB to count. Most compressors look back less far."""
ZSTD_LEVEL = 19
"""The highest level that zstd's own command offers without --ultra."""
WINDOW_LOG = 27
"""A window of 2**27 bytes, which holds `MOST_TRAINING` characters of up to four bytes, and is the
largest that zstd's decoder accepts by default."""


def ngram_bits(
    train: Ids, text: Ids, size: int, discount: float | None = None
) -> Iterator[NDArray[np.float64]]:
    """Yield the bits of each character of a text by n-grams of order 0, 1, ... `HIGHEST_ORDER`.

    Order n predicts a character from the n characters before it, interpolated with order n - 1 by
    the method of Kneser and Ney: a discount is subtracted from each count and given to the context
    that is one character shorter. In that shorter context a character is counted once for each
    different character that preceded both. Below order 0 all characters are equally likely.

    Args:
        train: ids (N,), the text in which n-grams are counted.
        text: ids (M,), the text to predict, each character from those before it in this text.
        size: V, the number of characters.
        discount: from 0 to 1; None estimates one for each order from how many counts are 1 and 2.

    Yields:
        Bits, float64 (M,).

    Source: Ney, Essen and Kneser 1994; Chen and Goodman 1998.
    """
    # Probabilities (M,) of the order below, which the next order is interpolated with.
    shorter = np.full(len(text), 1 / size)
    # The number of the context before each place among the contexts of `train`, or -1 if it is not
    # one of them. At order 0 the context is empty everywhere, and has number 0.
    numbers, looked_up = np.zeros(len(train), np.int64), np.zeros(len(text), np.int64)
    for order in range(HIGHEST_ORDER + 1):
        wanted = np.where(looked_up >= 0, looked_up * size + text, -1)
        seen = numbers >= 0
        pairs, counts = np.unique(numbers[seen] * size + train[seen], return_counts=True)
        yield -np.log2(_interpolated(pairs, counts, looked_up, wanted, shorter, size, discount))
        if order == HIGHEST_ORDER:
            return
        numbers, keys = _extend_contexts(numbers, train, order, size)
        seen = numbers >= 0
        longer = np.unique(numbers[seen] * size + train[seen])
        pairs, counts = np.unique(
            keys[longer // size] // size * size + longer % size, return_counts=True
        )
        shorter = _interpolated(pairs, counts, looked_up, wanted, shorter, size, discount)
        looked_up = _look_up_contexts(looked_up, text, order, size, keys)


def _interpolated(
    pairs: NDArray[np.int64],
    counts: NDArray[np.int64],
    contexts: NDArray[np.int64],
    wanted: NDArray[np.int64],
    shorter: NDArray[np.float64],
    size: int,
    discount: float | None,
) -> NDArray[np.float64]:
    """Return probabilities (M,) from the counts of sorted pairs, context * size + character."""
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


def _extend_contexts(
    numbers: NDArray[np.int64], ids: Ids, order: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the contexts that are one character longer, -1 where none fits; return their keys."""
    keys = _keys(numbers, ids, order, size)
    table = np.unique(keys[keys >= 0])
    return np.where(keys >= 0, np.searchsorted(table, keys), -1), table


def _look_up_contexts(
    numbers: NDArray[np.int64], ids: Ids, order: int, size: int, table: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the numbers that training gave to longer contexts, -1 where it has no such context."""
    keys = _keys(numbers, ids, order, size)
    places = np.minimum(np.searchsorted(table, keys), max(0, len(table) - 1))
    found = (keys >= 0) & (table[places] == keys) if len(table) else np.zeros(len(ids), np.bool_)
    return np.where(found, places, -1)


def _keys(numbers: NDArray[np.int64], ids: Ids, order: int, size: int) -> NDArray[np.int64]:
    """Return the key of each context of `order` + 1: shorter context * size + character, or -1."""
    keys = np.full(len(ids), -1, np.int64)
    before = ids[: max(0, len(ids) - order - 1)].astype(np.int64)
    part = numbers[order + 1 :]
    keys[order + 1 :] = np.where(part >= 0, part * size + before, -1)
    return keys


def compressed_bits(context: str, text: str) -> Iterator[tuple[str, float]]:
    """Yield the bits by which a text lengthens the compressed context, for each compressor.

    Args:
        context: the text that the compressor sees first.
        text: the text that is measured.

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
