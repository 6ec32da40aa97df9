"""One process at a time trains in a directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from chargen.errors import CheckpointError
from chargen.training.lock import Lock

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
