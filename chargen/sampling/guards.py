"""What must not come next in a text: long copies of a corpus, and repetitions of the text itself.

Both forbid the character that would complete a forbidden passage before a character is chosen, so
nothing has to be taken back. Passages are recognised by their hashes: a collision would forbid a
character without need, about once in 10**9 characters, but no passage is ever let through.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.config import check_max_copy
from chargen.data.passages import FACTOR, INVERSE, window_hashes
from chargen.data.vocabulary import Ids, smallest_dtype
from chargen.errors import OptionError

__all__ = ["CopyIndex", "Guard", "RollingHash", "Watch"]


MASK = (1 << 64) - 1
MIXING = 0xBF58476D1CE4E5B9
"""What a hash is multiplied by before its first bits are taken, which hardly depend on the first
characters of a window; the constant is that of Steele, Lea and Flood 2014."""
PER_BUCKET = 8
"""How many passages the first bits of a hash select: the bounds of one bucket take as much memory
as one passage does, and among eight the right one is found in three looks."""
MOST_SORTED = 1 << 26
"""The most passages that are sorted at a time while an index is made, which takes a gigabyte. For
each part the whole corpus is hashed again."""
REMEMBERED_CHARACTERS = 10_000
"""How many of its last characters a text is compared with: loops are shorter."""


class RollingHash:
    """The hash of the last `length` characters of a text that grows."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._ids: deque[int] = deque()
        self._hash = 0
        self._top = pow(FACTOR, length - 1, 1 << 64)

    def hash(self) -> int | None:
        """Return the hash as in `window_hashes`, or None while the text is too short."""
        return self._hash if len(self._ids) == self._length else None

    def add(self, index: int) -> None:
        """Append one character."""
        value = index + 1
        if len(self._ids) < self._length:
            self._hash = (self._hash + value * pow(FACTOR, len(self._ids), 1 << 64)) & MASK
        else:
            oldest = self._ids.popleft()
            self._hash = ((self._hash - oldest) * INVERSE + value * self._top) & MASK
        self._ids.append(value)


class Watch(Protocol):
    """Watches one text for one kind of passage."""

    def banned(self) -> Sequence[int]:
        """Return the ids that must not come next."""
        ...

    def accept(self, index: int) -> None:
        """Note the text's next character."""
        ...


class CopyIndex:
    """The passages of a corpus that must not be copied, indexed by all but their last character.

    Of a hash, the first bits select about `PER_BUCKET` passages, and the next 32 one of them, or as
    many as there is room for in 64 beside the last character: at the least 19. The index takes 5 to
    9 bytes per distinct passage, of which there is at most one per character of the corpus, and
    half a byte to a byte per character. It is made in parts, so that little more is needed for it.

    Args:
        corpus: ids (N,).
        length: the number of consecutive characters that must not be copied; 2 or more.
        size: V, the number of characters in the vocabulary. Ids from V on stand for characters that
            the model does not know and cannot write: passages that end in one need no watching.

    Raises:
        OptionError: `length` is below 2.
    """

    def __init__(self, corpus: Ids, length: int, size: int) -> None:
        check_max_copy(length)
        self.length = length
        passages = max(0, len(corpus) - length + 1)
        self._bits = max(1, (passages // PER_BUCKET).bit_length())
        end_bits = (size - 1).bit_length()
        parts_bits = min(self._bits, max(0, (passages - 1) // MOST_SORTED).bit_length())
        self._tag_bits = min(32, 64 - end_bits - (self._bits - parts_bits))
        ends: list[NDArray[np.unsignedinteger]] = []
        tags: list[NDArray[np.uint32]] = []
        bounds = np.zeros((1 << self._bits) + 1, np.min_scalar_type(passages))
        buckets = (1 << self._bits) >> parts_bits  # of a part
        found = 0
        for part in range(1 << parts_bits):
            keys = _sorted_keys(
                corpus, length, size, part, parts_bits, self._bits + self._tag_bits, end_bits
            )
            ends.append((keys & np.uint64((1 << end_bits) - 1)).astype(smallest_dtype(size - 1)))
            keys >>= np.uint64(end_bits)
            tags.append((keys & np.uint64((1 << self._tag_bits) - 1)).astype(np.uint32))
            keys >>= np.uint64(self._tag_bits)
            firsts = np.searchsorted(keys, np.arange(1, buckets + 1, dtype=np.uint64))
            bounds[part * buckets + 1 : (part + 1) * buckets + 1] = found + firsts
            found += len(keys)
        # Items of a memoryview are Python integers, which are read far faster than an array's.
        self._bounds, self._tags, self._ends = _view(bounds), _joined(tags), _joined(ends)

    def __repr__(self) -> str:
        passages = f"{len(self._ends):,} passages of {self.length} characters"
        return f"<CopyIndex of {passages}, {self.nbytes:,} bytes>"

    def __getstate__(self) -> dict[str, Any]:
        # Memoryviews cannot be pickled.
        return {k: np.asarray(v) if k in _VIEWS else v for k, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({k: _view(v) if k in _VIEWS else v for k, v in state.items()})

    @property
    def nbytes(self) -> int:
        """The memory that the index takes."""
        return self._bounds.nbytes + self._tags.nbytes + self._ends.nbytes

    def ends_after(self, context: int) -> Sequence[int]:
        """Return the last characters of the passages that begin with the window of this hash."""
        mixed = ((context ^ (context >> 32)) * MIXING) & MASK
        place = mixed >> (64 - self._bits)
        end = self._bounds[place + 1]
        tag = mixed >> (64 - self._bits - self._tag_bits) & ((1 << self._tag_bits) - 1)
        first = bisect_left(self._tags, tag, self._bounds[place], end)
        last = first
        while last < end and self._tags[last] == tag:
            last += 1
        return self._ends[first:last].tolist() if last > first else ()


_VIEWS = {"_bounds", "_tags", "_ends"}


def _sorted_keys(
    corpus: Ids,
    length: int,
    size: int,
    part: int,
    parts_bits: int,
    hash_bits: int,
    end_bits: int,
) -> NDArray[np.uint64]:
    """Return the distinct keys of the passages in one part of an index, sorted.

    A key is the hash of all but the last character, without the `parts_bits` that are those of the
    part, up to its `hash_bits`; followed by the last character.
    """
    found = []
    start = 0
    for hashes in window_hashes(corpus[:-1], length - 1):
        hashes ^= hashes >> np.uint64(32)
        hashes *= np.uint64(MIXING)
        ends = corpus[start + length - 1 : start + length - 1 + len(hashes)]
        start += len(hashes)
        chosen = ends < size
        if parts_bits:
            chosen &= hashes >> np.uint64(64 - parts_bits) == part
        keys = hashes[chosen] << np.uint64(parts_bits)
        keys >>= np.uint64(64 - (hash_bits - parts_bits))
        keys <<= np.uint64(end_bits)
        keys |= ends[chosen].astype(np.uint64)
        found.append(keys)
    keys = np.concatenate(found) if found else np.zeros(0, np.uint64)
    found.clear()
    keys.sort()
    distinct = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=distinct[1:])
    return keys[distinct]


def _joined(parts: "list[NDArray[Any]]") -> "memoryview[int]":
    """Join arrays into one, and forget each when it has been taken in."""
    joined = np.empty(sum(map(len, parts)), parts[0].dtype)
    end = len(joined)
    while parts:
        part = parts.pop()
        joined[end - len(part) : end] = part
        end -= len(part)
    return _view(joined)


def _view(array: NDArray[Any]) -> "memoryview[int]":
    return memoryview(np.ascontiguousarray(array))  # type: ignore[arg-type]


class _CopyWatch:
    """Keeps a text from copying the corpus."""

    def __init__(self, index: CopyIndex) -> None:
        self._index = index
        self._window = RollingHash(index.length - 1)
        self.accept = self._window.add

    def banned(self) -> Sequence[int]:
        context = self._window.hash()
        return () if context is None else self._index.ends_after(context)


class _RepetitionWatch:
    """Keeps a text from repeating `length` consecutive characters of its own."""

    def __init__(self, length: int) -> None:
        self._window = RollingHash(length - 1)
        self._followed: dict[int, list[int]] = {}
        self._order: deque[int] = deque()

    def banned(self) -> Sequence[int]:
        context = self._window.hash()
        return () if context is None else self._followed.get(context, ())

    def accept(self, index: int) -> None:
        context = self._window.hash()
        if context is not None:
            self._followed.setdefault(context, []).append(index)
            self._order.append(context)
            if len(self._order) > REMEMBERED_CHARACTERS:
                oldest = self._order.popleft()
                self._followed[oldest].pop(0)
                if not self._followed[oldest]:
                    del self._followed[oldest]
        self._window.add(index)


class Guard:
    """Everything that must not come next in one text.

    Args:
        size: V, the number of characters in the vocabulary.
        never_written: an id that is never drawn anyway, or None.
        copies: the passages that must not be copied, or None.
        repetition: the number of consecutive characters that must not be repeated, or None.
    """

    def __init__(
        self,
        size: int,
        never_written: int | None = None,
        *,
        copies: CopyIndex | None = None,
        repetition: int | None = None,
    ) -> None:
        self._never_written = never_written
        self._writable = size - (never_written is not None)
        self._watches: list[Watch] = []
        if copies is not None:
            self._watches.append(_CopyWatch(copies))
        if repetition is not None:
            self._watches.append(_RepetitionWatch(repetition))

    def banned(self) -> Sequence[int]:
        """Return the ids that must not come next.

        Raises:
            OptionError: every character is forbidden.
        """
        found: Sequence[int] = ()
        for watch in self._watches:
            banned = watch.banned()
            found = [*found, *banned] if found else banned
        if len(found) >= self._writable and (
            len({*found} - {self._never_written}) == self._writable
        ):
            raise OptionError(
                "--max-copy or --repetition-guard leaves no character to continue with: each one "
                "would complete a forbidden passage; give a larger number"
            )
        return found

    def accept(self, index: int) -> None:
        """Note the text's next character."""
        for watch in self._watches:
            watch.accept(index)
