"""A checkpoint's directory is read as it was written, and what is wrong with it is named."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import make_checkpoint, model_archive, random_weights

from chargen.checkpoint.directory import (
    FORMAT,
    HISTORY_FIELDS,
    MOST_BYTES,
    Checkpoint,
    find_checkpoints,
    newest_checkpoint,
)
from chargen.errors import CheckpointError


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path):
    written = make_checkpoint(tmp_path, '\n\t"\\é中🙂\u0301', layers=2, cell="gru")
    read = Checkpoint.open(tmp_path)
    assert read == written
    for array, expected in zip(read.weights(), random_weights(written.model), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_files_are_plain_json(checkpoint: Path):
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["format"] == FORMAT
    assert set(config) == {"format", "model", "training", "corpus", "versions"}
    vocabulary = json.loads((checkpoint / "vocabulary.json").read_text())
    assert vocabulary == {"characters": sorted("\n abcdefghij")}


def test_a_missing_directory_file_or_config_is_named(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nowhere; train one"):
        Checkpoint.open(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is a file; name the checkpoint's directory"):
        Checkpoint.open(folder / "config.json")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"is not a checkpoint: it has no config\.json"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("name", ["vocabulary.json", "model.keras", "history.jsonl"])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"is incomplete: it has no {name}"):
        read_all(folder)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.keras"])
def test_a_truncated_file_is_named(folder: Path, name: str):
    data = (folder / name).read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 3):
        (folder / name).write_bytes(data[:size])
        with pytest.raises(CheckpointError, match=name) as caught:
            read_all(folder)
        assert "\n" not in str(caught.value)


def read_all(folder: Path) -> None:
    opened = Checkpoint.open(folder)
    opened.weights()
    opened.history()


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_a_checkpoint_of_another_format_is_refused(folder: Path, found: Any):
    change(folder / "config.json", format=found)
    with pytest.raises(CheckpointError, match=f"has format {found!r}; this chargen reads format 1"):
        Checkpoint.open(folder)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "values",
    [
        {"model": None},
        {"model": {}},
        {"training": []},
        {"corpus": {"texts": 1}},
        {"corpus": {"texts": []}},
        {"versions": []},
    ],
)
def test_a_configuration_with_other_content_is_damaged(folder: Path, values: dict[str, Any]):
    change(folder / "config.json", **values)
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        Checkpoint.open(folder)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e400"])
@pytest.mark.parametrize("field", ["learning_rate", "budget", "epochs", "precision"])
def test_a_number_that_no_float_holds_is_damage(folder: Path, field: str, number: str):
    config = json.loads((folder / "config.json").read_text())
    config["training"][field] = "NUMBER"
    (folder / "config.json").write_text(json.dumps(config).replace('"NUMBER"', number))
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        Checkpoint.open(folder)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"characters": ["b", "a"]}', '{"characters": ["\\ud800"]}', "[" * 10_000],
)
def test_a_vocabulary_with_other_content_is_damaged(folder: Path, content: str):
    (folder / "vocabulary.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"vocabulary\.json is damaged"):
        Checkpoint.open(folder)


def test_a_vocabulary_of_another_size_is_damaged(folder: Path):
    (folder / "vocabulary.json").write_text('{"characters": ["a", "b"]}')
    with pytest.raises(CheckpointError, match="2 characters; the model was made for 12"):
        Checkpoint.open(folder)


def test_weights_of_another_shape_type_or_value_are_refused(folder: Path):
    opened = Checkpoint.open(folder)
    weights = random_weights(opened.model)
    wrong_shape = [weights[0][:-1], *weights[1:]]
    wrong_type = [weights[0].astype(np.float64), *weights[1:]]
    not_finite = [np.full_like(weights[0], np.nan), *weights[1:]]
    for wrong, message in (
        (wrong_shape, r"should be float32 \(12, 48\); found float32 \(11, 48\)"),
        (wrong_type, r"found float64"),
        (not_finite, "not finite"),
    ):
        (folder / "model.keras").write_bytes(model_archive(opened.model, wrong))
        with pytest.raises(CheckpointError, match=message):
            opened.weights()


def test_an_archive_without_the_arrays_is_damaged(folder: Path):
    hdf5 = io.BytesIO()
    with h5py.File(hdf5, "w") as file:
        file["other"] = 1
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("model.weights.h5", hdf5.getvalue())
    with pytest.raises(CheckpointError, match=r"model\.keras is damaged"):
        Checkpoint.open(folder).weights()


def test_best_is_the_last_line_that_says_so(folder: Path):
    assert Checkpoint.open(folder).best() is None
    line = dict.fromkeys(HISTORY_FIELDS, 1)
    lines = [line | {"step": n, "best": n < 3} for n in (1, 2, 3)]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Checkpoint.open(folder).best() == lines[1]


def test_a_history_may_not_have_been_copied_along(folder: Path):
    (folder / "history.jsonl").unlink()
    assert Checkpoint.open(folder).history_if_any() == []
    line = dict.fromkeys(HISTORY_FIELDS) | {"step": 1, "epoch": 1, "seconds": 1}
    (folder / "history.jsonl").write_text(json.dumps(line) + "\n")
    assert Checkpoint.open(folder).history_if_any() == [line]


def test_a_line_may_hold_a_text(folder: Path):
    line = dict.fromkeys(HISTORY_FIELDS, 1) | {"sample": "the heron\n", "gradient_norm": 0.5}
    (folder / "history.jsonl").write_text(json.dumps(line) + "\n")
    assert Checkpoint.open(folder).history() == [line]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "a line is not an object"),
        ('{"step": 1}', "a line lacks epoch"),
        (json.dumps(dict.fromkeys(HISTORY_FIELDS, "1")), "in a line, step is not a number"),
        (json.dumps(dict.fromkeys(HISTORY_FIELDS, 10**400)), "in a line, step is not finite"),
        *(
            (json.dumps(dict.fromkeys(HISTORY_FIELDS, 1) | {name: None}), f"{name} is not a number")
            for name in ("step", "epoch", "seconds")
        ),
        (
            json.dumps(dict.fromkeys([*HISTORY_FIELDS, "sample"], 1)),
            "in a line, sample is not a text",
        ),
        (json.dumps(dict.fromkeys(HISTORY_FIELDS, 1)).replace("1", "-1e400"), "step is not finite"),
        ('{"step": ' + "[" * 100_000, "recursion"),
    ],
)
def test_a_history_with_other_content_is_damaged(folder: Path, content: str, reason: str):
    (folder / "history.jsonl").write_text(content)
    with pytest.raises(CheckpointError, match=rf"history\.jsonl is damaged \(.*{reason}"):
        Checkpoint.open(folder).history()


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "history.jsonl"])
def test_a_file_larger_than_it_can_be_is_not_read(folder: Path, name: str):
    with (folder / name).open("r+b") as file:
        file.truncate(10**11)  # takes no room on the disk
    with pytest.raises(
        CheckpointError, match=f"{name} is damaged .*more than {MOST_BYTES[name]:,}"
    ):
        read_all(folder)


def test_a_long_value_in_a_damaged_file_is_quoted_in_part(folder: Path):
    change(folder / "config.json", format="x" * 10_000)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(folder)
    assert len(str(caught.value)) < 1000


def test_the_newest_checkpoint_is_the_one_with_the_newest_weights(tmp_path: Path):
    for name, age in (("b", 30), ("a/deep", 10), ("c", 20)):
        make_checkpoint(tmp_path / name)
        os.utime(tmp_path / name / "model.keras", ns=(0, 10**18 - age * 10**9))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    found = [path.relative_to(tmp_path).as_posix() for path in find_checkpoints(tmp_path)]
    assert found == ["b", "c", "a/deep"]
    assert newest_checkpoint(tmp_path) == tmp_path / "a" / "deep"
    with pytest.raises(CheckpointError, match="no checkpoint under"):
        newest_checkpoint(tmp_path / "other")
