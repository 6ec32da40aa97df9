"""The architecture that is described is that of the models that Keras builds."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import EVERY_MODEL, model_name

from chargen.checkpoint.architecture import describe, parameter_count
from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
from chargen.models.factory import build_model  # noqa: E402


@pytest.mark.parametrize(
    "config",
    [config for config in EVERY_MODEL if config.layers < 3 and config.activation == "tanh"],
    ids=model_name,
)
def test_the_architecture_is_that_of_the_saved_model(config: ModelConfig, tmp_path: Path):
    model = build_model(config)
    layers = describe(config)
    assert [layer.class_name for layer in layers] == [
        type(layer).__name__ for layer in model.layers
    ]
    assert [layer.output_shape for layer in layers] == [
        tuple(layer.output.shape) for layer in model.layers
    ]
    assert [layer.parameters for layer in layers] == [
        sum(int(np.prod(w.shape)) for w in layer.trainable_variables) for layer in model.layers
    ]
    model.save(tmp_path / "model.keras")
    arrays = [array for layer in layers for array in layer.arrays]
    data = zipfile.ZipFile(tmp_path / "model.keras").read("model.weights.h5")
    with h5py.File(io.BytesIO(data)) as file:
        for array, variable in zip(arrays, model.trainable_variables, strict=True):
            np.testing.assert_array_equal(file[array.path][()], np.asarray(variable))
            assert array.shape == tuple(variable.shape)


def test_the_textbook_model_has_the_textbook_parameters(capsys: pytest.CaptureFixture[str]):
    config = ModelConfig(vocabulary_size=1000, embedding=64, units=128, window=64)
    assert [layer.parameters for layer in describe(config)] == [64_000, 98_816, 129_000]
    assert parameter_count(config) == build_model(config).count_params() == 291_816
    build_model(config).summary()
    printed = capsys.readouterr().out
    assert "64,000" in printed
    assert "98,816" in printed
