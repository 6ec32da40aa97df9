"""The distinct lines of a text of any length, which are remembered by their hashes."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lines"]

MOST_APART = 1 << 20
"""How many hashes are gathered before those that are there already are left out: eight megabytes
of them."""


class Lines:
    """The distinct lines of a text, eight bytes for each: `line in lines` asks for one.

    The hash is Python's own of 64 bits. With ten million lines, one in 10**12 other lines is taken
    for one of them.

    Args:
        blocks: the text; it has one line more than newlines, as `str.split` has it.
    """

    def __init__(self, blocks: Iterable[str] = ()) -> None:
        self._hashes = np.zeros(0, np.int64)
        for _ in self.passing(blocks):
            pass

    def __contains__(self, line: object) -> bool:
        wanted = hash(line)
        place = int(np.searchsorted(self._hashes, wanted))
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)

    def __len__(self) -> int:
        return len(self._hashes)

    def passing(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield the blocks of a text, whose lines are all taken in when it has ended."""
        gathered: list[NDArray[np.int64]] = []
        count = 0
        unfinished: list[str] = []  # the beginning of a line whose newline has not come yet
        is_empty = True
        for block in blocks:
            yield block
            is_empty = False
            first, *others = block.split("\n")
            unfinished.append(first)
            if not others:
                continue
            lines = ["".join(unfinished), *others]
            unfinished = [lines.pop()]
            gathered.append(np.fromiter(map(hash, lines), np.int64, len(lines)))
            count += len(lines)
            if count >= max(MOST_APART, len(self._hashes)):
                self._take_in(gathered)
                count = 0
        if not is_empty:
            gathered.append(np.array([hash("".join(unfinished))], np.int64))
        self._take_in(gathered)

    def _take_in(self, gathered: list[NDArray[np.int64]]) -> None:
        self._hashes = np.unique(np.concatenate([self._hashes, *gathered]))
        gathered.clear()
