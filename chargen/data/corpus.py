"""Texts -> one array of ids, in memory or in a file.

The text is read in blocks, each of which is turned at once into ids of the smallest unsigned type.
A new corpus numbers characters as they first appear, and at the end renumbers them in sorted order,
in place.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chargen.data.ids import GrowingIds, OpenFile, in_blocks
from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import DECOMPRESSORS, USUAL, TextFormat, Watch, read_text
from chargen.data.vocabulary import (
    LAST_CODE_POINT,
    REPLACEMENT,
    Ids,
    Vocabulary,
    code_points,
    smallest_dtype,
)
from chargen.errors import CorpusError

__all__ = [
    "Corpus",
    "Ids",
    "encode_blocks",
    "fingerprint",
    "most_bytes",
    "read_corpus",
    "read_ids",
    "split_at",
]

ASCII = 128
"""The number of characters of ASCII, whose code points come first and are bytes of UTF-8."""
NOT_ASCII = bytes(range(ASCII, 256))


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
    open_file: OpenFile | None = None,
    watch: Watch | None = None,
) -> Corpus:
    """Read the sources and build their vocabulary.

    Args:
        sources: as for `read_text`.
        text_format: as for `read_text`.
        min_count: characters that occur less often are replaced by U+FFFD.
        known: characters that are in the vocabulary in any case, even if they do not occur.
        open_file: opens the file that the ids go into if they are many; None keeps them in memory.
        watch: as for `read_text`.

    Raises:
        CorpusError: as for `read_text`; also if the sources contain no text.
    """
    builder = _Builder(most_bytes(sources) or 0, open_file, counted=min_count > 1)
    for block in read_text(sources, text_format, watch=watch):
        builder.add(block)
    if not builder.size:
        names = ", ".join("standard input" if s == STANDARD_INPUT else s for s in sources)
        raise CorpusError(f"no text in {names}: 0 characters; give a text of at least 2")
    return builder.corpus(min_count, known)


def read_ids(
    sources: Sequence[str], vocabulary: Vocabulary, text_format: TextFormat = USUAL
) -> Ids:
    """Return the sources as ids of a vocabulary; unknown characters get `vocabulary.unknown`."""
    return encode_blocks(read_text(sources, text_format), vocabulary, most_bytes(sources) or 0)


def fingerprint(ids: Ids) -> str:
    """Return the SHA-256 of ids, which does not depend on their integer type."""
    digest = hashlib.sha256()
    for block in in_blocks(ids):
        digest.update(block.astype("<u4").tobytes())
    return digest.hexdigest()


def split_at(characters: int, share: float) -> int:
    """Return where the held-out end of a text begins: `int(characters * (1 - share))`."""
    return int(characters * (1 - share))


def most_bytes(sources: Sequence[str]) -> int | None:
    """Return how many bytes the sources have, or None if that is not known before they are read.

    Every text encoding in use takes at least one byte per character, so there are no more
    characters than that.
    """
    sizes = []
    for source in sources:
        path = Path(source)
        if source == STANDARD_INPUT or path.suffix in DECOMPRESSORS or not path.is_file():
            return None
        sizes.append(path.stat().st_size)
    return sum(sizes)


def encode_blocks(blocks: Iterable[str], vocabulary: Vocabulary, capacity: int = 0) -> Ids:
    """Return a text that comes in blocks as ids of a vocabulary, as `read_ids` does.

    Args:
        blocks: the text.
        vocabulary: what the ids mean.
        capacity: how many characters there are at most, or 0 if that is not known.
    """
    ids = GrowingIds(capacity, smallest_dtype(vocabulary.unknown))
    for block in blocks:
        ids.append(vocabulary.encode(block))
    return ids.finish()


class _Builder:
    """Numbers characters, and counts them if that is asked for; then renumbers them sorted.

    Until then a character of ASCII has its code point as its number, so that a block of ASCII is
    its ids already. The others are numbered as they first appear.
    """

    def __init__(self, capacity: int, open_file: OpenFile | None, *, counted: bool) -> None:
        self._ids = GrowingIds(capacity, np.dtype(np.uint8), open_file)
        self._points = list(range(ASCII))  # by number
        self._numbers = self._numbers_of(np.dtype(np.uint8))  # by code point
        self._seen = b""  # the characters of ASCII that there are
        self._counts = np.zeros(ASCII, dtype=np.int64) if counted else None
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        return self._ids.size

    def add(self, block: str) -> None:
        data = block.encode()
        self._digest.update(data)
        ids = np.frombuffer(data, np.uint8) if len(data) == len(block) else self._numbered(block)
        # Whatever is left without what was seen before is new; mostly that is nothing.
        if new := data.translate(None, self._seen + NOT_ASCII):
            self._seen += bytes(set(new))
        if self._counts is not None:
            counts = np.bincount(ids, minlength=len(self._points))
            counts[: len(self._counts)] += self._counts
            self._counts = counts
        self._ids.append(ids)

    def _numbered(self, block: str) -> Ids:
        points = code_points(block)
        ids: Ids = self._numbers[points]
        new = np.unique(points[ids == _new(self._numbers.dtype)])
        if len(new):
            first = len(self._points)
            self._points.extend(new.tolist())
            # One more than there are is new.
            dtype = smallest_dtype(len(self._points))
            if dtype == self._numbers.dtype:
                self._numbers[new] = np.arange(first, len(self._points))
            else:
                self._numbers = self._numbers_of(dtype)
            ids = self._numbers[points]
        return ids

    def _numbers_of(self, dtype: np.dtype[np.unsignedinteger]) -> Ids:
        """Return the number of each code point; the largest of the type is that of a new one."""
        numbers: Ids = np.full(LAST_CODE_POINT + 1, _new(dtype), dtype)
        numbers[self._points] = np.arange(len(self._points))
        return numbers

    def corpus(self, min_count: int, known: Iterable[str]) -> Corpus:
        present = [*sorted(self._seen), *range(ASCII, len(self._points))]
        kept = {
            chr(self._points[number])
            for number in present
            if self._counts is None or self._counts[number] >= min_count
        }
        kept.update(known)
        if any(chr(self._points[number]) not in kept for number in present):
            kept.add(REPLACEMENT)
        vocabulary = Vocabulary(sorted(kept))
        numbers = vocabulary.encode("".join(map(chr, self._points)))
        # What is not in the text has no number in it, and need not have one in the vocabulary.
        self._ids.renumber(numbers.astype(smallest_dtype(len(vocabulary) - 1)))
        return Corpus(self._ids.finish(), vocabulary, self._digest.hexdigest())


def _new(dtype: np.dtype[np.integer]) -> int:
    return int(np.iinfo(dtype).max)
