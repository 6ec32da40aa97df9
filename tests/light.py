"""A plugin of pytest for `make light`: tests that train are skipped, all others must pass.

Where TensorFlow is not installed, training is refused. A test that fails there and has trained, in
its own process or in another, is reported as skipped, so that nobody has to keep a list of them.
"""

import re
import sys
from collections.abc import Generator
from importlib.util import find_spec
from typing import TypeVar

import pytest

from chargen.training.support import LIBRARIES

REASON = "Skipped: training is not installed"
REFUSED = re.compile(rf"with: pip install 'chargen-light|No module named '({'|'.join(LIBRARIES)})'")
"""What a failure shows of training in the test's own process, or of the errors of another."""
TRAIN = re.compile(r"\bchargen\b.*\btrain\b", re.DOTALL)
"""In the arguments of a process."""

Report = TypeVar("Report", pytest.CollectReport, pytest.TestReport)
trained: list[object] = []
"""Processes of the test under way that were to train."""


def pytest_configure() -> None:
    """Hide nothing where training is installed, and see each process that is started."""
    if found := [name for name in LIBRARIES if find_spec(name) is not None]:
        raise pytest.UsageError(f"for an installation without training; this one has {found}")
    sys.addaudithook(_note)


def pytest_runtest_logstart() -> None:
    """Forget those of the test before."""
    trained.clear()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Files that import what training needs."""
    return _skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests that train, or whose fixtures do."""
    return _skipped((yield))


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen" and TRAIN.search(str(arguments[1])):
        trained.append(arguments[1])


def _skipped(report: Report) -> Report:
    if report.failed and (trained or REFUSED.search(report.longreprtext)):
        report.outcome = "skipped"
        report.longrepr = (report.nodeid.partition("::")[0], 0, REASON)
    return report
