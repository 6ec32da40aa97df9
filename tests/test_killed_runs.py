"""A run that is killed again and again ends as one that was not."""

from pathlib import Path

import pytest
from conftest import SMALL_RUN, as_options
from stress.kill_training import live

pytestmark = pytest.mark.slow

# The calls that a process makes before it dies: so it dies before, between and after the files of a
# beginning and of evaluations. None lets it come to its end.
DEATHS = [0, 7, 14, 16, 25, 2, 8, 10, 14, 20, 30, None]
FEWER = [0, 7, 16, 20, None]  # each cell has its own states, and the same files


@pytest.mark.parametrize(("cell", "deaths"), [("lstm", DEATHS), ("rnn", FEWER), ("gru", FEWER)])
def test_a_run_that_is_killed_ends_as_one_that_was_not(
    cell: str,
    deaths: list[int | None],
    fables: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    options = as_options(SMALL_RUN | {"cell": cell, "dropout": 0.2, "weight_drop": 0.2})
    kills, wrong = live(options, iter(deaths), Path("straight"), Path("killed"))
    assert not wrong
    assert kills == len(deaths) - 1
