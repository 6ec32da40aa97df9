"""How matrix products are computed, and the threads that share the work.

A command writes the same bytes whatever its number of threads. BLAS alone does not guarantee that:
where it splits a product among its threads, it may sum the last columns of each share in another
order. So the work is cut into pieces regardless of the number of threads, our own threads take one
piece after another, and each thread computes with one BLAS thread. This is also faster, because the
operations between two products run in parallel as well: NumPy lets other threads run meanwhile.

One text cannot be cut into pieces. BLAS splits its products if that changes no bit.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chargen.network.cells import Floats

__all__ = [
    "available_cores",
    "blas_threads",
    "computing",
    "exact_threads",
    "side_by_side",
    "thread_count",
]

TRIALS = 8
"""Vectors that are multiplied to see whether two products are summed in the same order. If the
orders differ, about one sum in three is equal by chance; all sums of eight vectors never are."""

Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(asked_for: int | None) -> int:
    """Return the number of threads asked for, or one per core if that is None."""
    return available_cores() if asked_for is None else asked_for


@contextmanager
def computing(count: int = 1) -> Iterator[None]:
    """Compute with `count` BLAS threads, and ignore floating-point flags.

    The flags of a product mean nothing: the kernels of OpenBLAS and Accelerate for SVE and SME
    raise them for unused lanes, so NumPy would warn of a division by zero between ordinary numbers.
    Whether the results are finite does matter: `check_finite` checks that.
    """
    with np.errstate(all="ignore"), blas_threads(count):
        yield


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let NumPy's matrix products use `count` threads, and restore the number afterwards.

    The number applies to the whole process. If several threads of the program are inside at once,
    the smallest of their numbers applies to all: fewer threads than asked for change no bit, more
    might. The last one to leave restores what the first one found.
    """
    entry = _LIMIT.enter(count)
    try:
        yield
    finally:
        _LIMIT.leave(entry)


def exact_threads(matrices: Sequence[Floats], most: int) -> int:
    """Return the most BLAS threads that do not change the product of a vector and these matrices.

    Each thread takes a share of the columns. If a share is not a multiple of the columns that the
    kernel of BLAS takes at a time, its last columns are summed in another order. Only the kernel,
    the shapes and the number of threads determine the order, so a trial with any values is valid
    for all values.

    Args:
        matrices: (I, O) each, in the memory order in which they are used.
        most: the most threads to try.

    Returns:
        A power of two, which makes the shares most even; 1 if it cannot be tried, because another
        thread of the program is computing.
    """
    count = 1 << (most.bit_length() - 1)
    while count > 1 and not all(_adds_alike(matrix, count) for matrix in matrices):
        count //= 2
    return count


def _adds_alike(matrix: Floats, count: int) -> bool:
    known = (matrix.shape, matrix.strides, count)
    if known not in _TRIED:
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((TRIALS, 1, len(matrix))).astype(np.float32)
        sums: list[list[Floats]] = []
        for threads in (1, count):
            with np.errstate(all="ignore"), _LIMIT.alone(threads) as is_alone:
                if not is_alone:
                    return False  # and not remembered
                sums.append([vector.dot(matrix) for vector in vectors])
        _TRIED[known] = np.array_equal(sums[0], sums[1])
    return _TRIED[known]


_TRIED: dict[tuple[tuple[int, ...], tuple[int, ...], int], bool] = {}
"""The outcomes of trials, which would otherwise be repeated for each text that is written alone."""


def side_by_side(
    tasks: Sequence[Callable[[threading.Event], Result]], threads: int
) -> list[Result]:
    """Run tasks in several threads, each of which takes the next task when it is free.

    Args:
        tasks: each is called with an event, which is set when the task should give up because
            another task failed or the user pressed Ctrl-C.
        threads: how many; with 1, the tasks run in the calling thread.

    Returns:
        The tasks' results, in the order of the tasks.
    """
    stop = threading.Event()
    count = min(threads, len(tasks))
    if count <= 1:
        return [task(stop) for task in tasks]
    # Imported here because most commands compute in one thread, and the import takes milliseconds.
    from concurrent.futures import ThreadPoolExecutor

    # Set here as well as by each task, so that it does not change back and forth between them.
    with blas_threads(1), ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(task, stop) for task in tasks]
        try:
            return [future.result() for future in futures]
        finally:
            stop.set()


class _Entry(NamedTuple):
    """A thread of the program that computes, and the number of BLAS threads that it asked for."""

    thread: int
    limit: int


class _Limit:
    """Sets and restores the number of BLAS threads of this process."""

    def __init__(self) -> None:
        self._libraries: list[Any] | None = None  # until it is first asked for
        self._before: list[int] = []
        self._inside: list[_Entry] = []
        self._lock = threading.Lock()

    def enter(self, count: int) -> "_Entry":
        entry = _Entry(threading.get_ident(), count)
        with self._lock:
            if not self._inside:
                self._before = [library.num_threads for library in self._found()]
            self._inside.append(entry)
            self._apply()
        return entry

    def leave(self, entry: "_Entry") -> None:
        with self._lock:
            if entry in self._inside:  # unless it is forgotten
                self._inside.remove(entry)
                self._apply()

    @contextmanager
    def alone(self, count: int) -> Iterator[bool]:
        """Set the number and keep all others waiting; false if one of them is inside already."""
        own = threading.get_ident()
        with self._lock:
            if any(entry.thread != own for entry in self._inside):
                yield False
                return
            before = [library.num_threads for library in self._found()]
            self._set([count] * len(before))
            try:
                yield True
            finally:
                self._set(before)

    def forget_others(self) -> None:
        """After a fork, of all threads only the one that forked is in the new process."""
        self._lock = threading.Lock()  # another thread may have held it
        if self._inside:
            own = threading.get_ident()
            self._inside = [entry for entry in self._inside if entry.thread == own]
            self._apply()

    def _apply(self) -> None:
        limits = {entry.thread: entry.limit for entry in self._inside}  # the innermost of each
        self._set([min(limits.values())] * len(self._found()) if limits else self._before)

    def _set(self, counts: Sequence[int]) -> None:
        for library, count in zip(self._found(), counts, strict=True):
            if library.num_threads != count:
                # Of several threads, threadpoolctl lets only one set the number of OpenBLAS, and
                # ignores the others; since 3.8 it can be told that this one has finished.
                release = getattr(library, "clear_controlling_thread", None)
                if release is not None:
                    release(force=True)
                library.set_num_threads(count)
                if release is not None:
                    release(force=True)

    def _found(self) -> list[Any]:
        """The BLAS libraries in this process."""
        if self._libraries is None:
            # Imported here because it examines the libraries loaded so far, and NumPy's is one.
            from threadpoolctl import ThreadpoolController

            blas = ThreadpoolController().select(user_api="blas")
            self._libraries = blas.lib_controllers
        return self._libraries


_LIMIT = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LIMIT.forget_others)
