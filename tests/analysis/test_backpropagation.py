"""Derivatives are those of the loss: by finite differences for every model, and Keras' own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from conftest import EVERY_MODEL, model_name, random_weights

from chargen.analysis.backpropagation import LSTM, ForwardPass, cross_entropy
from chargen.config import ModelConfig
from chargen.network.network import Network
from chargen.network.reading import predictions

pytestmark = pytest.mark.numeric

STEPS, TEXTS = 5, 2
NUDGE = 1e-6
"""How far a finite difference goes. Its error is the square of that, and that of rounding in
float64 is 1e-16 / 1e-6."""
CLOSE = {"rtol": 1e-5, "atol": 1e-8}

Nudges = Mapping[tuple[int, int, int, str], np.ndarray]
"""What is added to a state (B, U), by layer, direction, step in the direction's order, and name."""

each_model = pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.maximum(z, 0.2 * z),
}


def step(
    config: ModelConfig, arrays: Sequence[np.ndarray], x: np.ndarray, state: dict[str, np.ndarray]
) -> None:
    """One step of a cell, as its formula is printed."""
    kernel, recurrent_kernel, bias = arrays
    h = state["h"]
    if config.cell == "rnn":
        state["h"] = ACTIVATIONS[config.activation](x @ kernel + h @ recurrent_kernel + bias)
    elif config.cell == "lstm":
        i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        state["c"] = sigmoid(f) * state["c"] + sigmoid(i) * np.tanh(g)
        state["h"] = sigmoid(o) * np.tanh(state["c"])
    else:
        x_z, x_r, x_g = np.split(x @ kernel + bias[0], 3, axis=1)
        h_z, h_r, h_g = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        state["h"] = z * h + (1 - z) * np.tanh(x_g + r * h_g)


def loss_of(
    config: ModelConfig,
    weights: Sequence[np.ndarray],
    ids: np.ndarray,
    targets: np.ndarray,
    nudges: Nudges | None = None,
) -> float:
    """The sum of the targets' nats, written without a thought of speed."""
    nudges = nudges or {}
    remaining = iter(weights)
    table = next(remaining) if config.embedding else np.eye(config.vocabulary_size)
    inputs = list(table[ids])  # (B, I) at each step
    for index in range(config.layers):
        outputs, ends = [], []
        for direction in range(2 if config.bidirectional else 1):
            arrays = [next(remaining) for _ in range(3)]
            state = {name: np.zeros((TEXTS, config.units)) for name in ("h", "c")}
            read = []
            for t, x in enumerate(inputs[::-1] if direction else inputs):
                step(config, arrays, x, state)
                for name, values in state.items():
                    moved = values + nudges.get((index, direction, t, name), 0)
                    if name == "c" and (index, direction, t, name) in nudges:
                        # h follows from c at the same step, by what the output gate lets through.
                        state["h"] = state["h"] * np.tanh(moved) / np.tanh(values)
                    state[name] = moved
                read.append(state["h"])
            ends.append(read[-1])
            outputs.append(read[::-1] if direction else read)
        inputs = [np.concatenate(each, axis=1) for each in zip(*outputs, strict=True)]
    kernel, bias = remaining
    places = [np.concatenate(ends, axis=1)] if config.predict == "last" else inputs
    nats = 0.0
    for h, wanted in zip(places, targets.reshape(-1, TEXTS), strict=True):
        logits = h @ kernel + bias
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        nats -= float(np.log(probabilities[range(TEXTS), wanted]).sum())
    return nats


def example(config: ModelConfig) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Weights of float64, ids and targets."""
    weights = [w.astype(np.float64) for w in random_weights(config)]
    rng = np.random.default_rng(1)
    ids = rng.integers(0, config.vocabulary_size, (STEPS, TEXTS))
    shape = (STEPS, TEXTS) if config.predict == "all" else (TEXTS,)
    return weights, ids, rng.integers(0, config.vocabulary_size, shape)


def read_back(
    config: ModelConfig, weights: Sequence[np.ndarray], ids: np.ndarray, targets: np.ndarray
) -> tuple[float, ForwardPass]:
    read = ForwardPass(config, weights, ids)
    nats, d_logits = cross_entropy(read.logits, targets)
    read.backward(d_logits)
    return nats, read


@each_model
def test_the_derivatives_by_all_states_are_the_finite_differences(config: ModelConfig):
    weights, ids, targets = example(config)
    nats, read = read_back(config, weights, ids, targets)
    assert nats == pytest.approx(loss_of(config, weights, ids, targets), rel=1e-12)
    rng = np.random.default_rng(2)
    for index, directions in enumerate(read.layers):
        for direction, layer in enumerate(directions):
            states = {"h": layer.d_h} | ({"c": layer.d_c} if isinstance(layer, LSTM) else {})
            for name, derivatives in states.items():
                for t in range(STEPS):
                    way = rng.normal(size=(TEXTS, config.units))
                    up, down = (
                        loss_of(
                            config,
                            weights,
                            ids,
                            targets,
                            {(index, direction, t, name): sign * NUDGE * way},
                        )
                        for sign in (1, -1)
                    )
                    expected = (up - down) / (2 * NUDGE)
                    np.testing.assert_allclose((derivatives[t] * way).sum(), expected, **CLOSE)


@each_model
def test_the_derivatives_by_all_weights_are_the_finite_differences(config: ModelConfig):
    weights, ids, targets = example(config)
    _, read = read_back(config, weights, ids, targets)
    gradients = read.weight_gradients()
    assert [each.shape for each in gradients] == [each.shape for each in weights]
    rng = np.random.default_rng(2)
    for place, gradient in enumerate(gradients):
        way = rng.normal(size=gradient.shape)
        moved = [
            [w + sign * NUDGE * way if k == place else w for k, w in enumerate(weights)]
            for sign in (1, -1)
        ]
        up, down = (loss_of(config, each, ids, targets) for each in moved)
        np.testing.assert_allclose((gradient * way).sum(), (up - down) / (2 * NUDGE), **CLOSE)


@each_model
def test_it_predicts_what_the_network_does_in_the_type_of_its_weights(config: ModelConfig):
    weights = [w * np.float32(0.6) for w in random_weights(config)]  # so that rounding stays small
    ids = np.random.default_rng(0).integers(0, config.vocabulary_size, (config.window, TEXTS))
    logits = ForwardPass(config, weights, ids).logits
    assert logits.dtype == np.float32
    network = Network(config, weights)
    for b in range(TEXTS):
        expected = predictions(network, ids[:, b])
        found = logits[:, b] if config.predict == "all" else logits[b]
        wanted = expected if config.predict == "all" else expected[-1]
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    read_back(config, weights, ids, ids if config.predict == "all" else ids[0])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_pass_continues_another_and_no_derivative_crosses_over(cell: Any):
    config = ModelConfig(vocabulary_size=11, units=6, window=9, cell=cell, layers=2)
    weights, ids, targets = example(config)
    whole = ForwardPass(config, weights, ids)
    first = ForwardPass(config, weights, ids[:2])
    second = ForwardPass(config, weights, ids[2:], before=first)
    np.testing.assert_allclose(second.logits, whole.logits[2:], rtol=1e-12)
    # The loss of the last step alone reaches the same states.
    only = ForwardPass(config, weights, ids[2:], before=first, last=True)
    np.testing.assert_allclose(only.logits, whole.logits[-1], rtol=1e-12)
    only.backward(cross_entropy(only.logits, targets[-1])[1])
    d_logits = np.zeros_like(whole.logits)
    d_logits[-1] = cross_entropy(whole.logits[-1], targets[-1])[1]
    whole.backward(d_logits)
    for (cut,), (uncut,) in zip(only.layers, whole.layers, strict=True):
        np.testing.assert_allclose(cut.d_h, uncut.d_h[2:], rtol=1e-10)


@pytest.mark.cpu  # a GPU multiplies with fewer digits
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "layers": 2, "embedding": 4},
        {"cell": "gru", "layers": 2},
        {"cell": "rnn", "activation": "relu"},
        {"cell": "gru", "predict": "last", "bidirectional": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_the_derivatives_by_all_weights_are_those_of_keras(options: dict[str, Any]):
    from chargen.training import runtime

    runtime.start()
    import keras
    import tensorflow as tf

    from chargen.models.factory import build_model

    config = ModelConfig(vocabulary_size=11, units=8, window=9, **options)
    model = build_model(config)
    weights = [w * np.float32(0.6) for w in random_weights(config)]
    for variable, values in zip(model.trainable_variables, weights, strict=True):
        variable.assign(values)
    _, ids, targets = example(config)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    with tf.GradientTape() as tape:
        nats = loss(targets.T, model(ids.T))
    expected = tape.gradient(nats, model.trainable_variables)
    found_nats, read = read_back(config, weights, ids, targets)
    assert found_nats == pytest.approx(float(nats), rel=1e-5)
    for gradient, of_keras in zip(read.weight_gradients(), expected, strict=True):
        # Keras gives the rows of an embedding that were looked up, and which they are.
        np.testing.assert_allclose(gradient, tf.convert_to_tensor(of_keras), rtol=1e-3, atol=1e-5)


def test_the_nats_of_large_logits_do_not_overflow():
    logits = np.array([[2000.0, 0.0, -2000.0]])
    nats, d_logits = cross_entropy(logits, np.array([1]))
    assert nats == 2000
    assert d_logits.tolist() == [[1, -1, 0]]
