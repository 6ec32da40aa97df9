"""The fused layers have the outputs, the states and the gradients of Keras' own."""

from typing import Any

import numpy as np
import pytest

from chargen.training import runtime

runtime.start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.models.recurrent import FusedGRU, FusedLSTM, FusedSimpleRNN  # noqa: E402

pytestmark = pytest.mark.cpu
PAIRS = [
    pytest.param(keras.layers.LSTM, FusedLSTM, {}, id="lstm"),
    pytest.param(keras.layers.GRU, FusedGRU, {}, id="gru"),
    *(
        pytest.param(keras.layers.SimpleRNN, FusedSimpleRNN, {"activation": name}, id=f"rnn-{name}")
        for name in ("tanh", "relu", "sigmoid", "leaky_relu")
    ),
]
ROWS, STEPS, WIDTH, UNITS = 5, 17, 7, 24


def pair(stock: Any, fused: Any, options: dict[str, Any], **more: Any) -> tuple[Any, Any]:
    """Both layers with the same weights, biases included."""
    shape = (ROWS, STEPS, WIDTH)
    layers = [kind(UNITS, **options, bias_initializer="normal", **more) for kind in (stock, fused)]
    for layer in layers:
        layer.build(shape)
    layers[1].set_weights(layers[0].get_weights())
    return layers[0], layers[1]


def inputs(steps: int = STEPS, seed: int = 0) -> tf.Tensor:
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(ROWS, steps, WIDTH)).astype(np.float32))


def results(layer: Any, x: tf.Tensor) -> list[np.ndarray]:
    """Outputs, last states, and the gradients of x, of first states and of weights."""
    rng = np.random.default_rng(1)
    states = [
        tf.constant(rng.normal(size=(ROWS, UNITS)).astype(np.float32)) for _ in layer.state_size
    ]
    with tf.GradientTape() as tape:
        tape.watch([x, *states])
        outputs = layer(x, initial_state=states)
        loss = sum(tf.reduce_sum(tf.sin(y * (i + 1))) for i, y in enumerate(outputs))
    gradients = tape.gradient(loss, [x, *states, *layer.trainable_variables])
    return [np.asarray(value) for value in (*outputs, *gradients)]


@pytest.mark.parametrize("backwards", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize(("stock", "fused", "options"), PAIRS)
def test_outputs_states_and_gradients_are_those_of_keras(
    stock: Any, fused: Any, options: dict[str, Any], sequences: bool, backwards: bool
):
    theirs, ours = pair(
        stock,
        fused,
        options,
        return_sequences=sequences,
        return_state=True,
        go_backwards=backwards,
    )
    expected, found = results(theirs, inputs()), results(ours, inputs())
    assert len(expected) == len(found) > 6
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("stock", "fused", "options"), PAIRS[:3])
def test_one_hot_inputs_are_looked_up_instead_of_multiplied(
    stock: Any, fused: Any, options: dict[str, Any], backwards: bool
):
    more = {"return_sequences": True, "return_state": True, "go_backwards": backwards}
    theirs, ours = pair(stock, fused, options, **more)
    ours.one_hot = True
    x = tf.one_hot(np.random.default_rng(0).integers(0, WIDTH, (ROWS, STEPS)), WIDTH)
    expected, found = results(theirs, x), results(ours, x)
    outputs = 1 + len(theirs.state_size)
    del expected[outputs], found[outputs]  # the gradient of x, which nothing asks for
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize(("stock", "fused", "options"), PAIRS[:2])
def test_products_of_a_large_inner_size_are_sums_of_pieces(
    stock: Any, fused: Any, options: dict[str, Any]
):
    units = 360  # of 3 or 4 gates: more than 1,024, and no multiple of a piece
    layers = [kind(units, return_sequences=True) for kind in (stock, fused)]
    x = inputs(3)
    gradients = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights(layers[0].get_weights())
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(layer(x)))
        gradients.append(tape.gradient(loss, layer.trainable_variables))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize(("stock", "fused", "options"), PAIRS[:3])
def test_windows_may_change_their_length_and_states_are_carried(
    stock: Any, fused: Any, options: dict[str, Any]
):
    theirs, ours = pair(stock, fused, options, return_sequences=True, stateful=True)
    for steps, seed in ((9, 1), (3, 2), (1, 3), (9, 4)):
        x = inputs(steps, seed)
        np.testing.assert_allclose(np.asarray(theirs(x)), np.asarray(ours(x)), atol=1e-5)
    ours.reset_state()
    fresh = np.asarray(ours(inputs(9, 1)))
    assert not np.allclose(fresh, np.asarray(ours(inputs(9, 1))))


@pytest.mark.parametrize(("stock", "fused", "options"), PAIRS[:3])
def test_bfloat16_rounds_operands_and_nothing_else(stock: Any, fused: Any, options: dict[str, Any]):
    more = {"return_sequences": True, "return_state": True}
    theirs, ours = pair(stock, fused, options, **more)
    ours.precision = "bfloat16"
    expected, found = results(theirs, inputs()), results(ours, inputs())
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == np.float32
        error = np.abs(one - other).max() / np.abs(one).max()
        assert error < 0.05  # a few roundings to 8 bits
    assert np.abs(expected[0] - found[0]).max() > 1e-5  # and it did round


def test_masks_and_other_activations_are_left_to_keras():
    x = inputs()
    mask = tf.sequence_mask([17, 3, 5, 1, 9], STEPS)
    theirs, ours = pair(keras.layers.LSTM, FusedLSTM, {})
    np.testing.assert_allclose(np.asarray(theirs(x, mask=mask)), np.asarray(ours(x, mask=mask)))
    theirs, ours = pair(keras.layers.GRU, FusedGRU, {"activation": "relu"})
    np.testing.assert_allclose(np.asarray(theirs(x)), np.asarray(ours(x)))
    theirs, ours = pair(keras.layers.GRU, FusedGRU, {"reset_after": False})
    np.testing.assert_allclose(np.asarray(theirs(x)), np.asarray(ours(x)))


@pytest.mark.parametrize("masked", [False, True], ids=["fused", "by-keras"])
def test_weight_drop_drops_recurrent_weights_while_training(masked: bool):
    x = inputs()
    mask = tf.ones((ROWS, STEPS), bool) if masked else None
    _, layer = pair(keras.layers.LSTM, FusedLSTM, {}, seed=3)
    dropping = FusedLSTM(UNITS, weight_drop=0.5, seed=3)
    dropping.build(x.shape)
    dropping.set_weights(layer.get_weights())
    calm = np.asarray(layer(x, mask=mask))
    np.testing.assert_allclose(np.asarray(dropping(x, mask=mask)), calm, atol=1e-6)
    draws = [np.asarray(dropping(x, mask=mask, training=True)) for _ in range(3)]
    assert not np.allclose(draws[0], calm, atol=1e-3)
    assert not np.allclose(draws[0], draws[1], atol=1e-3)  # another mask each time
    # With no state before it, the first step has nothing to drop.
    first = x[:, :1]
    one_step = np.asarray(dropping(first, training=True))
    np.testing.assert_allclose(one_step, np.asarray(layer(first)), atol=1e-6)
    assert isinstance(dropping.cell.recurrent_kernel, keras.Variable)


def test_a_layer_is_rebuilt_from_its_configuration():
    layer = FusedGRU(3, precision="bfloat16", weight_drop=0.25, one_hot=True, return_sequences=True)
    again = FusedGRU.from_config(layer.get_config())
    assert (again.units, again.precision, again.weight_drop) == (3, "bfloat16", 0.25)
    assert again.one_hot
    assert again.return_sequences


def test_a_fused_layer_learns_under_plain_keras():
    ids = np.random.default_rng(0).integers(0, 4, (16, 10)).astype(np.int32)
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(16, 10), dtype="int32"),
            keras.layers.Embedding(4, 8),
            FusedLSTM(16, return_sequences=True, stateful=True),
            keras.layers.Dense(4),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    history = model.fit(ids, ids, batch_size=16, epochs=60, verbose=0, shuffle=False)
    assert history.history["loss"][-1] < history.history["loss"][0] / 2
