"""How the products of matrices are computed, and the threads that share the work.

A command writes the same bytes whatever its number of threads. BLAS does not promise that: where it
splits a product among its threads, the last columns of each share may be added up in another order
than elsewhere. So work is cut into pieces without regard to threads; our own threads take the
pieces in turn, and each computes with one BLAS thread. That is also faster: what lies between two
products then runs side by side as well, since NumPy lets other threads run meanwhile.

One text leaves nothing to cut. Its products are split by BLAS where that changes no bit.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numpy as np

from chargen.network.cells import Floats

__all__ = [
    "Turns",
    "available_cores",
    "blas_threads",
    "computing",
    "exact_threads",
    "side_by_side",
    "thread_count",
]

TRIALS = 8
"""Vectors that tell whether two products add up alike. Where the orders differ, one sum in three or
so comes out the same by chance; all sums of eight vectors never do."""

Result = TypeVar("Result")


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(asked_for: int | None) -> int:
    """The threads asked for, else one for each core."""
    return available_cores() if asked_for is None else asked_for


@contextmanager
def computing(count: int = 1) -> Iterator[None]:
    """Compute with so many BLAS threads, and take no notice of floating-point flags.

    The flags of a product mean nothing: OpenBLAS' and Accelerate's kernels for SVE and SME raise
    them for lanes that are not used, so that NumPy would warn of a division by zero between
    ordinary numbers. Whether the results are finite does mean something: `check_finite` asks.
    """
    with np.errstate(all="ignore"), blas_threads(count):
        yield


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Let NumPy's matrix products use so many threads; as before afterwards.

    The number belongs to the whole process. Where several of our threads are inside at once, the
    last to leave puts back what the first found.
    """
    limit = _limit()
    limit.enter(count)
    try:
        yield
    finally:
        limit.leave()


def exact_threads(matrices: Sequence[Floats], most: int) -> int:
    """The most BLAS threads with which a vector times these matrices is what it is with one.

    Each thread takes some of the columns. Where the shares are no multiples of what BLAS's kernel
    takes at a time, the last columns of each are added up in another order. The kernel, the shapes
    and the threads alone decide on the order, so a trial with any numbers settles it for all.

    Args:
        matrices: (I, O) each, in the memory order in which they are used.
        most: threads, at most.

    Returns:
        A power of two, as its shares are the most even ones.
    """
    count = 1 << (most.bit_length() - 1)
    rng = np.random.default_rng(0)
    while count > 1 and not all(_adds_alike(matrix, count, rng) for matrix in matrices):
        count //= 2
    return count


def _adds_alike(matrix: Floats, count: int, rng: np.random.Generator) -> bool:
    vectors = rng.standard_normal((TRIALS, 1, len(matrix))).astype(np.float32)
    with computing(1):
        expected = [vector.dot(matrix) for vector in vectors]
    with computing(count):
        found = [vector.dot(matrix) for vector in vectors]
    return np.array_equal(expected, found)


def side_by_side(
    tasks: Sequence[Callable[[threading.Event], Result]], threads: int
) -> list[Result]:
    """Run tasks in so many threads, which take the next one in turn; their results in order.

    Args:
        tasks: each is given an event, which is set when it should give up, because another
            failed or the user pressed Ctrl-C.
        threads: with 1, the tasks run in the thread that calls.
    """
    stop = threading.Event()
    count = min(threads, len(tasks))
    if count <= 1:
        return [task(stop) for task in tasks]
    # Imported here because most commands compute in one thread, and it takes milliseconds.
    from concurrent.futures import ThreadPoolExecutor

    # Set here as well as by each task: OpenBLAS 0.3.31 takes the number from the main thread alone.
    with blas_threads(1), ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(task, stop) for task in tasks]
        try:
            return [future.result() for future in futures]
        finally:
            stop.set()


class Turns:
    """Lets threads work in turns, all but the long products of matrices: `with turns:`.

    NumPy gives the interpreter up in each operation and asks for it back after it. Where the
    operations are short, threads would spend their time waking each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def dot(self, a: Floats, b: Floats, out: Floats) -> None:
        """`a.dot(b, out)`, for a thread that has its turn; others may have theirs meanwhile."""
        self._lock.release()
        try:
            a.dot(b, out)
        finally:
            self._lock.acquire()


class _Limit:
    """The number of BLAS threads of this process."""

    def __init__(self) -> None:
        # Imported here because it looks through all libraries that are loaded: NumPy's must be.
        from threadpoolctl import ThreadpoolController

        blas = ThreadpoolController().select(user_api="blas")
        self._libraries: list[Any] = blas.lib_controllers
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[int] = []

    def enter(self, count: int) -> None:
        with self._lock:
            if not self._inside:
                self._before = [library.num_threads for library in self._libraries]
            self._inside += 1
            self._set([count] * len(self._libraries))

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _set(self, counts: Sequence[int]) -> None:
        for library, count in zip(self._libraries, counts, strict=True):
            if library.num_threads != count:
                library.set_num_threads(count)


@cache
def _limit() -> _Limit:
    return _Limit()
