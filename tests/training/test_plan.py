"""What a run is, and whether it may begin, is settled before it starts."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COMMAND
from safetensors.numpy import load_file

import chargen
from chargen.checkpoint.directory import Checkpoint, best_of
from chargen.checkpoint.sources import Sources
from chargen.data.corpus import read_ids
from chargen.errors import CheckpointError, CorpusError, OptionError, TrainingError
from chargen.training.events import Evaluated, Event, Noted, Started, Stopped
from chargen.training.plan import default_checkpoint, plan_new
from training.conftest import DEEP, SMALL, TEXT, Trained, begin, history, stop_when


def test_resume_refuses_another_text_other_options_and_a_missing_or_damaged_state(
    trained: Trained, tmp_path: Path
):
    path = trained().copy(tmp_path)
    text = tmp_path / "fables.txt"
    with pytest.raises(OptionError, match="units 9 does not go with resume, .* has units 8;"):
        chargen.train(text, checkpoint=path, resume=True, units=9)
    with pytest.raises(OptionError) as refused:
        chargen.train(text, checkpoint=path, resume=True, calibrate=False)
    assert refused.value.as_typed == (
        "--no-calibrate does not go with --resume, as this run has --calibrate; leave it out, or "
        "start a new run"
    )
    other = tmp_path / "other"
    other.write_text(TEXT + "!")
    with pytest.raises(CorpusError, match="not the text that the run"):
        chargen.train(other, checkpoint=path, resume=True)
    with pytest.raises(OptionError, match="does not go with force"):
        chargen.train(text, checkpoint=path, resume=True, force=True)
    resume = path / "resume.safetensors"
    data = resume.read_bytes()
    resume.write_bytes(data[: len(data) // 2])
    with pytest.raises(
        CheckpointError, match=r"resume\.safetensors cannot be resumed from .* init_from"
    ):
        chargen.train(text, checkpoint=path, resume=True)
    resume.unlink()
    with pytest.raises(CheckpointError, match=r"has no resume\.safetensors"):
        chargen.train(text, checkpoint=path, resume=True)
    (path / "resume.npz").write_bytes(b"an older version's")
    with pytest.raises(CheckpointError, match=r"its resume\.npz was written by an older chargen"):
        chargen.train(text, checkpoint=path, resume=True)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        chargen.train(text, checkpoint=tmp_path / "nowhere", resume=True)


def test_a_run_can_start_from_another_runs_weights(trained: Trained, text: Path, tmp_path: Path):
    first = trained(**DEEP).path
    tiny: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-9, "schedule": "constant"}
    tiny |= {"batch_size": 4, "precision": "float32", "dropout": DEEP["dropout"]}
    tiny["calibrate"] = False
    second = chargen.train(text, checkpoint=tmp_path / "b", init_from=first, **tiny)
    assert Checkpoint.open(second).model == Checkpoint.open(first).model
    for array, expected in zip(
        Checkpoint.open(second).weights(), Checkpoint.open(first).weights(), strict=True
    ):
        np.testing.assert_allclose(array, expected, atol=1e-5)
    with pytest.raises(OptionError, match="units 9 does not go with init_from .* has units 8"):
        chargen.train(text, checkpoint=tmp_path / "c", init_from=first, units=9)
    assert not (tmp_path / "c").exists()


def test_a_run_from_another_runs_weights_knows_its_characters_and_the_texts(
    trained: Trained, tmp_path: Path
):
    first = Checkpoint.open(trained(**DEEP).path)
    assert "q" in first.vocabulary
    other = tmp_path / "other.txt"
    # Two come between the old ones and one after them; the rare one is known, and so is kept.
    other.write_text(TEXT.replace("q", "").replace("e", "é").replace("k", "#") + "e£", "utf-8")
    path = tmp_path / "b"
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        stop(event)

    stop = stop_when(lambda event: isinstance(event, Started))
    options: dict[str, Any] = {"batch_size": 4, "min_count": 2, "precision": "float32"}
    with pytest.raises(KeyboardInterrupt):
        chargen.train(other, checkpoint=path, init_from=first.path, report=report, **options)
    second = Checkpoint.open(path)
    assert list(second.vocabulary) == sorted({*first.vocabulary, "é", "#", "\ufffd"})
    assert second.model.vocabulary_size == len(first.vocabulary) + 3
    assert events[0] == Noted(
        f"the {len(first.vocabulary)} characters that {first.path} knows are kept, "
        "and 3 are new: '#é\ufffd'"
    )
    sources = Sources(second)
    ids = np.concatenate([sources.train_ids(), sources.held_out_ids()])
    assert second.vocabulary.decode(ids) == other.read_text("utf-8").replace("£", "\ufffd")
    kept = second.vocabulary.encode("".join(first.vocabulary))
    kernel, before = second.weights()[0], first.weights()[0]
    np.testing.assert_array_equal(kernel[kept], before)


def test_a_run_with_new_characters_is_resumed_bit_for_bit(trained: Trained, tmp_path: Path):
    text = tmp_path / "other.txt"
    text.write_text(TEXT.replace("e", "é") + "ж", "utf-8")
    options = {name: value for name, value in SMALL.items() if name != "window"}
    paths = [tmp_path / "straight", tmp_path / "stopped"]
    chargen.train(text, checkpoint=paths[0], init_from=trained().path, **options)
    stop = stop_when(lambda event: isinstance(event, Evaluated))
    with pytest.raises(KeyboardInterrupt):
        chargen.train(text, checkpoint=paths[1], init_from=trained().path, report=stop, **options)
    assert 0 < len(history(paths[1])) < len(history(paths[0]))
    chargen.train(checkpoint=paths[1], resume=True)
    straight, stopped = (load_file(path / "resume.safetensors") for path in paths)
    assert straight.keys() == stopped.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(array, stopped[name])


def test_what_was_not_dropped_before_is_not_dropped_later(trained: Trained, tmp_path: Path):
    text = tmp_path / "fables.txt"
    text.write_text(TEXT * 5, "utf-8")
    plans = [
        plan_new(tmp_path / "b", [str(text)], {"units": 8}, init_from=path, note=print)
        for path in (None, trained().path)
    ]
    anew, tuned = (plan.checkpoint for plan in plans)
    assert anew.training.weight_drop > 0
    assert tuned.training.weight_drop == SMALL["weight_drop"]
    assert tuned.model.dropout == anew.model.dropout > 0
    assert tuned.training.epochs == anew.training.epochs
    assert tuned.training.learning_rate == anew.training.learning_rate


def test_another_network_and_damaged_weights_are_refused_before_the_text_is_read(
    trained: Trained, tmp_path: Path
):
    path = trained().copy(tmp_path)
    with pytest.raises(OptionError, match="units 9 does not go with init_from"):
        chargen.train(tmp_path / "nowhere", checkpoint=tmp_path / "b", init_from=path, units=9)
    (path / "model.keras").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"model\.keras is damaged"):
        chargen.train(tmp_path / "nowhere", checkpoint=tmp_path / "b", init_from=path)


@pytest.mark.parametrize("folder", ["/proc/nowhere/ck", "/proc"])
def test_a_directory_that_cannot_be_written_is_refused_before_the_text_is_read(folder: str):
    script = '"$@"; cat'  # the next program gets all that comes through the pipe
    result = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, "train", "-", "-o", folder],
        input=TEXT.encode(),
        capture_output=True,
        check=True,
    )
    assert result.stderr.startswith(f"chargen: error: cannot write to {folder}: ".encode())
    assert result.stdout.decode() == TEXT


def test_an_existing_checkpoint_is_replaced_only_by_force(trained: Trained, tmp_path: Path):
    path = trained().copy(tmp_path)
    text = tmp_path / "fables.txt"
    before = (path / "model.keras").read_bytes()
    with pytest.raises(CheckpointError, match="already holds a checkpoint; give resume"):
        chargen.train(text, checkpoint=path, **SMALL)
    assert (path / "model.keras").read_bytes() == before
    (path / "notes.txt").write_text("mine")
    begin(text, checkpoint=path, force=True, **SMALL | {"units": 9})
    assert Checkpoint.open(path).model.units == 9
    assert (path / "notes.txt").read_text() == "mine"


def test_force_does_not_replace_what_is_no_checkpoint(text: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"name": "somebody else\'s"}')
    with pytest.raises(CheckpointError, match="was not written by chargen"):
        chargen.train(text, checkpoint=tmp_path, force=True, **SMALL)
    with pytest.raises(CheckpointError, match="is a file"):
        chargen.train(text, checkpoint=text, **SMALL)
    with pytest.raises(CheckpointError, match="cannot write to"):
        chargen.train(text, checkpoint=text / "below", **SMALL)


def test_force_replaces_a_damaged_checkpoint(trained: Trained, tmp_path: Path):
    path = trained().copy(tmp_path)
    text = tmp_path / "fables.txt"
    for damage in ("{", json.dumps({"format": 99, "model": {}, "training": {}})):
        (path / "config.json").write_text(damage)
        begin(text, checkpoint=path, force=True, **SMALL | {"epochs": 1})
        assert Checkpoint.open(path).training.epochs == 1
        assert history(path) == []
        chargen.load(path).sample("The", length=5)
    (path / "config.json").unlink()
    with pytest.raises(CheckpointError, match="already holds"):
        chargen.train(text, checkpoint=path, **SMALL)


def test_resume_takes_a_text_that_was_moved_and_refuses_fewer_epochs(
    trained: Trained, tmp_path: Path
):
    path = trained().copy(tmp_path)
    moved = (tmp_path / "fables.txt").rename(tmp_path / "moved.txt")
    with pytest.raises(CorpusError, match="names as its text, is not there; name the TEXT"):
        chargen.train(checkpoint=path, resume=True)
    events: list[Event] = []
    chargen.train(moved, checkpoint=path, resume=True, report=events.append)
    (ended,) = events  # nothing was left to do
    assert isinstance(ended, Stopped)
    assert (ended.reason, ended.best) == ("finished", best_of(history(path)))
    assert Checkpoint.open(path).corpus.texts == (f"../{moved.name}",)
    with pytest.raises(TrainingError, match=r"has done 2\.0 epochs, more than epochs 1"):
        chargen.train(checkpoint=path, resume=True, epochs=1)


def test_resume_takes_the_automatic_precision_that_the_run_was_started_with(
    trained: Trained, text: Path, tmp_path: Path
):
    path = tmp_path / "ck"
    begin(text, checkpoint=path, **SMALL | {"precision": "auto"})
    precision = Checkpoint.open(path).training.precision
    begin(checkpoint=path, resume=True, precision="auto")
    begin(checkpoint=path, resume=True, precision=precision)
    assert Checkpoint.open(path).training.precision == precision
    with pytest.raises(OptionError, match="precision auto does not go with resume"):
        chargen.train(checkpoint=trained().path, resume=True, precision="auto")


def test_resume_takes_the_held_out_file_by_any_name_of_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = trained(validation="other.txt").copy(tmp_path)
    assert Checkpoint.open(path).training.validation == "../other.txt"
    monkeypatch.chdir(tmp_path)
    begin(checkpoint=path, resume=True, validation="other.txt", epochs=3)
    again = str(tmp_path / "ck" / ".." / "other.txt")
    begin(checkpoint=path, resume=True, validation=again, epochs=3)
    with pytest.raises(OptionError, match="validation fables.txt does not go with resume"):
        chargen.train(checkpoint=path, resume=True, validation="fables.txt")


def test_a_held_out_file_must_stay_the_same(trained: Trained, tmp_path: Path):
    path = trained(validation="other.txt").copy(tmp_path)
    other = tmp_path / "other.txt"
    assert len(Sources(Checkpoint.open(path)).held_out_ids()) == 19
    other.write_text("The heron said no.\n")
    with pytest.raises(CorpusError, match="is not the text that the run in"):
        Sources(Checkpoint.open(path)).held_out_ids()
    with pytest.raises(TrainingError, match="is not the text that this run held out"):
        chargen.train(checkpoint=path, resume=True, epochs=3)


def test_the_texts_the_options_and_the_versions_are_recorded(text: Path, tmp_path: Path):
    path = tmp_path / "ck"
    options: dict[str, Any] = {"preset": "tutorial", "epochs": 1, "units": 5, "threads": None}
    begin([text, str(text)], checkpoint=path, **options)
    opened = Checkpoint.open(path)
    assert opened.corpus.texts == ("../" + text.name, "../" + text.name)
    assert str(tmp_path) not in (path / "config.json").read_text(), "it may be shared"
    assert opened.corpus.characters == 2 * len(TEXT)
    assert opened.training.preset == "tutorial"
    assert opened.model.units == 5
    assert set(opened.versions) == {"chargen", "python", "keras", "tensorflow", "numpy", "h5py"}
    ids = read_ids([str(text)], opened.vocabulary)
    assert opened.vocabulary.decode(ids) == TEXT


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("poems.txt", "poems"),
        ("a/b/poems.tar.gz", "poems"),
        ("poems.txt.xz", "poems"),
        ("poems", "poems"),
        ("-", "stdin"),
        (".hidden", ".hidden"),
    ],
)
def test_the_default_checkpoint_is_named_after_the_text(source: str, name: str):
    assert default_checkpoint(source) == Path("checkpoints") / name


def test_the_default_checkpoint_of_a_directory_is_named_after_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "notes" / "old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notes" / "old")
    for source, name in ((".", "old"), ("..", "notes"), ("../", "notes"), ("/", "text")):
        assert default_checkpoint(source) == Path("checkpoints") / name


def test_the_options_of_a_run_are_recorded(trained: Trained):
    path = trained().path
    training = dataclasses.asdict(Checkpoint.open(path).training)
    model = dataclasses.asdict(Checkpoint.open(path).model)
    for name, value in SMALL.items():
        assert (training | model)[name] == value
