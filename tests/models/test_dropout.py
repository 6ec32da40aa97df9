"""Dropout from random bytes keeps its rate and its mean."""

import numpy as np
import pytest

from chargen.training import runtime

runtime.start()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from chargen.models.dropout import Dropout, dropped  # noqa: E402


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_rate_is_kept_and_so_is_the_mean(rate: float):
    values = np.asarray(dropped(tf.ones((200, 301)), rate, keras.random.SeedGenerator(1)))
    used = round(256 * rate) / 256
    assert np.mean(values == 0) == pytest.approx(used, abs=0.01)
    np.testing.assert_allclose(values[values != 0], 1 / (1 - used), rtol=1e-6)


def test_elements_are_dropped_independently():
    values = np.asarray(dropped(tf.ones((512, 512)), 0.5, keras.random.SeedGenerator(2))) > 0
    for shift in (1, 2, 4, 256):
        agree = np.mean(values[:, shift:] == values[:, :-shift])
        assert agree == pytest.approx(0.5, abs=0.01)
    assert np.mean(values[1:] == values[:-1]) == pytest.approx(0.5, abs=0.01)


def test_the_same_random_seed_drops_the_same_and_each_draw_others():
    def draws() -> list[np.ndarray]:
        generator = keras.random.SeedGenerator(5)
        return [np.asarray(dropped(tf.ones((9, 7)), 0.5, generator)) for _ in range(2)]

    one, other = draws(), draws()
    np.testing.assert_array_equal(one, other)
    assert (one[0] != one[1]).any()


def test_the_layer_drops_while_training_only():
    layer = Dropout(0.999, seed=1)
    x = tf.ones((4, 100))
    np.testing.assert_array_equal(np.asarray(layer(x, training=False)), np.asarray(x))
    assert np.mean(np.asarray(layer(x, training=True)) == 0) > 0.9
    np.testing.assert_array_equal(np.asarray(Dropout(0.0)(x, training=True)), np.asarray(x))
