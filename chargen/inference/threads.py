"""How many threads compute: those of BLAS for one text, our own for many streams.

BLAS knows by itself when to split the product of a vector and a matrix. With many streams it is
better that each of our threads runs streams of its own, with one BLAS thread each: then what lies
between two products runs side by side as well, since NumPy lets other threads run meanwhile.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from chargen.inference.cells import Floats

__all__ = [
    "Turns",
    "available_cores",
    "blas_threads",
    "core_cache_bytes",
    "side_by_side",
    "thread_count",
]

SECOND_LEVEL_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")  # Linux tells it here

Result = TypeVar("Result")


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(asked_for: int | None) -> int:
    """The threads asked for, else one for each core."""
    return available_cores() if asked_for is None else asked_for


def core_cache_bytes() -> int:
    """The size of the cache that each core has for itself."""
    try:
        return int(SECOND_LEVEL_CACHE.read_text().removesuffix("K\n")) << 10
    except (OSError, ValueError):
        return 1 << 20  # what many have, where it cannot be found out


@contextmanager
def blas_threads(count: int | None) -> Iterator[None]:
    """Let NumPy's matrix products use so many threads, or leave it to BLAS; as before afterwards.

    The number belongs to the whole process. Where several of our threads are inside at once, the
    last to leave puts back what the first found.
    """
    if count is None:
        yield
        return
    limit = _limit()
    limit.enter(count)
    try:
        yield
    finally:
        limit.leave()


def side_by_side(tasks: Sequence[Callable[[threading.Event], Result]]) -> list[Result]:
    """Run each task in a thread of its own, a single one in this one; their results in order.

    Args:
        tasks: each is given an event, which is set when it should give up, because another
            failed or the user pressed Ctrl-C.
    """
    stop = threading.Event()
    if len(tasks) == 1:
        return [tasks[0](stop)]
    # Imported here because most commands compute in one thread, and it takes milliseconds.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(tasks)) as pool:
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
