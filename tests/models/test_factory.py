"""Models are Keras' own, and learners begin with the same weights."""

from typing import Any

import numpy as np
import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
import keras  # noqa: E402

from chargen.models.factory import build_learner, build_model  # noqa: E402


@pytest.mark.cpu
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_learner_carries_state_from_window_to_window(cell: Any):
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
    for ours, saved in zip(learner.weights_to_keep(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, saved)


def test_a_learner_refuses_precision_auto():
    config = ModelConfig(vocabulary_size=5, units=6, window=4)
    with pytest.raises(ValueError, match="precision"):
        build_learner(config, make_training(precision="auto"))


def test_the_same_random_seed_gives_the_same_initial_weights():
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
