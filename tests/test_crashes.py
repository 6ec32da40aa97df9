"""What a run leaves behind when it is killed, or its disk fails: the last good state, readable."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SMALL_RUN, as_options
from stress.kill_training import DYING, differences, unreadable

import chargen
from chargen.checkpoint.directory import FILES, Checkpoint
from chargen.errors import CheckpointError
from chargen.training.events import Evaluated, Event

OWN_DISK = ["unshare", "--user", "--map-root-user", "--mount"]
"""Before a command: it may mount disks, which nobody else sees and which end with it."""


def may_mount() -> bool:
    try:
        command = [*OWN_DISK, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


MAY_MOUNT = may_mount()
needs_own_disk = pytest.mark.skipif(
    not MAY_MOUNT, reason="this system lets users mount no disk of their own"
)


FAILING = """
chargen() { "$PYTHON" -m chargen "$@"; }
mkdir disk
PREPARE
"$PYTHON" -c "$DYING" 60 train text -q -o disk/ck $OPTIONS || true
(BREAK; chargen train --resume -q -o disk/ck) 2> said && exit 9
chargen sample -q -c disk/ck -n 5 > sampled
chargen evaluate text -c disk/ck --json > scored
chargen info disk/ck > shown
ls -A disk/ck > left
MEND
chargen train --resume -q -o disk/ck
cp -r disk/ck ended
"""
"""A run is killed, goes on where it cannot write, and then where it can again."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "broken", "mended", "reason"),
    [
        pytest.param(
            "mount -t tmpfs -o size=400k tmpfs disk",
            "cat /dev/zero > disk/filler 2> nothing || true",
            "rm disk/filler",
            "No space left on device",
            marks=needs_own_disk,
        ),
        # What Python compiled would be cut off too, and break whoever imports it next.
        pytest.param(
            ":",
            "export PYTHONDONTWRITEBYTECODE=1; ulimit -f 8",
            ":",
            "File too large",
            marks=pytest.mark.skipif(MAY_MOUNT, reason="a disk that is full shows the same"),
        ),
    ],
    ids=["full", "limited"],
)
def test_a_disk_that_fails_costs_nothing_that_was_saved(
    prepare: str, broken: str, mended: str, reason: str, fables: Path, tmp_path: Path
):
    script = FAILING.replace("PREPARE", prepare).replace("BREAK", broken).replace("MEND", mended)
    result = subprocess.run(
        [*(OWN_DISK if prepare.startswith("mount") else []), "sh", "-euc", script],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHON": sys.executable, "DYING": DYING, "OPTIONS": " ".join(as_options(SMALL_RUN))},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    said = (tmp_path / "said").read_text()
    assert said.startswith("chargen: error: cannot write disk/ck/resume.safetensors: ")
    assert reason in said
    assert "--resume" in said
    assert said.count("\n") == 1
    assert sorted((tmp_path / "left").read_text().split()) == sorted(FILES)
    assert len((tmp_path / "sampled").read_text()) == 6
    chargen.train(fables, checkpoint=tmp_path / "straight", **SMALL_RUN)
    assert not differences(tmp_path / "straight", tmp_path / "ended")


@pytest.mark.parametrize(
    ("turns", "content"),
    [
        ([[*FILES, "text"]], None),
        pytest.param([[*FILES, "text"]], b"somebody else's", marks=pytest.mark.slow),
        pytest.param([[name] for name in FILES], None, marks=pytest.mark.slow),
    ],
    ids=["all removed", "all changed", "each removed in turn"],
)
def test_files_removed_or_changed_under_a_run_are_written_again(
    turns: list[list[str]], content: bytes | None, fables: Path, tmp_path: Path
):
    path = tmp_path / "ck"
    left = iter(turns)

    def meddle(event: Event) -> None:
        if isinstance(event, Evaluated):
            for name in next(left, []):
                file = (tmp_path if name == "text" else path) / name
                file.unlink(missing_ok=True)
                if content is not None:
                    file.write_bytes(content)

    (tmp_path / "copy").write_bytes(fables.read_bytes())
    chargen.train(fables, checkpoint=path, report=meddle, validation=0.1, **SMALL_RUN)
    assert next(left, None) is None
    assert len(Checkpoint.open(path).history()) > len(turns)
    assert not unreadable(path)
    chargen.train(tmp_path / "copy", checkpoint=path, resume=True, epochs=5)


@pytest.mark.slow
def test_a_directory_removed_under_a_run_is_an_error_of_one_line(fables: Path, tmp_path: Path):
    path = tmp_path / "ck"

    def move(event: Event) -> None:
        if isinstance(event, Evaluated) and path.exists():
            path.rename(tmp_path / "moved")

    with pytest.raises(CheckpointError, match="cannot write .*: No such file or directory; what"):
        chargen.train(fables, checkpoint=path, report=move, **SMALL_RUN)
    assert not unreadable(tmp_path / "moved")
    chargen.train(fables, checkpoint=tmp_path / "moved", resume=True)
    chargen.train(fables, checkpoint=tmp_path / "straight", **SMALL_RUN)
    assert not differences(tmp_path / "straight", tmp_path / "moved")


@pytest.mark.slow
def test_a_clock_that_jumps_disturbs_neither_a_run_nor_its_budget(
    ticking: None, fables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chargen.train(fables, checkpoint=tmp_path / "straight", **SMALL_RUN)
    straight_time = time.time
    monkeypatch.setattr(time, "time", lambda: straight_time() + random.uniform(-1e9, 1e9))
    chargen.train(fables, checkpoint=tmp_path / "jumped", **SMALL_RUN)
    assert not differences(tmp_path / "straight", tmp_path / "jumped")
    options = SMALL_RUN | {"epochs": 10**6, "patience": 0}
    path = chargen.train(fables, checkpoint=tmp_path / "budget", budget="10s", **options)
    assert 8 < Checkpoint.open(path).history()[-1]["seconds"] <= 10
