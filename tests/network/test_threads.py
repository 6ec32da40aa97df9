"""Products use the threads that are asked for, and change no bit."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from chargen.network import threads as threads_module
from chargen.network.threads import (
    available_cores,
    blas_threads,
    computing,
    exact_threads,
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


def test_several_tasks_compute_with_one_blas_thread_each():
    before = blas()
    for found in side_by_side([lambda stop: blas()] * 3, 3):
        assert set(found) <= {1}
    assert blas() == before


def test_no_flag_of_a_product_is_a_warning():
    """As SVE and SME raise them for lanes that are not used; here they are raised on purpose."""
    large = np.full((2, 2), 3e38, np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with computing():
            assert np.isinf(np.dot(large, large)).all()
            np.divide(large, 0)
            np.subtract(large * 2, large * 2)
    assert not caught
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.divide(large, 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("columns", [1024, 1000, 996, 700])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
def test_as_many_threads_multiply_a_vector_as_change_no_bit(order: str, columns: int, most: int):
    rng = np.random.default_rng(1)
    matrix = np.asarray(rng.normal(size=(720, columns)), np.float32, order=order)
    count = exact_threads([matrix], most)
    assert count in (1, 2, 4)
    assert count <= most
    for vector in rng.normal(size=(20, 1, 720)).astype(np.float32):
        with computing(1):
            expected = vector.dot(matrix)
        with computing(count):
            np.testing.assert_array_equal(vector.dot(matrix), expected)


def test_threads_are_a_power_of_two():
    small = np.ones((2, 3), np.float32)  # no BLAS splits it
    assert [exact_threads([small, small], most) for most in range(1, 9)] == [1, 2, 2, 4, 4, 4, 4, 8]


@contextmanager
def another_thread_computing() -> Iterator[None]:
    """Have another thread of the program limited to one BLAS thread while the body runs."""
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with blas_threads(1):
            inside.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        yield
    finally:
        go_on.set()
        thread.join(60)


def test_the_last_thread_to_leave_puts_back_what_was():
    before = blas()
    with ExitStack() as other:
        other.enter_context(another_thread_computing())
        with blas_threads(1):
            other.close()
            assert set(blas()) <= {1}
    assert blas() == before


def in_thread(work: Callable[[], list[int]]) -> list[int]:
    """What another thread found."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(60)


def limited(count: int) -> list[int]:
    with blas_threads(count):
        return blas()


def test_any_thread_sets_the_number_also_after_the_main_one_has():
    """Of several threads, threadpoolctl lets the first one set it, and ignores the others."""
    before = blas()
    limited(1)
    with blas_threads(2):
        more = blas()
    assert in_thread(lambda: limited(1)) == [1] * len(before)
    assert in_thread(lambda: limited(2)) == more
    assert blas() == in_thread(blas) == before


def test_of_several_threads_the_smallest_number_applies_to_all():
    with blas_threads(2):
        two = blas()
    with blas_threads(1):
        assert in_thread(lambda: limited(2)) == [1] * len(two)
        with blas_threads(2):
            assert blas() == two, "within one thread, the innermost counts"
            assert in_thread(lambda: limited(1)) == [1] * len(two)
            assert blas() == two


def test_no_trial_is_made_while_another_thread_computes():
    """It would find that two numbers of threads sum alike, as both would be the other thread's."""
    matrix = np.ones((71, 93), np.float32)
    with blas_threads(1):
        assert in_thread(lambda: [exact_threads([matrix], 2)]) == [1]
    with blas_threads(1):
        assert exact_threads([matrix], 2) == in_thread(lambda: [exact_threads([matrix], 2)])[0]


@pytest.mark.skipif(sys.platform != "linux", reason="BLAS may not survive a fork elsewhere")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork_the_threads_of_the_other_process_are_forgotten():
    before = blas()

    def look(expected: list[int]) -> None:
        assert blas() == in_thread(blas) == expected

    def run(*arguments: list[int]) -> int | None:
        process = get_context("fork").Process(target=look, args=arguments)
        process.start()
        process.join(60)
        return process.exitcode

    with another_thread_computing():
        assert run(before) == 0
        with blas_threads(1):
            assert run([1] * len(before)) == 0


def test_tasks_run_at_the_same_time_and_results_keep_their_order():
    meet = threading.Barrier(3, timeout=60)  # breaks unless all three get there

    def task(number: int) -> int:
        meet.wait()
        return number

    tasks = [lambda stop, number=number: task(number) for number in range(3)]
    assert side_by_side(tasks, 3) == [0, 1, 2]
    assert side_by_side([lambda stop: 5], 3) == [5]
    assert side_by_side([], 3) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_take_the_tasks_in_turn(threads: int):
    by: list[tuple[int, int]] = []

    def task(number: int) -> int:
        by.append((number, threading.get_ident()))
        return number

    tasks = [lambda stop, number=number: task(number) for number in range(20)]
    assert side_by_side(tasks, threads) == list(range(20))
    assert sorted(number for number, _ in by) == list(range(20))
    assert 1 <= len({ident for _, ident in by}) <= threads
    if threads == 1:
        assert by == [(number, threading.get_ident()) for number in range(20)]


def test_where_one_fails_the_others_are_told_to_stop():
    def fail(stop: threading.Event) -> bool:
        raise ValueError("on purpose")

    def wait(stop: threading.Event) -> bool:
        return stopped.append(stop.wait(60)) is None

    stopped: list[bool] = []
    with pytest.raises(ValueError, match="on purpose"):
        side_by_side([fail, wait], 2)
    assert stopped == [True]


def test_the_machine_has_cores():
    assert available_cores() >= 1


def test_a_trial_of_threads_is_made_once(monkeypatch: pytest.MonkeyPatch):
    matrix = np.ones((70, 90), np.float32)
    expected = exact_threads([matrix], 2)
    monkeypatch.setattr(threads_module, "_LIMIT", None)  # without which no trial can be made
    assert exact_threads([matrix], 2) == expected
    with pytest.raises(AttributeError):
        exact_threads([np.ones((70, 91), np.float32)], 2)
