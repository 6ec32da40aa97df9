"""`resume.safetensors` is restored as it was saved, and one that somebody made is refused."""

import dataclasses
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_training
from safetensors.numpy import load, save

from chargen.config import ModelConfig
from chargen.errors import CheckpointError
from chargen.training import runtime

runtime.start()
from chargen.models.factory import build_learner  # noqa: E402
from chargen.training import state  # noqa: E402
from chargen.training.state import RunState  # noqa: E402

WHERE = RunState(step=3, seconds=1.5, best_nats=2.0, targets=7, nats=0.1 + 0.2, hits=1.0)


@pytest.fixture(scope="module")
def learner() -> Any:
    config = ModelConfig(vocabulary_size=5, units=4, window=3, dropout=0.5)
    return build_learner(config, make_training(average=0.9, weight_drop=0.5))


@pytest.fixture
def saved(learner: Any, tmp_path: Path) -> Path:
    state.save(tmp_path, learner, WHERE)
    return tmp_path / "resume.safetensors"


def values_of(learner: Any) -> dict[str, np.ndarray]:
    return {name: variable.numpy().copy() for name, variable in learner.variables.items()}


def test_a_state_is_restored_as_it_was_saved(learner: Any, saved: Path):
    before = values_of(learner)
    kinds = {re.sub(r"\d+", "", name) for name in before}
    assert kinds == {"weight", "average", "state", "counter", "optimizer"}
    for variable in learner.variables.values():
        variable.assign(variable * 0 + 7)
    assert state.restore(saved.parent, learner) == WHERE
    for name, values in values_of(learner).items():
        np.testing.assert_array_equal(values, before[name])


def test_any_program_reads_the_file(learner: Any, saved: Path):
    """The format of huggingface.co/docs/safetensors: a length, a JSON header, the values."""
    data = saved.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert json.loads(header.pop("__metadata__")["run"]) == dataclasses.asdict(WHERE)
    weights = header["weight0"]
    begin, end = weights["data_offsets"]
    found = np.frombuffer(data[8 + size :][begin:end], "<f4").reshape(weights["shape"])
    np.testing.assert_array_equal(found, learner.weights_to_keep()[0])


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("weight0", np.zeros((5, 16), np.float64), "weight0 is F64"),
        ("weight0", np.zeros((4, 16), np.float32), r"weight0 is float32 \(4, 16\), not"),
        ("weight0", np.zeros((16, 5), np.float32), r"weight0 is float32 \(16, 5\), not"),
        ("optimizer0", np.zeros((), np.float32), r"optimizer0 is float32 \(\), not int64"),
        ("other", np.zeros(1, np.float32), "other is unknown"),
        ("weight0", None, "weight0 is missing"),
    ],
)
def test_other_tensors_are_refused(
    learner: Any, saved: Path, name: str, array: np.ndarray | None, reason: str
):
    tensors = load(saved.read_bytes())
    if array is None:
        del tensors[name]
    else:
        tensors[name] = array
    saved.write_bytes(save(tensors, {"run": json.dumps(dataclasses.asdict(WHERE))}))
    before = values_of(learner)
    with pytest.raises(CheckpointError, match=f"cannot be resumed from .*{reason}"):
        state.restore(saved.parent, learner)
    for variable, values in values_of(learner).items():
        np.testing.assert_array_equal(values, before[variable])


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (json.dumps({"step": -1}), "step is -1"),
        (json.dumps({"step": 1.5}), "step is 1.5"),
        (json.dumps({"step": "1"}), "step is '1'"),
        (json.dumps({"step": True}), "step is True"),
        (json.dumps({"step": None}), "step is None"),
        (json.dumps({"seconds": float("nan")}), "seconds is nan"),
        (json.dumps({"nats": float("inf")}), "nats is inf"),
        (json.dumps({"seconds": None}), "seconds is None"),
        (json.dumps({"step": 10**400}), "step is 1000"),
        (json.dumps({"nats": 10**400}), "nats is 1000"),
        (json.dumps({"best_nats": "low"}), "best_nats is 'low'"),
        (json.dumps({"surprise": 1}), "surprise"),
        ("[]", "argument after"),
        ("{", "Expecting"),
        # Python 3.13 goes deeper, to where the text ends.
        ("[" * 3000, "(recursion|Expecting value)"),
    ],
)
def test_a_state_with_impossible_values_is_refused(
    learner: Any, saved: Path, run: str, reason: str
):
    saved.write_bytes(save(load(saved.read_bytes()), {"run": run}))
    with pytest.raises(CheckpointError, match=f"cannot be resumed from .*{reason}"):
        state.restore(saved.parent, learner)


def header_of(size: int) -> bytes:
    return struct.pack("<Q", size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"more",
        lambda data: header_of(2**63) + data[8:],
        lambda data: header_of(10**8) + data[8:],
        lambda data: data.replace(b'"__metadata__"', b'"__METADATA__"'),
        lambda data: data.replace(b'"run"', b'"ran"'),
        lambda data: data.replace(b'"F32"', b'"F99"', 1),
        lambda data: data.replace(b'"shape":[5,16]', b'"shape":[5,-1]'),
        lambda data: data.replace(b'"data_offsets":[0,', b'"data_offsets":[8,'),
        lambda data: b"PK\3\4" + data[4:],
        lambda data: header_of(2) + b"[]",
        lambda data: header_of(9000) + b"[" * 9000,
    ],
)
def test_a_damaged_file_is_an_error_of_one_line(
    learner: Any, saved: Path, damage: Callable[[bytes], bytes]
):
    data = saved.read_bytes()
    damaged = damage(data)
    assert damaged != data
    saved.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="cannot be resumed from") as refused:
        state.restore(saved.parent, learner)
    assert "\n" not in str(refused.value)
    assert "--init-from" in refused.value.as_typed


def test_a_file_far_too_large_is_refused_unread(learner: Any, saved: Path):
    with saved.open("r+b") as file:
        file.truncate(10**11)  # takes no room on the disk
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        state.restore(saved.parent, learner)


def test_a_directory_in_the_place_of_the_file_is_refused(learner: Any, saved: Path):
    saved.unlink()
    saved.mkdir()
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        state.restore(saved.parent, learner)
