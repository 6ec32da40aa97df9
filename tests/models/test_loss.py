"""The output layer, the loss and their gradients are those of Keras and TensorFlow."""

from typing import Any

import numpy as np
import pytest

from chargen.training import runtime

runtime.start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.models.loss import cross_entropy  # noqa: E402

pytestmark = pytest.mark.cpu
TOLERANCES = {"float32": 1e-5, "bfloat16": 3e-2}


def arrays(shape: tuple[int, ...], size: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((*shape, 6)).astype(np.float32)
    kernel = rng.standard_normal((6, size)).astype(np.float32)
    bias = rng.standard_normal(size).astype(np.float32)
    return inputs, kernel, bias, rng.integers(0, size, shape).astype(np.int32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(4, 7), (5,), (1, 1)])
@pytest.mark.parametrize("size", [2, 300])
def test_nats_hits_and_gradients_are_those_of_separate_operations(
    precision: Any, shape: tuple[int, ...], size: int
):
    inputs, kernel, bias, targets = arrays(shape, size)
    variables = [tf.Variable(each) for each in (inputs, kernel, bias)]
    with tf.GradientTape(persistent=True) as tape:
        logits = tf.tensordot(variables[0], variables[1], 1) + variables[2]
        expected = tf.reduce_sum(
            keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        )
        nats, hits = cross_entropy(*variables, targets, precision)
        doubled = 2 * nats
    atol = TOLERANCES[precision] * targets.size
    np.testing.assert_allclose(nats, expected, atol=atol)
    if precision == "float32":
        assert float(hits) == np.sum(np.argmax(logits, -1) == targets)
    for factor, value in ((1, nats), (2, doubled)):
        found = tape.gradient(value, variables)
        for one, two in zip(found, tape.gradient(expected, variables), strict=True):
            np.testing.assert_allclose(one, factor * two, atol=factor * atol)


def test_logits_of_any_size_give_finite_nats():
    inputs, kernel, bias, targets = arrays((3, 4), 9)
    nats, _ = cross_entropy(*map(tf.constant, (inputs * 1e4, kernel, bias)), targets, "float32")
    assert np.isfinite(nats)
    nats, hits = cross_entropy(
        *map(tf.constant, (inputs * np.nan, kernel, bias)), targets, "float32"
    )
    assert np.isnan(nats)
    assert hits == 0
