"""What a text must not go on with: long copies of a corpus, and what it has said before.

Both forbid the character that would complete a forbidden passage, before one is chosen, so that
nothing is written in vain. Passages are known by hashes of 64 bits: two with the same hash would
forbid a character for nothing, once in some 10**13 times, but none is ever let through.
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
REMEMBERED = 10_000
"""Characters of its own text that are looked back on: loops are shorter."""


class RollingHash:
    """The hash of the last `length` characters of a text that grows."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._ids: deque[int] = deque()
        self._hash = 0
        self._top = pow(FACTOR, length - 1, 1 << 64)

    def hash(self) -> int | None:
        """That of `window_hashes`; None before there are so many."""
        return self._hash if len(self._ids) == self._length else None

    def add(self, index: int) -> None:
        """Move on by one character."""
        value = index + 1
        if len(self._ids) < self._length:
            self._hash = (self._hash + value * pow(FACTOR, len(self._ids), 1 << 64)) & MASK
        else:
            oldest = self._ids.popleft()
            self._hash = ((self._hash - oldest) * INVERSE + value * self._top) & MASK
        self._ids.append(value)


class Watch(Protocol):
    """Looks after one text."""

    def banned(self) -> Sequence[int]:
        """The ids that it must not go on with."""
        ...

    def accept(self, index: int) -> None:
        """Take its next character."""
        ...


class CopyIndex:
    """The passages of a corpus that must not be copied, found by what comes before their ends.

    Takes 12 to 20 bytes for each different passage, so for each character of the corpus at most.

    Args:
        corpus: ids (N,).
        length: characters that no text may have in a row as the corpus has them; 2 or more.

    Raises:
        OptionError: `length` is below 2.
    """

    def __init__(self, corpus: Ids, length: int) -> None:
        check_max_copy(length)
        self.length = length
        ends = corpus[length - 1 :]
        blocks = [np.zeros(0, np.uint64), *window_hashes(corpus, length - 1)]
        hashes = np.concatenate(blocks)[: len(ends)]
        order = np.lexsort((ends, hashes))
        hashes, ends = hashes[order], ends[order]
        different = np.ones(len(hashes), np.bool_)
        different[1:] = (hashes[1:] != hashes[:-1]) | (ends[1:] != ends[:-1])
        hashes, ends = hashes[different], ends[different]
        # The first bits of a hash say where to look: at about one passage.
        bits = max(1, len(hashes).bit_length())
        self._shift = 64 - bits
        firsts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(self._shift)
        bounds = np.append(np.searchsorted(hashes, firsts), len(hashes))
        # Items of a memoryview are Python's numbers, and read far faster than those of an array.
        self._bounds = _view(bounds.astype(np.min_scalar_type(len(hashes))))
        self._hashes, self._ends = _view(hashes), _view(ends)

    def __getstate__(self) -> dict[str, Any]:
        # Views of memory cannot be pickled.
        return {k: np.asarray(v) if k in _VIEWS else v for k, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({k: _view(v) if k in _VIEWS else v for k, v in state.items()})

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self._bounds.nbytes + self._hashes.nbytes + self._ends.nbytes

    def ends_after(self, context: int) -> Sequence[int]:
        """The characters that a passage ends with which begins with the window of this hash."""
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
    """Keeps a text from copying."""

    def __init__(self, index: CopyIndex) -> None:
        self._index = index
        self._window = RollingHash(index.length - 1)
        self.accept = self._window.add

    def banned(self) -> Sequence[int]:
        context = self._window.hash()
        return () if context is None else self._index.ends_after(context)


class _RepetitionWatch:
    """Keeps a text from saying again what it has said, so many characters in a row."""

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
            if len(self._order) > REMEMBERED:
                oldest = self._order.popleft()
                self._followed[oldest].pop(0)
                if not self._followed[oldest]:
                    del self._followed[oldest]
        self._window.add(index)


class Guard:
    """All that one text must not go on with.

    Args:
        size: V, the number of characters, and so one more than can be forbidden.
        copies: of what nothing must be copied, or None.
        repetition: characters in a row that must not come twice, or None.
    """

    def __init__(
        self, size: int, copies: CopyIndex | None = None, repetition: int | None = None
    ) -> None:
        self._size = size
        self._watches: list[Watch] = []
        if copies is not None:
            self._watches.append(_CopyWatch(copies))
        if repetition is not None:
            self._watches.append(_RepetitionWatch(repetition))

    def banned(self) -> Sequence[int]:
        """The ids that the text must not go on with.

        Raises:
            OptionError: these are all there are.
        """
        found: Sequence[int] = ()
        for watch in self._watches:
            banned = watch.banned()
            found = [*found, *banned] if found else banned
        if len(found) >= self._size and len(set(found)) >= self._size:
            raise OptionError(
                "--max-copy or --repetition-guard leaves no character to go on with: every one "
                "would end a passage that must not be written; give a larger number"
            )
        return found

    def accept(self, index: int) -> None:
        """Take the text's next character."""
        for watch in self._watches:
            watch.accept(index)
