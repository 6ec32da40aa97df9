"""A comparison's question and its answer, on histories that are made up."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_checkpoint, make_training

from chargen.checkpoint.directory import HISTORY_FIELDS
from chargen.config import MAX_SEED, TrainOptions
from chargen.errors import CheckpointError, OptionError
from chargen.training.comparison import (
    COMPARISON,
    FASTEST,
    Comparison,
    Contender,
    Question,
    Run,
    read,
)


def question(*tries: TrainOptions, **options: Any) -> Question:
    return Question(texts=("text",), tries=tries, options=options).checked()  # type: ignore[arg-type]


def line(step: int, bits: float | None, **fields: Any) -> dict[str, Any]:
    """A line of a history, with ten characters a step and a step a second after a start of five."""
    record = dict.fromkeys(HISTORY_FIELDS) | {
        "step": step,
        "seconds": 5.0 + step,
        "characters": 10 * step,
        "train_nats": math.log(2) * 9,
        "train_accuracy": 0.9,
        "validation_bits": bits,
        "validation_accuracy": None if bits is None else 1 / bits,
        "best": True,
    }
    return record | fields


def run(folder: Path, history: Sequence[dict[str, Any]], seed: int = 0, **model: Any) -> Run:
    checkpoint = replace(make_checkpoint(folder, **model), training=make_training(random_seed=seed))
    return Run(checkpoint, history)


def test_a_network_is_named_after_its_cell_and_what_it_chooses():
    tries: list[TrainOptions] = [
        {},
        {"cell": "gru"},
        {"cell": "gru", "units": 128},
        {"units": 64, "layers": 2, "dropout": 0.25, "clip_norm": 0.0},
        {"predict": "last", "bidirectional": True},
        {"predict": "last", "bidirectional": False},
        {"preset": "tutorial"},
        {"cell": "rnn", "activation": "relu", "learning_rate": 1e-5},
    ]
    asked = question(*tries)
    assert asked.names == [
        "lstm",
        "gru",
        "gru-128",
        "lstm-64-layers-2-dropout-0.25-clip-norm-0",
        "lstm-last-bidirectional",
        "lstm-last",
        "rnn-tutorial",
        "rnn-relu-learning-rate-1e-05",
    ]
    assert question({}, {"units": 9}, cell="gru").names == ["gru", "gru-9"]
    assert question({}, {"calibrate": False}, cell="gru").names == ["gru", "gru-no-calibrate"]
    assert question().names == ["rnn", "gru", "lstm"]


def test_runs_keep_their_names_when_random_seeds_are_added():
    few, many = question(random_seed=5), question(random_seed=5, seeds=3)
    assert [few.run_name(1, seed) for seed in few.random_seeds] == ["gru"]
    names = [many.run_name(1, seed) for seed in many.random_seeds]
    assert names == ["gru", "gru-seed6", "gru-seed7"]


def test_runs_have_equal_time_or_equal_passes_and_never_end_for_lack_of_patience():
    common = {"random_seed": 7, "patience": 0}
    timed = question({"units": 9}, {}, units=8, precision="float32")
    assert timed.run_options(0, 7) == common | {"units": 9, "precision": "float32", "budget": 60.0}
    limited = timed.run_options(1, 7, train_characters=1_000)
    assert limited == common | {
        "units": 8,
        "precision": "float32",
        "budget": 60.0,
        "epochs": 60 * FASTEST // 1_000,
    }
    counted = question(epochs=3)
    assert counted.budget is None
    assert counted.run_options(2, 7, train_characters=1_000) == common | {
        "cell": "lstm",
        "epochs": 3,
    }


@pytest.mark.parametrize(
    ("tries", "options", "message"),
    [
        ([{"units": 9}], {}, "one network with one random seed leaves nothing to compare"),
        ([], {"cell": "gru"}, "cell gru leaves nothing to compare"),
        ([], {"budget": 60, "epochs": 3}, "budget gives every network the same time"),
        ([], {"budget": "5s"}, "budget must be 10 seconds or more"),
        ([], {"seeds": 0}, "seeds must be"),
        ([], {"random_seed": MAX_SEED, "seeds": 2}, "is too large for seeds 2"),
        ([{}, {"cell": "lstm"}], {}, r"try 2 \(cell lstm\) is the same network as try 1;"),
        ([{}, {"units": 0}], {}, r"^try 2 \(units 0\): units must be"),
        ([{}, {"epochs": 1}], {}, r"^try 2 \(epochs 1\): epochs does not belong in a try"),
    ],
)
def test_nothing_to_compare_and_wrong_options_are_refused(
    tries: list[Any], options: dict[str, Any], message: str
):
    with pytest.raises(OptionError, match=message):
        question(*tries, **options)
    with pytest.raises(TypeError, match="unknown options: patience"):
        question(patience=3)


def test_one_network_with_several_random_seeds_is_a_comparison():
    assert question({"units": 9}, seeds=2).names == ["lstm-9"]
    assert list(question(random_seed=MAX_SEED - 1, seeds=2).random_seeds)[-1] == MAX_SEED


def test_the_throughput_leaves_out_the_start_and_what_was_lost(tmp_path: Path):
    history = [line(step, 3.0) for step in (1, 2, 4)]
    assert run(tmp_path, history).characters_per_second == pytest.approx(10)
    history.append(line(2, None, seconds=12.0, diverged=True, best=False))  # it went back
    history.append(line(4, 2.9, seconds=14.0))
    history.append(line(9, 2.8, seconds=999.0))  # it was interrupted, and resumed later
    found = run(tmp_path, history)
    assert found.characters_per_second == pytest.approx(10)
    assert found.recoveries == 1
    assert run(tmp_path, history[:1]).characters_per_second is None
    assert run(tmp_path, []).characters_per_second is None


def test_a_run_is_judged_by_its_best_weights(tmp_path: Path):
    history = [line(1, 3.0), line(2, 2.0), line(3, 2.5, best=False)]
    found = run(tmp_path, history)
    assert (found.bits, found.accuracy, found.steps, found.seconds) == (2.0, 0.5, 3, 8.0)
    failed = replace(found, error="training diverged")
    assert (failed.bits, failed.accuracy) == (None, None)
    assert failed.best == history[1]
    nothing = run(tmp_path, [])
    assert (nothing.bits, nothing.accuracy, nothing.steps, nothing.seconds) == (None, None, 0, 0.0)


def test_where_nothing_is_held_out_bits_are_those_of_the_text_learned_from(tmp_path: Path):
    found = run(tmp_path, [line(1, None)])
    assert found.bits == pytest.approx(9)
    assert found.accuracy == 0.9
    document = Contender("lstm", {}, (found,)).to_json(tmp_path)
    assert document["validation_bits"] is None
    assert document["train_bits"] == pytest.approx(9)


def test_a_network_has_the_mean_of_its_runs_and_their_range(tmp_path: Path):
    bits = (2.0, 2.3, 2.1)
    norms = ([0.1, None], [0.3, 0.2], [None, 9.0])
    runs = [
        run(
            tmp_path / str(seed),
            [line(1, 4.0, gradient_norm=norm[0]), line(9, each, gradient_norm=norm[1])],
            seed,
        )
        for seed, (each, norm) in enumerate(zip(bits, norms, strict=True))
    ]
    failed = replace(
        run(tmp_path / "failed", [line(1, 9.0, gradient_norm=99.0)], 3), error="it diverged"
    )
    network = Contender("lstm", {}, (*runs, failed))
    assert network.bits == pytest.approx(sum(bits) / 3)
    assert network.all_bits == sorted(bits)
    assert network.accuracy == pytest.approx(sum(1 / each for each in bits) / 3)
    assert network.steps == 9
    assert network.gradient_norm == pytest.approx(0.25)  # of 0.1, 0.2, 0.3 and 9
    older = Contender("lstm", {}, (run(tmp_path / "older", [line(1, 2.0)]),))
    assert older.gradient_norm is None  # its lines lack it
    all_failed = Contender("lstm", {}, (failed,))
    assert (all_failed.bits, all_failed.accuracy, all_failed.steps) == (None, None, 1)
    assert all_failed.gradient_norm == 99
    none = Contender("lstm", {}, ())
    assert (none.bits, none.steps, none.parameters, none.gradient_norm) == (None,) * 4


def made(folder: Path) -> Comparison:
    """The RNN has failed, the LSTM has not been trained yet."""
    (folder.parent / "text").write_text("abc")
    asked = Question(
        texts=(str(folder.parent / "text"),),
        options={"epochs": 2, "validation": str(folder.parent / "text")},
    ).checked()
    runs = {
        (0, 0): replace(run(folder / "rnn", [line(1, 3.0)], cell="rnn"), error="it diverged"),
        (1, 0): run(folder / "gru", [line(1, 3.0), line(2, 2.0)], cell="gru"),
    }
    return Comparison(folder, asked, runs)


def test_the_networks_are_in_order_of_their_bits(tmp_path: Path):
    comparison = made(tmp_path / "ck")
    assert [each.name for each in comparison.networks] == ["gru", "rnn", "lstm"]
    assert [len(each.runs) for each in comparison.networks] == [1, 1, 0]


def test_a_comparison_is_written_and_can_be_read_again(tmp_path: Path):
    comparison = made(tmp_path / "ck")
    comparison.write()
    document = json.loads((tmp_path / "ck" / COMPARISON).read_text())
    assert document == comparison.to_json()
    assert document["texts"] == ["../text"]
    (gru, *_) = document["networks"]
    assert gru["parameters"] > 0
    assert gru["validation_bits"] == 2.0
    (of_gru,) = gru["runs"]
    assert of_gru["checkpoint"] == "gru"
    assert [each["step"] for each in of_gru["history"]] == [1, 2]
    asked, ended = read(tmp_path / "ck")
    assert asked == comparison.question
    assert ended == {tmp_path / "ck" / "rnn": "it diverged", tmp_path / "ck" / "gru": None}


def test_a_comparison_that_was_moved_with_its_text_is_read(tmp_path: Path):
    (tmp_path / "old").mkdir()
    made(tmp_path / "old" / "ck").write()
    moved = (tmp_path / "old").rename(tmp_path / "new")
    asked, ended = read(moved / "ck")
    assert asked.texts == (str(moved / "text"),)
    assert asked.options["validation"] == str(moved / "text")
    assert set(ended) == {moved / "ck" / "rnn", moved / "ck" / "gru"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "[", "is damaged"),
        ('"tries"', '"trials"', r"is damaged \('tries'\)"),
        ('"epochs": 2', '"epochs": 0', r"is damaged \(epochs must be 1 or more"),
        ('"epochs": 2', '"colour": 2', r"is damaged \(compare\(\) got unknown options: colour"),
        ('"error": null', '"error": 3', "is damaged"),
    ],
)
def test_a_damaged_comparison_is_refused(tmp_path: Path, old: str, new: str, message: str):
    made(tmp_path / "ck").write()
    path = tmp_path / "ck" / COMPARISON
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "ck")


def test_a_comparison_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no comparison in .* it has no comparison\.json"):
        read(tmp_path)
