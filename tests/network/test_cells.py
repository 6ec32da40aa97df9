"""NumPy predicts what Keras' own layers predict, for every cell, depth and mode."""

import numpy as np
import pytest
from conftest import EVERY_MODEL, model_name, random_weights

from chargen.config import ModelConfig
from chargen.network.network import Network
from chargen.network.reading import make_reading, predictions
from chargen.network.threads import computing
from chargen.training import runtime

runtime.start()
import tensorflow as tf  # noqa: E402

from chargen.models.factory import build_model  # noqa: E402

# An embedding is multiplied once, when its network is made, and then its rows are looked up like
# those of a one-hot kernel. So the tests of other kernels leave it out.
CASES = [
    pytest.param(
        config, id=model_name(config), marks=() if config.embedding else pytest.mark.numeric
    )
    for config in EVERY_MODEL
]


@pytest.mark.cpu  # a GPU multiplies with fewer digits
@pytest.mark.parametrize("config", CASES)
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
