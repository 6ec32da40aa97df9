"""The factory's models are those that `checkpoint/architecture.py` describes, and NumPy agrees."""

import io
import itertools
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import HANG, make_checkpoint, make_training, random_weights

from chargen.checkpoint.architecture import describe, parameter_count, title
from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.network.network import Network
from chargen.network.reading import make_reading, predictions
from chargen.network.threads import computing
from chargen.training import runtime

runtime.start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.models.factory import build_learner, build_model  # noqa: E402
from chargen.models.saving import save_model  # noqa: E402

CELLS = [
    ("lstm", "tanh"),
    ("gru", "tanh"),
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("rnn", "sigmoid"),
    ("rnn", "leaky_relu"),
]
READINGS = [("all", False), ("last", False), ("last", True)]
CONFIGS = [
    ModelConfig(
        vocabulary_size=11,
        units=16,
        window=9,
        cell=cell,  # type: ignore[arg-type]
        activation=activation,  # type: ignore[arg-type]
        layers=layers,
        embedding=embedding,
        predict=predict,  # type: ignore[arg-type]
        bidirectional=bidirectional,
        dropout=dropout,
    )
    for (cell, activation), layers, embedding, (predict, bidirectional), dropout in (
        itertools.product(CELLS, (1, 2), (0, 8), READINGS, (0.0,))
    )
] + [
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=2, dropout=0.3),
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=3, cell="gru"),
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=4, predict="last"),
    ModelConfig(
        vocabulary_size=11, units=8, window=9, layers=3, predict="last", bidirectional=True
    ),
    ModelConfig(vocabulary_size=2, units=1, window=1, predict="last"),
]


def name(config: ModelConfig) -> str:
    return title(config).replace(", ", "-").replace(" ", "-") + f"-{config.predict}"


@pytest.mark.numeric
@pytest.mark.cpu  # a GPU multiplies with fewer digits
@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_numpy_predicts_what_keras_predicts_over_200_steps(config: ModelConfig):
    model = build_model(config)
    weights = [w * 0.6 for w in random_weights(config)]
    for variable, values in zip(model.trainable_variables, weights, strict=True):
        variable.assign(values)
    # Traced once, Keras' layers take a third of the time that they take step by step.
    predict = tf.function(model, input_signature=[tf.TensorSpec((None, None), tf.int64)])
    ids = np.random.default_rng(1).integers(0, config.vocabulary_size, 200)
    if config.predict == "all":
        expected = np.asarray(predict(ids[None]))[0]
    else:
        window = config.window
        shorter = [np.asarray(predict(ids[None, :end])) for end in range(1, window)]
        whole = np.lib.stride_tricks.sliding_window_view(ids, window)
        expected = np.concatenate([*shorter, np.asarray(predict(whole))])
    network = Network(config, weights)
    logits = predictions(network, ids)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    reading, one_by_one = make_reading(network, 1), []
    with computing():
        for index in ids.tolist():
            reading.step((index,))
            one_by_one.append(reading.logits()[0].copy())
    np.testing.assert_allclose(one_by_one, expected, atol=1e-4)


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


@pytest.mark.parametrize(
    "config",
    [config for config in CONFIGS if config.layers < 3 and config.activation == "tanh"],
    ids=name,
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


@pytest.mark.cpu
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_training_model_carries_state_from_window_to_window(cell: Any):
    config = ModelConfig(vocabulary_size=5, units=6, window=4, cell=cell, layers=2)
    training = make_training(batch_size=3, random_seed=1)
    stateful = build_learner(config, training)
    whole = build_model(config, random_seed=1)
    ids = np.random.default_rng(0).integers(0, 5, (3, 8)).astype(np.int32)
    first, second = np.asarray(stateful.model(ids[:, :4])), np.asarray(stateful.model(ids[:, 4:]))
    np.testing.assert_allclose(
        np.concatenate([first, second], axis=1), np.asarray(whole(ids)), atol=1e-5
    )


@pytest.mark.parametrize("predict", ["all", "last"])
def test_a_model_is_an_ordinary_one_that_learns_under_compile_and_fit(predict: Any):
    config = ModelConfig(vocabulary_size=5, units=8, window=6, predict=predict, cell="gru")
    model = build_model(config)
    assert type(model) is keras.Sequential
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    ids = np.tile(np.arange(7) % 5, (8, 1)).astype(np.int32)
    targets = ids[:, 1:] if predict == "all" else ids[:, -1]
    history = model.fit(ids[:, :-1], targets, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert history["accuracy"][-1] > 0.7


def test_a_learner_begins_with_the_weights_of_the_model_that_is_saved():
    config = ModelConfig(vocabulary_size=5, units=6, window=4, embedding=3, layers=2, dropout=0.1)
    learner = build_learner(config, make_training(batch_size=4, random_seed=3))
    model = build_model(config, random_seed=3)
    for ours, saved in zip(learner.learned(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, saved)


def test_a_learner_wants_its_precision_settled():
    config = ModelConfig(vocabulary_size=5, units=6, window=4)
    with pytest.raises(ValueError, match="precision"):
        build_learner(config, make_training(precision="auto"))


def test_the_random_seed_settles_the_initial_weights():
    config = ModelConfig(vocabulary_size=5, units=6, window=4, embedding=3)
    one, again, other = (build_model(config, random_seed=seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_dropout_is_active_in_training_only():
    config = ModelConfig(vocabulary_size=5, units=64, window=4, dropout=0.5)
    model = build_model(config)
    ids = np.zeros((1, 4), np.int32)
    calm = np.asarray(model(ids, training=False))
    assert (calm == np.asarray(model(ids, training=False))).all()
    assert not np.allclose(calm, np.asarray(model(ids, training=True)))


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
