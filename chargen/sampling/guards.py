"""What must not come next in a text: long copies of a corpus, and repetitions of the text itself.

Both forbid the character that would complete a forbidden passage before a character is chosen, so
nothing has to be taken back. Passages are recognised by 64-bit hashes: a collision would forbid a
character without need, about once in 10**13 characters, but no passage is ever let through.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.config import check_max_copy
from chargen.data.passages import FACTOR, INVERSE, window_hashes
from chargen.data.vocabulary import Ids
from chargen.errors import OptionError

__all__ = ["CopyIndex", "Guard", "RollingHash", "Watch"]


MASK = (1 << 64) - 1
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

    The index takes 12 to 20 bytes per distinct passage, of which there is at most one per character
    of the corpus.

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
        ends = corpus[length - 1 :]
        blocks = [np.zeros(0, np.uint64), *window_hashes(corpus, length - 1)]
        hashes = np.concatenate(blocks)[: len(ends)]
        writable = ends < size
        hashes, ends = hashes[writable], ends[writable]
        order = np.lexsort((ends, hashes))
        hashes, ends = hashes[order], ends[order]
        distinct = np.ones(len(hashes), np.bool_)
        distinct[1:] = (hashes[1:] != hashes[:-1]) | (ends[1:] != ends[:-1])
        hashes, ends = hashes[distinct], ends[distinct]
        # The first bits of a hash select about one passage.
        bits = max(1, len(hashes).bit_length())
        self._shift = 64 - bits
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        bounds = np.append(np.searchsorted(hashes, firsts), len(hashes))
        # Items of a memoryview are Python integers, which are read far faster than an array's.
        self._bounds = _view(bounds.astype(np.min_scalar_type(len(hashes))))
        self._hashes, self._ends = _view(hashes), _view(ends)

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
        return self._bounds.nbytes + self._hashes.nbytes + self._ends.nbytes

    def ends_after(self, context: int) -> Sequence[int]:
        """Return the last characters of the passages that begin with the window of this hash."""
        place = context >> self._shift
        start, end = self._bounds[place], self._bounds[place + 1]
        if start == end:
            return ()
        hashes, ends = self._hashes, self._ends
        return [ends[k] for k in range(start, end) if hashes[k] == context]


_VIEWS = {"_bounds", "_hashes", "_ends"}


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
