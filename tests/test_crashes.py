"""What a run leaves behind when it is killed, or its disk fails: the last good state, readable."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from stress.kill_training import DYING, differences, live, unreadable

import chargen
from chargen.checkpoint.directory import FILES, Checkpoint
from chargen.errors import CheckpointError
from chargen.training.events import Evaluated, Event

FABLES = (ROOT / "corpora" / "fables.txt").read_text(encoding="utf-8")
SMALL: dict[str, Any] = {
    "units": 8,
    "window": 8,
    "batch_size": 4,
    "epochs": 4,
    "learning_rate": 0.01,
    "random_seed": 1,
    "precision": "float32",
}
OPTIONS = [
    part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))
]

OWN_DISK = ["unshare", "--user", "--map-root-user", "--mount"]
"""Before a command: it may mount disks, which nobody else sees and which end with it."""


def may_mount() -> bool:
    try:
        command = [*OWN_DISK, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_own_disk = pytest.mark.skipif(
    not may_mount(), reason="this system lets users mount no disk of their own"
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(FABLES[:4000], encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_run_killed_ten_times_ends_as_one_that_was_not(
    cell: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The deaths come before, between and after the files of a beginning and of evaluations."""
    monkeypatch.chdir(tmp_path)
    options = [*OPTIONS, "--cell", cell, "--dropout", "0.2", "--weight-drop", "0.2"]
    deaths = [0, 7, 14, 16, 25, 2, 8, 10, 14, 20, 30, None]
    kills, wrong = live(options, iter(deaths), Path("straight"), Path("killed"))
    assert not wrong
    assert kills == 11


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
        pytest.param(
            "mount -t tmpfs tmpfs disk",
            "mount -o remount,ro disk",
            "mount -o remount,rw disk",
            "Read-only file system",
            marks=needs_own_disk,
        ),
        (":", "ulimit -f 8", ":", "File too large"),
    ],
    ids=["full", "read-only", "limited"],
)
def test_a_disk_that_fails_costs_nothing_that_was_saved(
    prepare: str, broken: str, mended: str, reason: str, text: Path, tmp_path: Path
):
    script = FAILING.replace("PREPARE", prepare).replace("BREAK", broken).replace("MEND", mended)
    result = subprocess.run(
        [*(OWN_DISK if prepare.startswith("mount") else []), "sh", "-euc", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "DYING": DYING, "OPTIONS": " ".join(OPTIONS)},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    said = (tmp_path / "said").read_text()
    assert said.startswith("chargen: error: cannot write disk/ck/resume.npz: ")
    assert reason in said
    assert "--resume" in said
    assert said.count("\n") == 1
    assert sorted((tmp_path / "left").read_text().split()) == sorted(FILES)
    assert len((tmp_path / "sampled").read_text()) == 6
    chargen.train(text, checkpoint=tmp_path / "straight", **SMALL)
    assert not differences(tmp_path / "straight", tmp_path / "ended")


@pytest.mark.parametrize(
    ("names", "content"),
    [
        ([*FILES, "text"], None),
        pytest.param([*FILES, "text"], b"somebody else's", marks=pytest.mark.slow),
        *(pytest.param([name], None, marks=pytest.mark.slow) for name in FILES),
    ],
)
def test_files_removed_or_changed_under_a_run_are_written_again(
    names: list[str], content: bytes | None, text: Path, tmp_path: Path
):
    path = tmp_path / "ck"

    def meddle(event: Event) -> None:
        if isinstance(event, Evaluated) and event.record["step"] < 100:
            for name in names:
                file = (tmp_path if name == "text" else path) / name
                file.unlink(missing_ok=True)
                if content is not None:
                    file.write_bytes(content)

    (tmp_path / "copy").write_bytes(text.read_bytes())
    chargen.train(text, checkpoint=path, report=meddle, validation=0.1, **SMALL)
    assert not unreadable(path)
    chargen.train(tmp_path / "copy", checkpoint=path, resume=True, epochs=5)


@pytest.mark.slow
def test_a_directory_removed_under_a_run_is_an_error_of_one_line(text: Path, tmp_path: Path):
    path = tmp_path / "ck"

    def move(event: Event) -> None:
        if isinstance(event, Evaluated) and path.exists():
            path.rename(tmp_path / "moved")

    with pytest.raises(CheckpointError, match="cannot write .*: No such file or directory; what"):
        chargen.train(text, checkpoint=path, report=move, **SMALL)
    assert not unreadable(tmp_path / "moved")
    chargen.train(text, checkpoint=tmp_path / "moved", resume=True)
    chargen.train(text, checkpoint=tmp_path / "straight", **SMALL)
    assert not differences(tmp_path / "straight", tmp_path / "moved")


@pytest.mark.slow
def test_a_clock_that_jumps_disturbs_neither_a_run_nor_its_budget(
    ticking: None, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chargen.train(text, checkpoint=tmp_path / "straight", **SMALL)
    straight_time = time.time
    monkeypatch.setattr(time, "time", lambda: straight_time() + random.uniform(-1e9, 1e9))
    chargen.train(text, checkpoint=tmp_path / "jumped", **SMALL)
    assert not differences(tmp_path / "straight", tmp_path / "jumped")
    options = SMALL | {"epochs": 10**6, "patience": 0}
    path = chargen.train(text, checkpoint=tmp_path / "budget", budget="10s", **options)
    assert 8 < Checkpoint.open(path).history()[-1]["seconds"] <= 10
