"""A saved model is the same bytes each time, and others can read it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import HANG, make_checkpoint

from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
import keras  # noqa: E402

from chargen.models.factory import build_model  # noqa: E402
from chargen.models.saving import save_model  # noqa: E402


@pytest.mark.parametrize("options", [{}, {"layers": 2, "predict": "last", "bidirectional": True}])
def test_the_same_model_is_saved_as_the_same_bytes(tmp_path: Path, options: dict[str, Any]):
    config = ModelConfig(vocabulary_size=5, units=4, window=3, dropout=0.1, **options)
    saved = []
    for number in range(2):
        path = tmp_path / f"{number}.keras"
        save_model(build_model(config, random_seed=7), path)
        saved.append(path.read_bytes())
    assert saved[0] == saved[1]
    ids = np.array([[1, 2, 3]], np.int32)
    opened = keras.models.load_model(tmp_path / "0.keras")
    expected = build_model(config, random_seed=7)(ids)
    np.testing.assert_array_equal(opened(ids), expected)


def test_a_saved_model_loads_where_chargen_cannot_be_imported(tmp_path: Path):
    config = ModelConfig(vocabulary_size=5, units=6, window=4, bidirectional=True, predict="last")
    model = build_model(config)
    model.save(tmp_path / "model.keras")
    ids = np.array([[1, 2, 3, 4]], np.int32)
    np.save(tmp_path / "expected.npy", np.asarray(model(ids)))
    script = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "chargen":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import keras, numpy
model = keras.saving.load_model("model.keras")
logits = numpy.asarray(model(numpy.array([[1, 2, 3, 4]], "int32")))
numpy.testing.assert_allclose(logits, numpy.load("expected.npy"), atol=1e-6)
assert "chargen" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=HANG)


def test_a_model_saved_by_keras_is_read_without_it(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, cell="gru", layers=2)
    model = build_model(checkpoint.model, random_seed=7)
    model.save(tmp_path / "model.keras")
    read = Checkpoint.open(tmp_path).weights()
    for array, variable in zip(read, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(array, np.asarray(variable))
