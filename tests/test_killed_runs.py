"""A run that is killed again and again ends as one that was not."""

from pathlib import Path

import pytest
from conftest import SMALL_RUN, as_options
from stress.kill_training import live

# The calls that a process makes before it dies: so it dies before, between and after the files of a
# beginning and of evaluations. None lets it come to its end.
DEATHS = [0, 14, 25, 2, None]


# One kind of cell is enough: `test_an_interrupted_run_ends_as_one_that_was_not` has all of them.
@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_one_that_was_not(
    fables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options = as_options(SMALL_RUN | {"dropout": 0.2, "weight_drop": 0.2})
    kills, wrong = live(options, iter(DEATHS), Path("straight"), Path("killed"))
    assert not wrong
    assert kills == len(DEATHS) - 1
