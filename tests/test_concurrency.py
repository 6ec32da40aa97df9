"""One model in several threads, after a fork, and in processes that were started afresh."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from conftest import FABLES, HANG, make_checkpoint

import chargen
from chargen.model import Model

pytestmark = pytest.mark.numeric

NETWORKS: list[Any] = [
    {"cell": "lstm", "layers": 2},
    {"cell": "gru", "embedding": 8},
    {"cell": "rnn", "layers": 2},
    pytest.param({"predict": "last", "window": 4}, marks=pytest.mark.slow),
    pytest.param({"predict": "last", "window": 4, "bidirectional": True}, marks=pytest.mark.slow),
]
TEXT = FABLES[:2100]
"""Long enough to be cut into streams."""
THREADS = 8


def made(folder: Path, **options: Any) -> Model:
    """A model that knows the fables, of whose larger products BLAS gives each thread a share."""
    return chargen.load(make_checkpoint(folder, FABLES, **{"units": 128} | options).path, threads=2)


def work_of(model: Model, number: int) -> Any:
    """What one thread or process does, and exactly what comes of it."""
    lines = TEXT.splitlines(keepends=True)[number : number + 12]
    what: list[Callable[[], Any]] = [
        lambda: model.sample("The", length=50, random_seed=number),
        lambda: "".join(model.stream("A", length=40, random_seed=number, repetition_guard=6)),
        lambda: model.surprise(TEXT[number:]).tobytes(),
        lambda: model.evaluate(TEXT[number:]).bits_per_character,
        lambda: [score.bits_per_character for score in model.evaluate_each(lines)],
        lambda: model.logits(model.vocabulary.encode(TEXT[number : number + 50])).tobytes(),
    ]
    # Each thread begins with another piece of work, so that unlike ones meet.
    order = [(number + k) % len(what) for k in range(len(what))]
    return sorted((k, what[k]()) for k in order)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_threads_that_share_a_model_each_find_what_one_alone_does(
    tmp_path: Path, network: dict[str, Any]
):
    model = made(tmp_path, **network)
    expected = [work_of(model, number) for number in range(THREADS)]
    shared = chargen.load(tmp_path, threads=2)  # nothing of it is derived yet
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(work_of, itertools.repeat(shared), range(THREADS)))
    assert found == expected


def afresh(check: Callable[[Path], None], folder: Path) -> None:
    """Call a check of this module in a Python of its own.

    Other tests have loaded TensorFlow into this one, and that does not survive a fork: a child that
    only collects garbage can abort in it.
    """
    code = "import sys, pathlib, test_concurrency; test_concurrency.{}(pathlib.Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code.format(check.__name__), folder],
        cwd=Path(__file__).parent,
        check=True,
        timeout=HANG,
    )


def check_processes(folder: Path, method: str) -> None:
    """Processes of a pool find what their parent does, in which threads have been at work."""
    model = made(folder)
    expected = [work_of(model, number) for number in range(2)]
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        assert list(pool.map(work_of, [model, model], range(2))) == expected


def check_forked(folder: Path) -> None:
    """The same for processes that are forked from it."""
    check_processes(folder, "fork")


def check_forked_amid_threads(folder: Path) -> None:
    """Processes find what their parent does that are forked while its threads use the model."""
    model = made(folder)
    expected = work_of(model, 0)

    def look() -> None:
        assert work_of(model, 0) == expected

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(work_of, model, number) for number in range(THREADS)]
        processes = [get_context("fork").Process(target=look) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert all(future.result() for future in busy)
    assert "tensorflow" not in sys.modules
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_processes_that_were_started_afresh_find_the_same(tmp_path: Path):
    check_processes(tmp_path, "spawn")


# Elsewhere there is no fork, or the system's own BLAS does not survive it, as on macOS.
@pytest.mark.skipif(sys.platform != "linux", reason="forks of a process with threads")
@pytest.mark.parametrize("check", [check_forked, check_forked_amid_threads])
def test_processes_that_were_forked_find_the_same(tmp_path: Path, check: Callable[[Path], None]):
    afresh(check, tmp_path)
