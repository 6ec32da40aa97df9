"""`compare` trains networks one after another, and continues where it stopped."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import FABLES, SMALL_RUN

from chargen.checkpoint.directory import Checkpoint, find_checkpoints
from chargen.data.windows import make_windows
from chargen.errors import CheckpointError, CorpusError, OptionError, TrainingError
from chargen.training.compare import Beginning, compare
from chargen.training.comparison import COMPARISON, FASTEST
from chargen.training.defaults import settle
from chargen.training.events import Started
from chargen.training.limits import TextSize
from chargen.training.machine import Machine
from chargen.training.tries import DEFAULT_TRIES
from training.conftest import stop_when

SMALL = {name: value for name, value in SMALL_RUN.items() if name != "random_seed"}
DIVERGED = "rnn-relu-sgd-learning-rate-1e+30-constant-clip-norm-0"


def copy_of(compared: Path, folder: Path) -> Path:
    """The comparison with its text, where it may be changed."""
    return shutil.copytree(compared, folder / "copy") / "ck"


def begun(*arguments: Any, **options: Any) -> list[str]:
    """The runs that a comparison begins which is stopped before the first step of the last."""
    names = []

    def report(event: Any) -> None:
        if isinstance(event, Beginning):
            names.append(event.name)
        else:
            stop(event)

    stop = stop_when(lambda event: isinstance(event, Started))
    with pytest.raises(KeyboardInterrupt):
        compare(*arguments, report=report, **options)
    return names


def modified(folder: Path) -> dict[Path, int]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != COMPARISON]
    return {path: path.stat().st_mtime_ns for path in found}


@pytest.mark.parametrize("budget", [None, 60.0, 600.0])
@pytest.mark.parametrize("characters", [900, 20_000, 140_000, 1_000_000, 50_000_000])
def test_the_cells_have_the_same_windows_and_batches(characters: int, budget: float | None):
    """Otherwise equal epochs would not be equal steps."""
    size = TextSize(
        vocabulary=60, perplexity=20, characters=characters, train=characters, validation=0
    )
    found = set()
    for cell in DEFAULT_TRIES:
        model, training = settle(
            cell if budget is None else {**cell, "budget": budget},
            size,
            validation=0.0,
            throughput=50_000,
            machine=lambda: Machine(threads=2),
        )
        found.add((model.units, model.window, training.batch_size, training.evaluate_every))
    assert len(found) == 1


def test_each_run_is_a_checkpoint_and_a_failed_one_leaves_the_others_alone(compared: Path):
    folder = compared / "ck"
    document = json.loads((folder / COMPARISON).read_text())
    gru, rnn = document["networks"]
    assert (gru["name"], rnn["name"]) == ("gru", DIVERGED)
    assert set(find_checkpoints(folder)) == {folder / "gru", folder / DIVERGED}
    for network in (gru, rnn):
        (run,) = network["runs"]
        checkpoint = Checkpoint.open(folder / run["checkpoint"])
        assert run["history"] == checkpoint.history()
        assert run["best"] == checkpoint.best()
        assert checkpoint.model.units == SMALL["units"]
        assert checkpoint.training.random_seed == SMALL_RUN["random_seed"]
        assert checkpoint.training.validation == 0.1
        assert checkpoint.training.patience == 0
    assert rnn["runs"][0]["error"].startswith("training diverged: at step ")
    assert rnn["validation_bits"] is None
    (run,) = gru["runs"]
    trained = Checkpoint.open(folder / "gru")
    text = trained.corpus.train_characters * b"a"
    assert run["error"] is None
    assert run["steps"] == 2 * make_windows(list(text), trained.model, trained.training).steps  # type: ignore[arg-type]
    assert gru["validation_bits"] == trained.best()["validation_bits"]  # type: ignore[index]
    assert gru["characters_per_second"] > 0
    assert gru["gradient_norm"] > 0


def test_runs_that_have_ended_are_kept(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    before = modified(folder)
    events: list[Any] = []
    comparison = compare(output=folder, resume=True, report=events.append)
    assert events == []
    assert modified(folder) == before
    assert [each.name for each in comparison.networks] == ["gru", DIVERGED]
    assert comparison.networks[1].runs[0].error is not None
    assert json.loads((folder / COMPARISON).read_text()) == comparison.to_json()


def test_networks_and_random_seeds_can_be_added(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    assert begun(output=folder, resume=True, tries=[{"cell": "gru"}, {"cell": "lstm"}]) == ["lstm"]
    document = json.loads((folder / COMPARISON).read_text())
    assert [len(each["runs"]) for each in document["networks"]] == [1, 1, 0]
    # The one that was interrupted goes on; then come the other random seeds.
    assert begun(output=folder, resume=True, seeds=2) == ["lstm"]
    document = json.loads((folder / COMPARISON).read_text())
    assert document["options"]["seeds"] == 2
    assert [len(each["runs"]) for each in document["networks"]] == [1, 1, 0]


def test_what_has_ended_is_kept_when_a_run_before_it_is_interrupted_again(
    compared: Path, tmp_path: Path
):
    folder = copy_of(compared, tmp_path)
    document = json.loads((folder / COMPARISON).read_text())
    document["tries"].insert(0, {"cell": "lstm"})
    (folder / COMPARISON).write_text(json.dumps(document))
    assert begun(output=folder, resume=True) == ["lstm"]
    document = json.loads((folder / COMPARISON).read_text())
    assert [len(each["runs"]) for each in document["networks"]] == [1, 1, 0]
    assert document["networks"][1]["runs"][0]["error"] is not None


def test_a_run_whose_checkpoint_is_gone_begins_anew(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    shutil.rmtree(folder / "gru")
    assert begun(output=folder, resume=True) == ["gru"]
    assert Checkpoint.open(folder / "gru").history() == []


def test_a_comparison_stays_a_fair_one_when_it_is_resumed(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    before = (folder / COMPARISON).read_bytes()
    for options, message in (
        ({"budget": "1m"}, "budget does not go with resume, as this comparison gives"),
        ({"epochs": 1}, "epochs 1 does not go with resume, as this comparison gives every network"),
        (
            {"units": 9},
            "units 9 does not go with resume, as this comparison was started with units 8",
        ),
        ({"dropout": 0.5}, r"dropout 0\.5 does not go with .* was started without it"),
        ({"random_seed": 0}, "random_seed 0 does not go with resume"),
        ({"validation": 0.2}, r"validation 0\.2 does not .* was started with validation 0\.1"),
    ):
        with pytest.raises(OptionError, match=message):
            compare(output=folder, resume=True, **options)  # type: ignore[arg-type]
    assert (folder / COMPARISON).read_bytes() == before
    # What was given the first time may be given again.
    events: list[Any] = []
    same = SMALL | {"epochs": 2, "validation": 0.1}
    compare(output=folder, resume=True, report=events.append, **same)
    assert events == []
    assert (folder / COMPARISON).read_bytes() == before


def test_all_networks_learn_from_the_same_text(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    before = (folder / COMPARISON).read_bytes()
    text = folder.parent / "text"
    text.write_text(FABLES[100:4100], encoding="utf-8")
    for arguments, options in (
        ([], {"tries": [{"cell": "lstm"}]}),
        ([], {"epochs": 3}),
        ([text], {}),
    ):
        with pytest.raises(
            CorpusError, match=r"the text to learn from is not|this is not the text"
        ):
            compare(*arguments, output=folder, resume=True, **options)  # type: ignore[arg-type]
    assert (folder / COMPARISON).read_bytes() == before


def test_all_networks_are_judged_on_the_same_text(tmp_path: Path):
    text, other = tmp_path / "text", tmp_path / "other"
    text.write_text(FABLES[:4000], encoding="utf-8")
    other.write_text(FABLES[4000:5000], encoding="utf-8")
    begun(text, output=tmp_path / "ck", validation=str(other), **SMALL)
    other.write_text(FABLES[5000:6000], encoding="utf-8")
    with pytest.raises(CorpusError, match="the text to hold out is not the one of"):
        compare(output=tmp_path / "ck", resume=True)


def test_a_validation_text_that_comes_only_once_is_refused(tmp_path: Path):
    text, pipe = tmp_path / "text", tmp_path / "pipe"
    text.write_text(FABLES[:4000], encoding="utf-8")
    os.mkfifo(pipe)
    with pytest.raises(CorpusError, match=f"{pipe} can be read only once"):
        compare(text, output=tmp_path / "ck", validation=str(pipe), **SMALL)


def test_a_folder_that_cannot_be_replaced_is_told_with_the_option_of_comparisons(
    compared: Path, tmp_path: Path
):
    folder = copy_of(compared, tmp_path)
    (folder / "gru" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="was not written by chargen.*another output$"):
        compare(
            folder.parent / "text",
            output=folder,
            force=True,
            tries=[{"cell": "gru"}, {"cell": "lstm"}],
            **SMALL,
        )


def test_more_epochs_make_every_run_go_on(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    shutil.rmtree(folder / DIVERGED)
    document = json.loads((folder / COMPARISON).read_text())
    document["tries"] = [{"cell": "gru"}, {"cell": "gru", "layers": 2}]
    (folder / COMPARISON).write_text(json.dumps(document | {"networks": document["networks"][:1]}))
    assert begun(output=folder, resume=True, epochs=3) == ["gru"]
    assert Checkpoint.open(folder / "gru").training.epochs == 3


def test_a_comparison_that_is_there_is_replaced_only_by_force(compared: Path, tmp_path: Path):
    folder = copy_of(compared, tmp_path)
    text = tmp_path / "copy" / "text"
    before = modified(folder)
    with pytest.raises(CheckpointError, match=r"already holds comparison\.json; give resume to"):
        compare(text, output=folder, **SMALL)
    (folder / COMPARISON).unlink()
    with pytest.raises(CheckpointError, match=r"already holds gru/config\.json; give resume to"):
        compare(text, output=folder, **SMALL)
    assert modified(folder) == before
    (folder / "gru" / "notes").write_text("mine")
    assert begun(text, output=folder, force=True, **SMALL) == ["rnn"]
    assert find_checkpoints(folder) == [folder / DIVERGED, folder / "rnn"]
    assert (folder / "gru" / "notes").read_text() == "mine"


def test_what_is_wrong_with_a_network_is_said_before_the_first_is_trained(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text(FABLES[:4000], encoding="utf-8")
    events: list[Any] = []
    for tries, error, message in (
        ([{}, {"window": 5000}], TrainingError, r"^try 2 \(window 5000\): the text to learn from"),
        ([{}, {"units": 8}], OptionError, r"^try 2 \(units 8\) is the same network as try 1;"),
        ([{}, {"activation": "relu"}], OptionError, r"^try 2 \(activation relu\): activation"),
    ):
        with pytest.raises(error, match=message):
            compare(text, output=tmp_path / "ck", tries=tries, report=events.append, **SMALL)  # type: ignore[arg-type]
    assert events == []
    assert not (tmp_path / "ck").exists()


def test_a_preset_holds_out_what_the_others_do(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text(FABLES[:4000], encoding="utf-8")
    tries: list[Any] = [{"preset": "tutorial"}, {"cell": "gru"}]
    assert begun(text, output=tmp_path / "ck", tries=tries) == ["rnn-tutorial"]
    checkpoint = Checkpoint.open(tmp_path / "ck" / "rnn-tutorial")
    assert checkpoint.training.validation == 0.1
    assert checkpoint.corpus.validation_characters == 400
    # Time alone ends the run, whatever the recipe has.
    assert checkpoint.training.budget == 60
    assert checkpoint.training.epochs == 60 * FASTEST // 3600 + 1


@pytest.mark.slow
def test_networks_get_the_same_time(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text(FABLES[:4000], encoding="utf-8")
    comparison = compare(
        text, output=tmp_path / "ck", tries=[{"cell": "gru"}], seeds=2, budget=10, units=8
    )
    (network,) = comparison.networks
    assert [run.random_seed for run in network.runs] == [0, 1]
    assert [run.checkpoint.path.name for run in network.runs] == ["gru", "gru-seed1"]
    for run in network.runs:
        assert run.checkpoint.training.budget == 10
        assert 0 < run.history[-1]["epoch"] < run.checkpoint.training.epochs
    assert network.all_bits[0] < network.all_bits[1]
