import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chargen.config import SampleConfig
from chargen.inference.decoding import choose, probabilities

logit_arrays = arrays(np.float32, st.integers(1, 30), elements=st.floats(-30, 30, width=32))
configs = st.builds(
    SampleConfig,
    temperature=st.floats(0, 5),
    top_k=st.none() | st.integers(1, 40),
    top_p=st.none() | st.floats(0.01, 1),
    min_p=st.none() | st.floats(0, 1),
)


@given(logit_arrays, configs)
def test_probabilities_are_a_distribution_that_keeps_the_most_likely(
    logits: np.ndarray, config: SampleConfig
):
    p = probabilities(logits, config)
    assert p.shape == logits.shape
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1)
    assert p[np.argmax(logits)] > 0
    if config.top_k is not None and config.temperature > 0:
        assert (p > 0).sum() <= config.top_k


@given(logit_arrays, configs, st.integers(0, 2**32))
def test_what_has_no_probability_is_never_chosen(
    logits: np.ndarray, config: SampleConfig, seed: int
):
    p = probabilities(logits, config)
    rng = np.random.default_rng(seed)
    assert all(p[choose(logits, config, rng)] > 0 for _ in range(5))


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits.astype(np.float64))
    return np.asarray(p / p.sum())


@given(logit_arrays, st.floats(0.1, 5))
def test_temperature_divides_the_logits(logits: np.ndarray, temperature: float):
    p = probabilities(logits, SampleConfig(temperature=temperature))
    np.testing.assert_allclose(p, softmax(logits / temperature), rtol=1e-3, atol=1e-9)


def test_temperature_zero_takes_the_first_of_the_most_likely():
    logits = np.array([0, 2, 2, 1], np.float32)
    config = SampleConfig(temperature=0)
    assert choose(logits, config, np.random.default_rng(0)) == 1
    assert probabilities(logits, config).tolist() == [0, 1, 0, 0]


def test_a_tiny_temperature_is_greedy_and_no_nan():
    p = probabilities(np.array([0, 2, 1], np.float32), SampleConfig(temperature=1e-320))
    assert p.tolist() == [0, 1, 0]


def test_top_k_keeps_exactly_k_the_lower_ids_of_equals():
    p = probabilities(np.zeros(5, np.float32), SampleConfig(temperature=1, top_k=2))
    assert p.tolist() == [0.5, 0.5, 0, 0, 0]


def test_top_p_keeps_the_fewest_that_reach_it():
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    for top_p, kept in ((0.4, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3]), (1.0, [0, 1, 2, 3])):
        p = probabilities(logits, SampleConfig(temperature=1, top_p=top_p))
        assert np.flatnonzero(p).tolist() == kept


def test_min_p_is_relative_to_the_most_likely():
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    p = probabilities(logits, SampleConfig(temperature=1, min_p=0.4))
    np.testing.assert_allclose(p, [0, 2 / 3, 0, 1 / 3], rtol=1e-5)


def test_filters_apply_in_order_each_to_what_is_left():
    # After top-k 3 the rest is (0.5, 0.25, 0.15) / 0.9: 0.83 of it needs two, of 1 it needs three.
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    p = probabilities(logits, SampleConfig(temperature=1, top_k=3, top_p=0.83))
    assert np.flatnonzero(p).tolist() == [1, 3]
    # And temperature comes first: at 2 the same share needs all three.
    p = probabilities(logits, SampleConfig(temperature=2, top_k=3, top_p=0.83))
    assert np.flatnonzero(p).tolist() == [1, 2, 3]


def test_draws_follow_the_probabilities():
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    rng = np.random.default_rng(0)
    config = SampleConfig(temperature=1)
    counts = np.bincount([choose(logits, config, rng) for _ in range(20_000)], minlength=4)
    # Five standard deviations of a share of 20,000 draws are at most 0.018.
    np.testing.assert_allclose(counts / 20_000, [0.1, 0.5, 0.15, 0.25], atol=0.018)


def test_a_draw_takes_one_number_and_greedy_none():
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    choose(np.zeros(3, np.float32), SampleConfig(temperature=0), rng)
    choose(np.zeros(3, np.float32), SampleConfig(temperature=1), rng)
    same.random()
    assert rng.random() == same.random()
