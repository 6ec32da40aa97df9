"""A character is drawn from the distribution that the options define."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chargen.config import SampleConfig
from chargen.errors import NumericalError
from chargen.sampling.decoding import Decoder, Noise, restrict

pytestmark = pytest.mark.numeric

logit_arrays = arrays(np.float32, st.integers(1, 30), elements=st.floats(-30, 30, width=32))
configs = st.builds(
    SampleConfig,
    temperature=st.floats(0.01, 5),
    top_k=st.none() | st.integers(1, 40),
    top_p=st.none() | st.floats(0.01, 1),
    min_p=st.none() | st.floats(0, 1),
)


EDGE = 1e-3
"""How near the edge of top-p or min-p, as a share of it, a character may be kept or left out: the
differences of these logits, up to 60, are known to 4e-6, and the lowest temperature is 0.01."""


def softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(p / p.sum())


def kept(logits: np.ndarray, **options: object) -> list[int]:
    """Ids that the options leave."""
    logits = logits[None].copy()
    restrict(logits, SampleConfig(**options))  # type: ignore[arg-type]
    return np.flatnonzero(logits[0] > -np.inf).tolist()


def draw(logits: np.ndarray, config: SampleConfig, count: int, random_seed: int = 0) -> list[int]:
    noise = Noise(random_seed, len(logits), config.temperature).take(count)
    decoder = Decoder(config)
    return [decoder.choose(logits[None].copy(), row[None]) for row in noise]


def expected(logits: np.ndarray, config: SampleConfig) -> np.ndarray:
    """The distribution by the definitions of the options, in float64, one after the other."""
    p = softmax(logits.astype(np.float64) / config.temperature)
    order = np.argsort(-logits, kind="stable")
    if config.top_k is not None:
        p[order[config.top_k :]] = 0
    if config.top_p is not None and config.top_p < 1:
        share = np.cumsum(p[order]) / p.sum()
        p[order[int(np.argmax(share >= config.top_p)) + 1 :]] = 0
    if config.min_p is not None:
        p[p < config.min_p * p.max()] = 0
    return np.asarray(p / p.sum())


def at_an_edge(config: SampleConfig, share: float) -> SampleConfig:
    """Options that leave as many characters or more, with a share above 1, or as many or fewer."""
    return dataclasses.replace(
        config,
        top_p=config.top_p and min(1, config.top_p * share),
        min_p=config.min_p and min(1, config.min_p / share),
    )


@given(logit_arrays, configs)
def test_the_options_leave_what_their_definitions_say(logits: np.ndarray, config: SampleConfig):
    restricted = logits[None].copy()
    restrict(restricted, config)
    left = restricted[0] > -np.inf
    assert left[np.argmax(logits)]
    np.testing.assert_array_equal(restricted[0][left], logits[left])
    if config.top_k is not None:
        assert left.sum() <= config.top_k
    # What underflows in the definition may stay, to be drawn as good as never.
    never = softmax(logits.astype(np.float64) / config.temperature) < 1e-300
    assert (left >= (expected(logits, at_an_edge(config, 1 - EDGE)) > 0)).all()
    assert ((expected(logits, at_an_edge(config, 1 + EDGE)) > 0) | never >= left).all()


@given(logit_arrays, configs, st.integers(0, 2**32))
def test_what_is_left_out_is_never_chosen(logits: np.ndarray, config: SampleConfig, seed: int):
    restricted = logits[None].copy()
    restrict(restricted, config)
    assert all(restricted[0, index] > -np.inf for index in draw(logits, config, 5, seed))


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 5), st.just(7)), elements=st.floats(-30, 30, width=32)
    ),
    configs,
)
def test_several_texts_are_chosen_for_as_one_by_one(rows: np.ndarray, config: SampleConfig):
    noise = np.stack([Noise(k, 7, config.temperature).take(1)[0] for k in range(len(rows))])
    decoder = Decoder(config, banned=3)
    ids = decoder.choose_each(rows.copy(), noise)
    for row, logits in enumerate(rows):
        one = decoder.choose(logits[None].copy(), noise[row : row + 1])
        assert one != 3
        assert ids[row] == one


def test_draws_follow_the_temperature_and_the_probabilities():
    logits = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))
    for temperature in (1, 0.5, 3):
        config = SampleConfig(temperature=temperature)
        counts = np.bincount(draw(logits, config, 20_000), minlength=4)
        # Five standard deviations of a share of 20,000 draws are at most 0.018.
        np.testing.assert_allclose(counts / 20_000, softmax(logits / temperature), atol=0.018)


def test_rare_characters_are_drawn_as_often_as_they_should_be():
    logits = np.array([0, np.log(1e-4)], np.float32)
    count = sum(draw(logits, SampleConfig(temperature=1), 200_000))
    assert 0 < count < 20 + 6 * 20**0.5


def test_temperature_zero_takes_the_first_of_the_most_likely():
    logits = np.array([0, 2, 2, 1], np.float32)
    assert draw(logits, SampleConfig(temperature=0, top_k=3), 3) == [1, 1, 1]
    assert not Noise(0, 4, 0).take(3).any()


@pytest.mark.parametrize("temperature", [1e-320, 1e-30, 1e30, 1e308])
def test_temperatures_at_the_ends_stay_numbers(temperature: float):
    logits = np.array([0, 2, 1], np.float32)
    config = SampleConfig(temperature=temperature, top_p=0.999)
    chosen = set(draw(logits, config, 100))
    assert chosen == ({1} if temperature < 1 else {0, 1, 2})


def test_top_k_keeps_exactly_k_the_lower_ids_of_equals():
    assert kept(np.zeros(5, np.float32), temperature=1, top_k=2) == [0, 1]
    assert kept(np.zeros(5, np.float32), temperature=1, top_k=9) == [0, 1, 2, 3, 4]


LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))


def test_top_p_keeps_the_fewest_that_reach_it():
    for top_p, left in ((0.4, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3]), (1.0, [0, 1, 2, 3])):
        assert kept(LOGITS, temperature=1, top_p=top_p) == left


def test_min_p_is_relative_to_the_most_likely():
    assert kept(LOGITS, temperature=1, min_p=0.4) == [1, 3]
    assert kept(LOGITS, temperature=1, min_p=1) == [1]
    assert kept(LOGITS, temperature=1, min_p=0) == [0, 1, 2, 3]


def test_filters_apply_in_order_each_to_what_is_left():
    # After top-k 3 the rest is (0.5, 0.25, 0.15) / 0.9: 0.83 of it needs two, of 1 it needs three.
    assert kept(LOGITS, temperature=1, top_k=3, top_p=0.83) == [1, 3]
    # And temperature comes first: at 2 the same share needs all three.
    assert kept(LOGITS, temperature=2, top_k=3, top_p=0.83) == [1, 2, 3]


def test_the_noise_of_a_character_does_not_depend_on_how_much_is_made_at_a_time():
    whole = Noise(5, 11, 0.7).take(100)
    noise = Noise(5, 11, 0.7)
    np.testing.assert_array_equal(whole, np.concatenate([noise.take(n) for n in (1, 2, 33, 64)]))
    assert whole.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_k": 1}])
def test_logits_that_are_no_numbers_are_refused(value: float, options: dict[str, float]):
    logits = np.array([[0, value, 1]], np.float32)
    decoder = Decoder(SampleConfig(**options))  # type: ignore[arg-type]
    noise = np.zeros((1, 3), np.float32)
    with pytest.raises(NumericalError, match="are not finite numbers"):
        decoder.choose(logits.copy(), noise)
    with pytest.raises(NumericalError, match="are not finite numbers"):
        decoder.choose_each(logits.copy(), noise)
