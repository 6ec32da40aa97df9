"""`resume.npz`, as a run leaves it and as someone else may have made it."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.errors import CheckpointError
from chargen.training import runtime
from chargen.training.state import RunState

runtime.start()


@pytest.fixture(scope="module")
def model():
    from chargen.models.factory import build_learner
    from chargen.training.session import compile_model

    config = ModelConfig(vocabulary_size=5, units=4, window=3, dropout=0.5)
    training = make_training(average=0.9, weight_drop=0.5)
    learner = build_learner(config, training)
    compile_model(learner, training)
    return learner


@pytest.fixture
def saved(model, tmp_path: Path) -> Path:
    from chargen.training import state

    state.save(tmp_path, model, RunState(step=3, seconds=1.5, best_nats=2.0))
    return tmp_path / "resume.npz"


def restored(model, path: Path) -> RunState:
    from chargen.training import state

    return state.restore(path.parent, model)[0]


def test_what_was_saved_is_restored(model, saved: Path):
    before = model.get_weights()
    for variable in model.trainable_variables:
        variable.assign(variable * 0 + 7)
    assert restored(model, saved) == RunState(step=3, seconds=1.5, best_nats=2.0)
    for values, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(values, expected)


Arrays = dict[str, bytes]


def rewrite(path: Path, change: Callable[[Arrays], None], compression: int = 0) -> None:
    with zipfile.ZipFile(path) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    change(arrays)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)


def npy(values: object, **options: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(values), **options)
    return stream.getvalue()


def run_json(**values: object) -> bytes:
    return npy(np.frombuffer(json.dumps(values).encode(), np.uint8))


class Harmful:
    def __reduce__(self):
        return Path("pickled-code-ran").touch, ()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("weight0", npy([{}], allow_pickle=True), "weight0 is object"),
        ("weight0", npy([Harmful()], allow_pickle=True), "weight0 is object"),
        ("weight0", npy(np.zeros((5, 16))), "weight0 is float64"),
        ("weight0", npy(np.zeros((4, 16), np.float32)), "weight0 has the shape"),
        ("weight0", npy(np.zeros((5, 16), np.float32))[:-1], "buffer"),
        ("weight0", b"\x93NUMPY\x03\x00" + bytes(100), "another format"),
        ("weight0", b"", "magic"),
        # Found by fuzzing: NumPy takes a broken header apart with `tokenize`.
        ("weight0", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'shape': (5, 16" + b" " * 90, "EOF"),
        ("weight0", npy(np.zeros(5, np.int64)).replace(b"(5,)", b"(5L)"), "Python 2"),
        # Also found by fuzzing: its tokens are of Python, the whole is not.
        ("weight0", npy(np.zeros((5, 16), np.float32)).replace(b"{'descr", b"\x1a'descr"), ""),
        ("weight0", npy(np.zeros((5, 16), np.float32, order="F")), "stored by columns"),
        ("other", npy(0), "other arrays"),
        ("run", run_json(step=-1), "step is -1"),
        ("run", run_json(step=1.5), "step is 1.5"),
        ("run", run_json(step="1"), "step is '1'"),
        ("run", run_json(step=True), "step is True"),
        ("run", run_json(seconds=float("nan")), "seconds is nan"),
        ("run", run_json(seconds=None), "seconds is None"),
        ("run", run_json(surprise=1), "surprise"),
        # Python 3.13 goes deeper, to where the file ends.
        ("run", npy(np.frombuffer(b"[" * 3000, np.uint8)), "(recursion|Expecting value)"),
    ],
)
def test_what_no_run_has_written_is_refused(
    model, saved: Path, monkeypatch, name: str, content: bytes, reason: str
):
    monkeypatch.chdir(saved.parent)
    rewrite(saved, lambda arrays: arrays.update({f"{name}.npy": content}))
    with pytest.raises(CheckpointError, match=f"cannot be gone on with .*{reason}"):
        restored(model, saved)
    assert not Path("pickled-code-ran").exists()


def test_arrays_that_are_missing_compressed_or_too_large_are_refused(model, saved: Path):
    data = saved.read_bytes()
    rewrite(saved, lambda arrays: arrays.pop("weight0.npy"))
    with pytest.raises(CheckpointError, match="other arrays"):
        restored(model, saved)
    saved.write_bytes(data)
    rewrite(saved, lambda arrays: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        restored(model, saved)
    saved.write_bytes(data)
    with saved.open("r+b") as file:
        file.truncate(10**10)  # takes no room on the disk
    with pytest.raises(CheckpointError, match=r"it has 10,000,000,000 bytes, and should have"):
        restored(model, saved)
    saved.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="zip"):
        restored(model, saved)
