"""Texts -> one array of ids, in memory proportional to the ids.

The text is read in blocks, each of which is turned at once into ids of the smallest unsigned type.
A new corpus numbers characters as they first appear, and at the end renumbers them in sorted order,
in place.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import BLOCK_BYTES, DECOMPRESSORS, USUAL, TextFormat, read_text
from chargen.data.vocabulary import (
    LAST_CODE_POINT,
    REPLACEMENT,
    Ids,
    Vocabulary,
    code_points,
    smallest_dtype,
)
from chargen.errors import CorpusError

__all__ = ["Corpus", "Ids", "fingerprint", "read_corpus", "read_ids", "split_at"]


@dataclass(frozen=True)
class Corpus:
    """A text as ids, with the vocabulary that gives them meaning.

    Attributes:
        ids: (N,), in the smallest unsigned type that holds the vocabulary.
        vocabulary: the text's characters, and those that were known before; those rarer than
            `min_count` are replaced by U+FFFD.
        sha256: the fingerprint of the text as UTF-8, whatever its encoding or compression was.
    """

    ids: Ids
    vocabulary: Vocabulary
    sha256: str

    def split(self, validation: float | str, text_format: TextFormat = USUAL) -> tuple[Ids, Ids]:
        """Return the ids to train on and the held-out ids.

        Args:
            validation: the share of the text to hold out, from its end, or a held-out file.
            text_format: how that file is read.
        """
        if isinstance(validation, str):
            return self.ids, read_ids([validation], self.vocabulary, text_format)
        cut = split_at(len(self.ids), validation)
        return self.ids[:cut], self.ids[cut:]


def read_corpus(
    sources: Sequence[str],
    text_format: TextFormat = USUAL,
    *,
    min_count: int = 1,
    known: Iterable[str] = (),
) -> Corpus:
    """Read the sources and build their vocabulary.

    Args:
        sources: as for `read_text`.
        text_format: as for `read_text`.
        min_count: characters that occur less often are replaced by U+FFFD.
        known: characters that are in the vocabulary in any case, even if they do not occur.

    Raises:
        CorpusError: as for `read_text`; also if the sources contain no text.
    """
    builder = _Builder(_capacity(sources))
    for block in read_text(sources, text_format):
        builder.add(block)
    if not builder.size:
        names = ", ".join("standard input" if s == STANDARD_INPUT else s for s in sources)
        raise CorpusError(f"no text in {names}: 0 characters; give a text of at least 2")
    return builder.corpus(min_count, known)


def read_ids(
    sources: Sequence[str], vocabulary: Vocabulary, text_format: TextFormat = USUAL
) -> Ids:
    """Return the sources as ids of a vocabulary; unknown characters get `vocabulary.unknown`."""
    return _encode_blocks(read_text(sources, text_format), vocabulary, _capacity(sources))


def fingerprint(ids: Ids) -> str:
    """Return the SHA-256 of ids, which does not depend on their integer type."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), BLOCK_BYTES):
        digest.update(ids[start : start + BLOCK_BYTES].astype("<u4").tobytes())
    return digest.hexdigest()


def split_at(characters: int, share: float) -> int:
    """Return where the held-out end of a text begins: `int(characters * (1 - share))`."""
    return int(characters * (1 - share))


def _capacity(sources: Sequence[str]) -> int:
    """Return the most characters that the sources can contain, or 0 if their sizes do not tell.

    Every text encoding in use takes at least one byte per character, so the size of an uncompressed
    file is a bound. Memory that is reserved but never written to costs nothing.
    """
    sizes = []
    for source in sources:
        path = Path(source)
        if source == STANDARD_INPUT or path.suffix in DECOMPRESSORS or not path.is_file():
            return 0
        sizes.append(path.stat().st_size)
    return sum(sizes)


class _GrowingIds:
    """An array that grows in place, by `realloc`, so that memory never holds two copies of it."""

    def __init__(self, capacity: int, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._array: Ids = np.empty(max(capacity, BLOCK_BYTES), dtype)
        self.size = 0

    def append(self, ids: Ids) -> None:
        end = self.size + len(ids)
        if ids.dtype.itemsize > self._array.dtype.itemsize:
            wider = np.empty(len(self._array), ids.dtype)
            wider[: self.size] = self._array[: self.size]
            self._array = wider
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) * 5 // 4), refcheck=False)
        self._array[self.size : end] = ids
        self.size = end

    def finish(self) -> Ids:
        self._array.resize(self.size, refcheck=False)
        return self._array


def _encode_blocks(blocks: Iterable[str], vocabulary: Vocabulary, capacity: int) -> Ids:
    ids = _GrowingIds(capacity, smallest_dtype(vocabulary.unknown))
    for block in blocks:
        ids.append(vocabulary.encode(block))
    return ids.finish()


class _Builder:
    """Numbers and counts characters in order of first appearance, then renumbers them sorted."""

    def __init__(self, capacity: int) -> None:
        self._ids = _GrowingIds(capacity, np.dtype(np.uint8))
        self._id_of_point = np.full(LAST_CODE_POINT + 1, -1, dtype=np.int32)
        self._points: list[int] = []
        self._counts = np.zeros(0, dtype=np.int64)
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        return self._ids.size

    def add(self, block: str) -> None:
        self._digest.update(block.encode())
        points = code_points(block)
        ids = self._id_of_point[points]
        new = np.unique(points[ids < 0])
        if len(new):
            self._id_of_point[new] = np.arange(len(self._points), len(self._points) + len(new))
            self._points.extend(new.tolist())
            self._counts = np.pad(self._counts, (0, len(new)))
            ids = self._id_of_point[points]
        self._counts += np.bincount(ids, minlength=len(self._counts))
        self._ids.append(ids.astype(smallest_dtype(len(self._points) - 1)))

    def corpus(self, min_count: int, known: Iterable[str]) -> Corpus:
        kept = {chr(p) for p, n in zip(self._points, self._counts, strict=True) if n >= min_count}
        kept.update(known)
        if any(chr(point) not in kept for point in self._points):
            kept.add(REPLACEMENT)
        vocabulary = Vocabulary(sorted(kept))
        renumbered = vocabulary.encode("".join(map(chr, self._points)))
        dtype = smallest_dtype(len(vocabulary) - 1)
        ids = self._ids.finish()
        # Rare characters were replaced, or there are known ones that do not occur.
        if dtype.itemsize != ids.dtype.itemsize:
            ids = renumbered.astype(dtype)[ids]
        else:
            for start in range(0, len(ids), BLOCK_BYTES):
                block = ids[start : start + BLOCK_BYTES]
                block[:] = renumbered[block]
        return Corpus(ids, vocabulary, self._digest.hexdigest())
