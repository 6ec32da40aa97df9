"""One process at a time trains in a directory."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from chargen.errors import CheckpointError
from chargen.training.lock import Lock, claimed

HOLD = """
import sys
from pathlib import Path
from chargen.training.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_trainer_is_refused_until_the_first_is_gone(tmp_path: Path):
    with Lock(tmp_path):
        with pytest.raises(CheckpointError, match="another process is training in"), Lock(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    with Lock(tmp_path):
        pass


def test_a_killed_trainer_holds_no_lock(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError, match="another process"), Lock(tmp_path):
            pass
        holder.kill()
    with Lock(tmp_path):
        pass


@pytest.mark.parametrize("again", [True, False], ids=["replaced", "removed"])
def test_a_directory_that_is_no_longer_there_when_it_is_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
):
    """As when the trainer that held it has just put another in its place, and ended."""
    folder, flock = tmp_path / "ck", fcntl.flock
    folder.mkdir()

    def replace_first(descriptor: int, operation: int) -> None:
        folder.rename(tmp_path / "old")
        if again:
            folder.mkdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    with pytest.raises(CheckpointError, match="another process"), Lock(folder):
        pass


def test_a_directory_that_was_made_for_a_run_and_stays_empty_is_removed(tmp_path: Path):
    folder = tmp_path / "a" / "b"
    with claimed(folder):
        assert folder.is_dir()
        with pytest.raises(CheckpointError, match="another process"), claimed(folder):
            pass
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
    with claimed(folder):
        (folder / "file").touch()
    with claimed(folder):
        pass
    assert list(folder.iterdir()) == [folder / "file"]


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is a file; give a dir"), claimed(tmp_path / "file"):
        pass
    below = tmp_path / "file" / "ck"
    with pytest.raises(CheckpointError, match="cannot write to .*: Not a dir"), claimed(below):
        pass
    # It is named by the option that it was given with.
    with pytest.raises(CheckpointError, match="give another output"), claimed(below, "--output"):
        pass
