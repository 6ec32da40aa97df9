"""Runs on long texts, whose ids are in a file: they learn the same, and leave nothing behind."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, FABLES, run_process
from stress.kill_training import differences

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.ids import IDS
from chargen.data import ids as ids_module
from chargen.errors import CheckpointError, CorpusError, OptionError
from chargen.training import train as train_module
from chargen.training.events import Evaluated, Event, Noted, Started, TextRead
from training.conftest import SMALL, TEXT, Trained, begin, stop_when


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is so long that its ids go into a file, and that reading it is noticed."""
    monkeypatch.setattr(ids_module, "MOST_IN_MEMORY", 1000)
    monkeypatch.setattr(train_module, "NOTICED_SECONDS", 0.0)


@pytest.mark.parametrize("predict", ["all", pytest.param("last", marks=pytest.mark.slow)])
def test_a_run_learns_the_same_from_a_file_interrupted_and_resumed(
    trained: Trained, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predict: str
):
    options = {} if predict == "all" else {"predict": predict}
    with monkeypatch.context() as patch:
        patch.setattr(ids_module, "MOST_IN_MEMORY", 1 << 26)
        straight = trained(**options).path
    path = tmp_path / "file"
    report = stop_when(lambda event: isinstance(event, Evaluated))
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=path, report=report, **SMALL | options)
    assert (path / IDS).exists(), "it is needed to go on"
    events: list[Event] = []
    chargen.train(checkpoint=path, resume=True, report=events.append)
    assert any(isinstance(event, TextRead) for event in events)
    assert not (path / IDS).exists()
    assert not differences(straight, path)


def test_ids_are_kept_for_later_runs_if_that_is_asked_for(text: Path, tmp_path: Path):
    first, second = tmp_path / "runs" / "first", tmp_path / "runs" / "second"
    options = SMALL | {"epochs": 1, "batch_size": 16}
    chargen.train(text, checkpoint=first, keep_ids=True, **options)
    assert Checkpoint.open(first).training.keep_ids
    kept = (first / IDS).stat()
    events: list[Event] = []
    begin(text, checkpoint=first, force=True, **options)
    assert (first / IDS).stat().st_ino == kept.st_ino
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=second, report=noting(events), **options)
    notes = [event.sentence for event in events if isinstance(event, Noted)]
    assert notes == [f"{first / IDS}: the ids of this text, encoded before, are used again"]
    assert (second / IDS).stat().st_ino == kept.st_ino
    # The first run takes them from its own directory at its end; the second is told to keep them.
    chargen.train(checkpoint=first, resume=True)
    assert not (first / IDS).exists()
    chargen.train(checkpoint=second, resume=True, keep_ids=True)
    assert (second / IDS).exists()
    chargen.train(checkpoint=second, resume=True)  # nothing was left to do
    assert (second / IDS).exists()


def noting(events: list[Event]) -> Any:
    """Keep the events, and press Ctrl-C when the run starts."""
    stop = stop_when(lambda event: isinstance(event, Started))

    def report(event: Event) -> None:
        events.append(event)
        stop(event)

    return report


def test_a_run_that_cannot_begin_leaves_no_ids(text: Path, tmp_path: Path):
    with pytest.raises(OptionError, match="bidirectional needs"):
        chargen.train(text, checkpoint=tmp_path / "ck", bidirectional=True)
    with pytest.raises(Exception, match="needs"):
        chargen.train(text, checkpoint=tmp_path / "ck", window=60_000)
    assert not (tmp_path / "ck").exists()


def test_what_was_stopped_before_it_began_begins_anew(text: Path, tmp_path: Path):
    path = tmp_path / "ck"
    path.mkdir()
    (path / ".ids.99999.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="stopped before it began, so its TEXT and options"):
        chargen.train(checkpoint=path, resume=True)
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=path, resume=True, report=noting(events), **SMALL)
    assert isinstance(events[0], Noted)
    assert events[0].sentence == f"the run in {path} was stopped before it began; it begins anew"
    assert not (path / ".ids.99999.safetensors").exists()
    assert Checkpoint.open(path).model.units == 8
    # Killed when the ids were complete, but nothing else was: they are used.
    other = tmp_path / "other"
    other.mkdir()
    (path / IDS).rename(other / IDS)
    made = (other / IDS).stat().st_ino
    begin(text, checkpoint=other, resume=True, **SMALL)
    assert (other / IDS).stat().st_ino == made
    # What is no run of chargen's is none that was stopped.
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        chargen.train(text, checkpoint=tmp_path / "notes", resume=True)


def test_a_text_from_standard_input_need_not_be_given_again_while_its_ids_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "ck"
    with (tmp_path / "piped").open("w+") as file:
        file.write(TEXT)
        file.seek(0)
        monkeypatch.setattr("sys.stdin", file)
        begin("-", checkpoint=path, **SMALL | {"epochs": 1, "batch_size": 16})
    (path / IDS).rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="from standard input, which cannot be read again"):
        chargen.train(checkpoint=path, resume=True)
    (tmp_path / "elsewhere").rename(path / IDS)
    chargen.train(checkpoint=path, resume=True)
    assert not (path / IDS).exists()


def test_the_ids_of_another_model_are_refused(text: Path, tmp_path: Path):
    """A stranger's file may say that it is of this text, and have other characters."""
    path = tmp_path / "ck"
    begin(text, checkpoint=path, **SMALL)
    data = (path / IDS).read_bytes()
    last = int.from_bytes(data[-4:], "little")
    (path / IDS).unlink()
    (path / IDS).write_bytes(data[:-4] + (last + 1).to_bytes(4, "little"))
    with pytest.raises(CorpusError, match="not the text that the run"):
        chargen.train(text, checkpoint=path, resume=True)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_encodes_is_begun_again(tmp_path: Path):
    text, path = tmp_path / "long.txt", tmp_path / "ck"
    with text.open("w") as file:  # 300 MB, which take some seconds
        for number in range(3 * 10**8 // len(FABLES)):
            file.write(f"{number}\n{FABLES}")
    command = ["train", "long.txt", "-o", "ck", "--units", "8", "--random-seed", "1"]
    process = subprocess.Popen([*COMMAND, *command], cwd=tmp_path, stderr=subprocess.PIPE)
    while not (started := list(path.glob(".ids.*"))):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert [entry.name for entry in path.iterdir()] == [started[0].name]
    refused = run_process(tmp_path, "train", "--resume", "-o", "ck")
    assert refused.returncode == 1
    assert b"stopped before it began, so its TEXT and options are not known" in refused.stderr
    # Killed again when the ids are complete: they are used.
    process = subprocess.Popen(
        [*COMMAND, *command, "--resume"], cwd=tmp_path, stderr=subprocess.PIPE
    )
    while not (path / IDS).exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    _, shown = process.communicate()
    assert b"was stopped before it began; it begins anew" in shown
    made = (path / IDS).stat().st_ino
    process = subprocess.Popen([*COMMAND, *command], cwd=tmp_path, stderr=subprocess.PIPE)
    while not (path / "config.json").exists():
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, shown = process.communicate()
    assert b"encoded before, are used again" in shown
    assert (path / IDS).stat().st_ino == made
    assert Checkpoint.open(path).corpus.characters == text.stat().st_size
