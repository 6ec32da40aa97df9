"""`chargen.train` takes texts of any kind and refuses wrong calls."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import CLOSE, COMMAND

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import Sources
from chargen.errors import CheckpointError, OptionError
from chargen.training.events import Event, Noted, Stopped
from training.conftest import OTHER, SMALL, TEXT, Trained, begin


def test_a_file_can_be_held_out(trained: Trained):
    path = trained(validation="other.txt").path
    checkpoint = Checkpoint.open(path)
    assert checkpoint.corpus.train_characters == len(TEXT)
    best = checkpoint.best()
    assert best is not None
    score = chargen.load(path).evaluate(OTHER)
    assert score.unknown_characters == 2
    assert score.nats_per_character == pytest.approx(best["validation_nats"], **CLOSE)


SCRIPTS = {
    "Chinese": "山高月小，水落石出。\n" * 30,
    "emoji": "🙂🚀👩\u200d👩\u200d👧 ok\n" * 30,
    "combining": "e\u0301a\u0308o\u0302n\u0303 \u0915\u094d\u0937\n" * 30,
}


@pytest.fixture(scope="module")
def polyglot(tmp_path_factory: pytest.TempPathFactory) -> chargen.Model:
    """A model that has memorised a line of each script."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "text").write_text("".join(SCRIPTS.values()), encoding="utf-8")
    options = SMALL | {"units": 48, "epochs": 15, "validation": 0, "learning_rate": 0.02}
    return chargen.load(chargen.train(folder / "text", checkpoint=folder / "ck", **options))


@pytest.mark.parametrize("content", SCRIPTS.values(), ids=SCRIPTS)
def test_any_script_trains_and_samples_unharmed(polyglot: chargen.Model, content: str):
    line = content[: content.index("\n") + 1]
    again = polyglot.sample(line[:2], length=len(line) * 2 - 2, temperature=0)
    assert again == (line * 2)[2:]
    score = polyglot.evaluate(content)
    assert score.unknown_characters == 0
    assert score.bits_per_character < 0.5


def test_rare_characters_are_replaced_by_min_count(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("abc abd abe " * 20 + "xyz", encoding="utf-8")
    path = chargen.train(text, checkpoint=tmp_path / "ck", min_count=5, validation=0, **SMALL)
    model = chargen.load(path)
    assert "".join(model.vocabulary) == " abcde\ufffd"
    assert model.evaluate("abcx").unknown_characters == 1
    assert "\ufffd" not in model.sample("ab", length=200, temperature=5)


def test_a_run_can_be_shown_as_the_command_shows_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    text = tmp_path / "text"
    text.write_bytes(b"the heron\r\ncounted the moons\n" * 60)
    events: list[Event] = []
    options = SMALL | {"epochs": 1}
    chargen.train(text, checkpoint=tmp_path / "ck", verbose=True, report=events.append, **options)
    out, shown = capfd.readouterr()
    assert out == ""
    assert "CRLF at the ends of lines is read as LF" in shown
    assert "train and held out are bits per character" in shown
    assert "write text with: chargen sample -c " in shown
    assert isinstance(events[-1], Stopped)
    chargen.train(text, checkpoint=tmp_path / "quiet", **options)
    assert capfd.readouterr() == ("", "")


def test_other_systems_newlines_are_read_as_ours_unless_they_are_to_be_kept(tmp_path: Path):
    text = tmp_path / "text"
    text.write_bytes(b"the heron\r\ncounted\rthe moons\n" * 60)
    (tmp_path / "plain").write_text("the heron\ncounted\nthe moons\n" * 60)
    events: list[Event] = []
    path = chargen.train(text, checkpoint=tmp_path / "lf", report=events.append, **SMALL)
    assert isinstance(events[0], Noted)
    assert events[0].sentence.endswith(
        "CRLF and CR at the ends of lines is read as LF; --newlines keep keeps it"
    )
    opened = Checkpoint.open(path)
    assert "\r" not in opened.vocabulary
    assert opened.corpus.characters == 28 * 60
    assert len(Sources(opened).held_out_ids()) == opened.corpus.validation_characters
    chargen.train(checkpoint=path, resume=True, epochs=3)

    events.clear()
    path = chargen.train(
        text, checkpoint=tmp_path / "keep", newlines="keep", report=events.append, **SMALL
    )
    assert not isinstance(events[0], Noted)
    kept = Checkpoint.open(path)
    assert "\r" in kept.vocabulary
    assert len(Sources(kept).held_out_ids()) == kept.corpus.validation_characters
    again = chargen.train(text, checkpoint=tmp_path / "again", init_from=path, **SMALL)
    assert Checkpoint.open(again).training.newlines == "keep"
    # A checkpoint from before there was this option kept them.
    config = json.loads((path / "config.json").read_text())
    del config["training"]["newlines"]
    (path / "config.json").write_text(json.dumps(config))
    assert Checkpoint.open(path) == kept
    # Further texts are read as the run's own was, unless the model knows no CR anyway.
    assert (kept.newlines, opened.newlines) == ("keep", "lf")
    plain = chargen.train(tmp_path / "plain", checkpoint=tmp_path / "ck", newlines="keep", **SMALL)
    assert Checkpoint.open(plain).newlines == "lf"


def test_a_directory_can_be_trained_on_and_scored_again(tmp_path: Path):
    (tmp_path / "poems").mkdir()
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / "poems" / name).write_text(f"{name} counted the moons\n" * 40)
    path = chargen.train(tmp_path / "poems", checkpoint=tmp_path / "ck", glob="*.txt", **SMALL)
    opened = Checkpoint.open(path)
    assert [Path(text).name for text in opened.corpus.texts] == ["a.txt", "b.txt"]
    assert len(Sources(opened).held_out_ids()) == opened.corpus.validation_characters
    chargen.train(checkpoint=path, resume=True, epochs=3)


def test_a_field_of_records_can_be_trained_on_scored_again_and_resumed(tmp_path: Path):
    poems = [f"the heron\ncounted {number} moons" for number in range(40)]
    (tmp_path / "poems.jsonl").write_text(
        "".join(json.dumps({"id": n, "poem": poem}) + "\n" for n, poem in enumerate(poems))
    )
    path = chargen.train(
        tmp_path / "poems.jsonl", checkpoint=tmp_path / "ck", field="poem", **SMALL
    )
    opened = Checkpoint.open(path)
    assert opened.training.field == "poem"
    assert opened.corpus.characters == sum(len(poem) + 1 for poem in poems)
    assert '"' not in opened.vocabulary
    assert len(Sources(opened).held_out_ids()) == opened.corpus.validation_characters
    with pytest.raises(OptionError, match="field id does not go with resume"):
        chargen.train(checkpoint=path, resume=True, field="id", epochs=3)
    chargen.train(checkpoint=path, resume=True, epochs=3)


@pytest.mark.parametrize("characters", [2, 3, 50])
def test_a_text_of_a_few_characters_trains_with_no_options(tmp_path: Path, characters: int):
    text = tmp_path / "text"
    text.write_text("to be or not to be, that is the question, he said. "[:characters])
    path = chargen.train(text, checkpoint=tmp_path / "ck", epochs=3)
    assert len(chargen.load(path).sample("t", length=5)) == 5


def test_wrong_calls_are_refused(
    trained: Trained, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="unknown options: unit"):
        chargen.train(text, unit=3)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="give at least one TEXT"):
        chargen.train([])
    with pytest.raises(OptionError, match="give at least one TEXT"):
        chargen.train([], checkpoint=tmp_path / "ck")
    with pytest.raises(OptionError, match="threads must be a whole number from 1"):
        chargen.train(text, threads=0)
    with pytest.raises(OptionError, match="min_count must be 1 or more"):
        chargen.train(text, checkpoint=tmp_path / "ck", min_count=0)
    path = trained().path
    with pytest.raises(OptionError, match="give one of them"):
        chargen.train(text, checkpoint=tmp_path / "b", init_from=path, preset="tutorial")


def test_a_report_that_fails_ends_the_run_and_its_error_is_not_the_checkpoints(
    text: Path, tmp_path: Path
):
    def log(event: Event) -> None:
        (tmp_path / "nowhere" / "log").write_text(repr(event))

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    # The error that is kept keeps what was running when it was raised.
    with pytest.raises(FileNotFoundError, match="nowhere") as kept:
        chargen.train(text, checkpoint=tmp_path / "ck", report=log, **SMALL)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    begin(checkpoint=tmp_path / "ck", resume=True)
    assert kept.value.__traceback__ is not None


@pytest.mark.parametrize("how", ["--force", "--resume"])
def test_a_directory_belongs_to_the_run_that_is_being_planned_for_it(
    trained: Trained, tmp_path: Path, how: str
):
    """The first run is still reading its text when a second one begins."""
    path = trained().copy(tmp_path) if how == "--resume" else tmp_path / "new" / "ck"
    before = files_in(path)
    os.mkfifo(tmp_path / "pipe")
    first = subprocess.Popen(
        [*COMMAND, "train", tmp_path / "pipe", "-o", path, how],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        with open(open_pipe(tmp_path / "pipe", first), "w") as pipe:
            options: Any = {"resume": True} if how == "--resume" else SMALL
            with pytest.raises(CheckpointError, match="another process is training in"):
                chargen.train(trained().folder / "fables.txt", checkpoint=path, **options)
            pipe.write("x")
        _, shown = first.communicate()
    finally:
        first.kill()
    assert first.returncode == 1
    assert (b"not the text" if how == "--resume" else b"needs at least 2") in shown
    assert files_in(path) == before
    assert path.exists() == (path.parent.name != "new")


def files_in(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.glob("*")}


def open_pipe(path: Path, reader: "subprocess.Popen[bytes]") -> int:
    """Open a named pipe to write to when a process has opened it to read from."""
    while reader.poll() is None:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.01)
    raise AssertionError(reader.communicate())
