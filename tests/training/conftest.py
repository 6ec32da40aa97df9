"""What tests of training share: runs that are trained once, and runs that are stopped."""

import hashlib
import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import FABLES, made_once

import chargen
from chargen.training.events import Event, Started

OTHER = "The heron said £5.\n"
TEXT = "".join(FABLES.splitlines(keepends=True)[:60])
SMALL: dict[str, Any] = {
    "units": 8,
    "window": 8,
    "batch_size": 4,
    "epochs": 2,
    "learning_rate": 0.01,
    "random_seed": 1,
    "weight_drop": 0.0,
    "average": 0.0,
    "precision": "float32",  # runs are compared: `auto` may settle for either
}
DEEP: dict[str, Any] = {"cell": "gru", "layers": 2, "dropout": 0.2, "epochs": 1}
SAVE_EVERY = (0, "1h")


@dataclass(frozen=True)
class TrainedRun:
    """A run that has ended, in a folder of its own with its texts; not to be changed.

    Attributes:
        path: what `train` returned.
        events: all that it told.
        saved: the steps at which it saved its state.
    """

    folder: Path
    path: Path
    events: list[Event]
    saved: list[int]

    def copy(self, folder: Path) -> Path:
        """Copy the folder, so that the run was done in the copy; returns its checkpoint."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        config = folder / "ck" / "config.json"
        config.write_text(config.read_text().replace(str(self.folder), str(folder)))
        return folder / "ck"


Trained = Callable[..., TrainedRun]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Runs on `TEXT` in fables.txt, each done once: most of their time goes into compiling."""

    def train(**options: Any) -> TrainedRun:
        key = hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()[:16]
        folder = made_once(tmp_path_factory, f"run-{key}", partial(_train, options))
        run: TrainedRun = pickle.loads((folder / "run").read_bytes())
        return run

    return train


def _train(options: dict[str, Any], folder: Path) -> None:
    from chargen.training import state

    (folder / "fables.txt").write_text(TEXT, encoding="utf-8")
    (folder / "other.txt").write_text(OTHER, encoding="utf-8")
    events: list[Event] = []
    saved: list[int] = []
    save = state.save

    def note(folder: Path, model: Any, run: Any) -> None:
        saved.append(run.step)
        save(folder, model, run)

    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setattr(state, "save", note)
        path = chargen.train(
            "fables.txt", checkpoint=folder / "ck", report=events.append, **SMALL | options
        )
    (folder / "run").write_bytes(pickle.dumps(TrainedRun(folder, path, events, saved)))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "fables.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def stop_when(due: Callable[[Event], bool]) -> Callable[[Event], None]:
    """Press Ctrl-C, once, after the first event that is the one."""
    pressed = False

    def report(event: Event) -> None:
        nonlocal pressed
        if not pressed and due(event):
            pressed = True
            os.kill(os.getpid(), signal.SIGINT)

    return report


def begin(*arguments: Any, **options: Any) -> None:
    """Start a run and stop it before its first step, which saves the seconds of compiling."""
    report = stop_when(lambda event: isinstance(event, Started))
    with pytest.raises(KeyboardInterrupt):
        chargen.train(*arguments, report=report, **options)


def history(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
