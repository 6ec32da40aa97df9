import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from chargen.inference.threads import (
    Turns,
    available_cores,
    blas_threads,
    core_cache_bytes,
    side_by_side,
)


def blas() -> list[int]:
    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_is_limited_inside_and_as_before_outside():
    before = blas()
    with blas_threads(1):
        assert set(blas()) <= {1}
        with blas_threads(1):
            pass
        assert set(blas()) <= {1}
    assert blas() == before
    with blas_threads(None):
        assert blas() == before


def test_the_last_thread_to_leave_puts_back_what_was():
    before = blas()
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with blas_threads(1):
            inside.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    with blas_threads(1):
        go_on.set()
        thread.join(60)
        assert set(blas()) <= {1}
    assert blas() == before


def test_turns_are_taken_but_for_products():
    turns = Turns()
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        inside.wait(60)
        with turns:
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    out = np.empty((1, 1), np.float32)

    class Slow(np.ndarray):
        def dot(self, b: np.ndarray, out: np.ndarray) -> np.ndarray:  # type: ignore[override]
            thread.join(60)  # the other thread gets its turn during the product
            return np.asarray(self).dot(b, out)

    with turns:
        inside.set()
        order.append("first")
        turns.dot(np.full((1, 2), 3, np.float32).view(Slow), np.ones((2, 1), np.float32), out)
        order.append("last")
    assert order == ["first", "other", "last"]
    assert out == 6


def test_tasks_run_at_the_same_time_and_results_keep_their_order():
    meet = threading.Barrier(3, timeout=60)  # breaks unless all three get there

    def task(number: int) -> int:
        meet.wait()
        return number

    tasks = [lambda stop, number=number: task(number) for number in range(3)]
    assert side_by_side(tasks) == [0, 1, 2]
    assert side_by_side([lambda stop: 5]) == [5]


def test_where_one_fails_the_others_are_told_to_stop():
    def fail(stop: threading.Event) -> bool:
        raise ValueError("on purpose")

    def wait(stop: threading.Event) -> bool:
        return stopped.append(stop.wait(60)) is None

    stopped: list[bool] = []
    with pytest.raises(ValueError, match="on purpose"):
        side_by_side([fail, wait])
    assert stopped == [True]


def test_the_machine_has_cores_and_a_cache():
    assert available_cores() >= 1
    assert 1 << 14 <= core_cache_bytes() <= 1 << 30
