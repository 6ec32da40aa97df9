"""What a text costs without a network: n-grams of characters, and compressors.

Both have seen the text that the network was trained on, and predict the same text as the network.
"""

import bz2
import itertools
import lzma
import math
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids, Vocabulary
from chargen.errors import CorpusError
from chargen.scoring.tally import round_figure

__all__ = [
    "HIGHEST_ORDER",
    "MOST_TRAINING",
    "SIXGRAM_ORDER",
    "baseline_bits",
    "compared",
    "compressed_bits",
    "mean_ngram_bits",
    "ngram_bits",
]


HIGHEST_ORDER = 8
"""The longest context counted, in characters."""
SIXGRAM_ORDER = 5
"""The context of a 6-gram: the characters before its last one."""
MOST_TRAINING = 1 << 25
"""The most characters of a training text that are used, from its end: 33 million, which takes a
minute or two and 3 GB to count. Most compressors look back less far."""
LARGEST_NUMBER = (1 << 63) - 1
"""The largest number of a context and a character: that of an int64."""
ZSTD_LEVEL = 19
"""The highest level that zstd's own command offers without --ultra."""
WINDOW_LOG = 27
"""A window of 2**27 bytes, which holds `MOST_TRAINING` characters of up to four bytes, and is the
largest that zstd's decoder accepts by default."""


def baseline_bits(train: Ids, text: str, vocabulary: Vocabulary) -> dict[str, float]:
    """Return the bits per known character of a text without a network, by name.

    Args:
        train: ids (N,), the text that the network learned from, or its last `MOST_TRAINING`.
        text: the text to predict.
        vocabulary: the network's.

    Returns:
        `order_0`, from frequencies alone; `ngram`, by the best n-grams; `order`, how many
        characters before these look at; and one entry for each compressor.

    Raises:
        CorpusError: no character of the text is known.
    """
    ids = vocabulary.encode(text)
    known = ids != vocabulary.unknown
    if not known.any():
        raise CorpusError("the model knows no character of this text; score another TEXT")
    orders = mean_ngram_bits(train, ids, vocabulary)
    best = min(range(1, len(orders)), key=orders.__getitem__)
    found = {"order_0": round_figure(orders[0]), "ngram": round_figure(orders[best]), "order": best}
    # The network and the n-grams say nothing about unknown characters, so neither may these.
    text = "".join(character for character, is_known in zip(text, known, strict=True) if is_known)
    for name, bits in compressed_bits(vocabulary.decode(train), text):
        found[name] = round_figure(bits / len(text))
    return found


def compared(found: Mapping[str, float], model: str, bits: float) -> list[tuple[str, float]]:
    """Return a model and the baselines in words, with their bits per character, the fewest first.

    Args:
        found: from `baseline_bits`.
        model: what the model is called.
        bits: the model's own bits per character.
    """
    names = {
        "order_0": "frequencies alone",
        "ngram": f"n-grams, {found['order']} characters before",
    }
    rows = [
        (names.get(name, f"{name}, after the training text"), value)
        for name, value in found.items()
        if name != "order"
    ]
    return sorted([*rows, (model, bits)], key=lambda row: row[1])


def mean_ngram_bits(
    train: Ids, text: Ids, vocabulary: Vocabulary, highest: int = HIGHEST_ORDER
) -> list[float]:
    """Return the bits per known character of a text by n-grams of order 0, 1, ... `highest`.

    Args:
        train: ids (N,), the text in which n-grams are counted.
        text: ids (M,), the text to predict.
        vocabulary: what the ids mean; characters that it lacks do not count.
        highest: the longest context, in characters; at most `HIGHEST_ORDER`.

    Returns:
        Means, each NaN if no character is known.
    """
    known = text != vocabulary.unknown
    if not known.any():
        return [math.nan] * (highest + 1)
    size = max(len(vocabulary), vocabulary.unknown + 1)
    orders = itertools.islice(ngram_bits(train, text, size), highest + 1)
    return [float(bits[known].mean()) for bits in orders]


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
    # A number for the context of each place: its characters as digits, the last one the lowest. At
    # order 0 the context is empty everywhere, and its number 0 is the only one.
    in_train, in_text, numbers = np.zeros(len(train), np.int64), np.zeros(len(text), np.int64), 1
    pairs, counts = np.unique(train.astype(np.int64), return_counts=True)
    for order in range(HIGHEST_ORDER + 1):
        wanted = in_text * size + text[order:]
        yield -np.log2(_interpolated(pairs, counts, wanted, shorter, size, discount))
        if order == HIGHEST_ORDER:
            return
        if numbers * size * size > LARGEST_NUMBER:
            numbers, in_train, in_text = _renumbered(in_train, in_text)
            wanted = in_text * size + text[order:]
        in_train, in_text = (
            ids[: max(0, len(ids) - order - 1)].astype(np.int64) * numbers + known[1:]
            for ids, known in ((train, in_train), (text, in_text))
        )
        pairs, counts = np.unique(in_train * size + train[order + 1 :], return_counts=True)
        # Without its first character, a pair is one of the order below: counted as often as there
        # are characters before it.
        below, kinds_before = np.unique(pairs % (numbers * size), return_counts=True)
        shorter = _interpolated(below, kinds_before, wanted, shorter, size, discount)
        numbers *= size


def _interpolated(
    pairs: NDArray[np.int64],
    counts: NDArray[np.int64],
    wanted: NDArray[np.int64],
    shorter: NDArray[np.float64],
    size: int,
    discount: float | None,
) -> NDArray[np.float64]:
    """Return the probabilities (M,) of the characters of a text.

    Args:
        pairs: contexts and what followed them, context * size + character; sorted, all different.
        counts: how often each pair counts.
        wanted: the pairs of the text's last characters; those before have no context as long.
        shorter: the probabilities (M,) by the contexts that are one character shorter.
        size: V, the number of characters.
        discount: from 0 to 1; None estimates it.
    """
    if not len(pairs):
        return shorter
    if discount is None:
        ones, twos = (float(np.count_nonzero(counts == n)) for n in (1, 2))
        discount = ones / (ones + 2 * twos) if ones else 0.5
    holders = pairs // size
    first_pairs = np.flatnonzero(np.append(True, holders[1:] != holders[:-1]))
    totals = np.add.reduceat(counts, first_pairs)
    kinds = np.diff(first_pairs, append=len(pairs))
    at, known = _places(holders[first_pairs], wanted // size)
    at = at[known]
    pair, found = _places(pairs, wanted[known])
    count = np.where(found, counts[pair], 0)
    probability = shorter.copy()
    longer = np.flatnonzero(known) + len(shorter) - len(wanted)
    probability[longer] = (
        np.maximum(count - discount, 0) + discount * kinds[at] * shorter[longer]
    ) / totals[at]
    return probability


def _places(
    table: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return where numbers are in a sorted table that is not empty, and which are there at all."""
    places = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return places, table[places] == wanted


def _renumbered(
    in_train: NDArray[np.int64], in_text: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Number the contexts that occur from 0 on; return how many there are, and the numbers."""
    found, numbers = np.unique(np.concatenate([in_train, in_text]), return_inverse=True)
    return len(found), numbers[: len(in_train)], numbers[len(in_train) :]


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
