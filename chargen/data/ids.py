"""Ids while they are made: in memory as long as they are few, and in a file when they are many.

The file is written by ordinary writes and read through a mapping, so neither takes memory in
proportion to the text. What was read through a mapping stays in the memory of the process until it
is given back, so whoever reads a whole text does so in blocks, and gives back each of them.
"""

import mmap
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids

__all__ = [
    "MOST_IN_MEMORY",
    "GrowingIds",
    "OpenFile",
    "fits_in_memory",
    "give_back",
    "in_blocks",
    "mapped",
]

MOST_IN_MEMORY = 1 << 26
"""The most bytes of ids that are held in memory where there is a file for them: 64 MB, a tenth of
what TensorFlow takes. So many are encoded again in a second, and need not be kept."""
BLOCK_IDS = 1 << 20
"""Ids read or renumbered at a time: few beside what is held in memory, and enough for NumPy."""

DType: TypeAlias = np.dtype[np.integer]
OpenFile = Callable[[], BinaryIO]
"""Opens a new file to write to and to read from, at the place where the ids are to begin."""


def fits_in_memory(size: int) -> bool:
    """Return whether ids of so many bytes are held in memory in any case."""
    return size <= MOST_IN_MEMORY


def mapped(file: BinaryIO, start: int, count: int, dtype: DType) -> Ids:
    """Return ids in a file as an array (count,), which is read from there when it is looked at.

    Args:
        file: the file, which may be closed afterwards.
        start: the byte at which the ids begin; they must all be in the file.
        count: how many there are, at least 1.
        dtype: the type of each.
    """
    size = start + count * dtype.itemsize
    mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    return np.ndarray((count,), dtype, buffer=mapping, offset=start)


def give_back(ids: Ids) -> None:
    """Give the memory back that was filled by reading ids from a file; others stay as they are."""
    base: object = ids
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not every system has it
        base.madvise(mmap.MADV_DONTNEED)


def in_blocks(ids: Ids, size: int = BLOCK_IDS) -> Iterator[Ids]:
    """Yield ids (N,) in blocks of `size`, each of which is given back when the next is asked for.

    A view of a block may be kept, and is then read from the file again.
    """
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
        give_back(ids)


class GrowingIds:
    """Ids that grow at their end, become wider on the way, and are renumbered at last.

    Args:
        capacity: how many there will be at most, or 0 if that is not known. Memory that is reserved
            but never written to costs nothing.
        dtype: the type that the first ones have.
        open_file: opens the file that more than `MOST_IN_MEMORY` go into; None keeps all in memory.
    """

    def __init__(self, capacity: int, dtype: DType, open_file: OpenFile | None = None) -> None:
        if open_file is not None:
            capacity = min(capacity, MOST_IN_MEMORY // dtype.itemsize)
        self._ids: _InMemory | _InFile = _InMemory(capacity, dtype)
        self._open_file = open_file

    @property
    def size(self) -> int:
        """How many there are."""
        return self._ids.size

    def append(self, ids: Ids) -> None:
        """Add ids (n,) of an unsigned type, which the others take on if it is wider."""
        self._ids.widen(ids.dtype)
        size = (self.size + len(ids)) * self._ids.dtype.itemsize
        if (
            not fits_in_memory(size)
            and isinstance(self._ids, _InMemory)
            and self._open_file is not None
        ):
            self._ids = _InFile(self._open_file(), self._ids.finish())
        self._ids.append(ids)

    def renumber(self, numbers: Ids) -> None:
        """Replace each id by the number at its place in (V,), whose type all then have."""
        self._ids.widen(numbers.dtype)
        self._ids.renumber(numbers)

    def finish(self) -> Ids:
        """Return all of them, (N,); none can be added after that."""
        return self._ids.finish()


class _InMemory:
    """An array that grows in place, by `realloc`, so that memory never holds two copies of it."""

    def __init__(self, capacity: int, dtype: DType) -> None:
        self._array: Ids = np.empty(max(capacity, BLOCK_IDS), dtype)
        self.size = 0

    @property
    def dtype(self) -> DType:
        return self._array.dtype

    def widen(self, dtype: DType) -> None:
        if dtype.itemsize > self.dtype.itemsize:
            wider = np.empty(len(self._array), dtype)
            wider[: self.size] = self._array[: self.size]
            self._array = wider

    def append(self, ids: Ids) -> None:
        end = self.size + len(ids)
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) * 5 // 4), refcheck=False)
        self._array[self.size : end] = ids
        self.size = end

    def renumber(self, numbers: Ids) -> None:
        # In place, each block before the next; narrower ids take the beginning of the memory.
        renumbered = self._array.view(numbers.dtype)
        for start in range(0, self.size, BLOCK_IDS):
            end = min(start + BLOCK_IDS, self.size)
            renumbered[start:end] = _renumbered(self._array[start:end], numbers)
        self._array = renumbered

    def finish(self) -> Ids:
        return self._array[: self.size]


class _InFile:
    """The same in a file that is written and read in blocks."""

    def __init__(self, file: BinaryIO, ids: Ids) -> None:
        self._file, self._start = file, file.tell()
        self.size, self.dtype = 0, ids.dtype
        for block in in_blocks(ids):
            self.append(block)

    def widen(self, dtype: DType) -> None:
        if dtype.itemsize <= self.dtype.itemsize:
            return
        # From the end, so that no block is overwritten before it has been read.
        for start in reversed(range(0, self.size, BLOCK_IDS)):
            block = self._read(start)
            self._file.seek(self._start + start * dtype.itemsize)
            self._file.write(block.astype(dtype).data)
        self.dtype = dtype
        self._file.seek(self._end())

    def append(self, ids: Ids) -> None:
        self._file.write(ids.astype(self.dtype, copy=False).data)
        self.size += len(ids)

    def renumber(self, numbers: Ids) -> None:
        for start in range(0, self.size, BLOCK_IDS):
            block = _renumbered(self._read(start), numbers)
            self._file.seek(self._start + start * numbers.dtype.itemsize)
            self._file.write(block.data)
        self.dtype = numbers.dtype
        self._file.truncate(self._end())
        self._file.seek(self._end())

    def finish(self) -> Ids:
        self._file.flush()
        return mapped(self._file, self._start, self.size, self.dtype)

    def _read(self, start: int) -> NDArray[np.integer]:
        size = min(BLOCK_IDS, self.size - start) * self.dtype.itemsize
        self._file.seek(self._start + start * self.dtype.itemsize)
        return np.frombuffer(self._file.read(size), self.dtype)

    def _end(self) -> int:
        return self._start + self.size * self.dtype.itemsize


def _renumbered(ids: Ids, numbers: Ids) -> Ids:
    if ids.dtype.itemsize == numbers.dtype.itemsize == 1:  # three times as fast as NumPy
        table = numbers[:256].tobytes().ljust(256, b"\0")
        return np.frombuffer(ids.tobytes().translate(table), np.uint8)
    renumbered: Ids = numbers[ids]
    return renumbered
