"""Units that follow a trait are found, and none are found where nothing follows."""

import numpy as np
import pytest
from conftest import EVERY_MODEL, FABLES, make_checkpoint, model_name, random_weights
from hypothesis import given
from hypothesis import strategies as st

from chargen.analysis.traits import traits_of
from chargen.analysis.units import (
    FEWEST_CHARACTERS,
    activations,
    characters_read,
    correlations,
    followers,
    units_of,
    what_units_follow,
)
from chargen.config import ModelConfig
from chargen.errors import NumericalError
from chargen.model import Model
from chargen.network.network import Network
from chargen.network.reading import OneReading, predictions

TEXT = FABLES[:6000]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.numeric
@pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)
def test_predictions_are_made_from_the_units(config: ModelConfig):
    """The outputs of the top layer, multiplied by the output layer, are the logits."""
    network = Network(config, random_weights(config))
    ids = np.arange(25) * 7 % config.vocabulary_size
    values = np.concatenate(list(activations(network, ids)))
    units = units_of(config)
    assert values.shape == (25, len(units))
    top = [k for k, unit in enumerate(units) if unit.part == "h" and unit.layer == config.layers]
    logits = network.output(values[:, top])
    np.testing.assert_allclose(logits, predictions(network, ids), rtol=1e-3, atol=1e-4)


@pytest.mark.numeric
def test_cell_states_are_shown_by_their_tanh():
    config = ModelConfig(vocabulary_size=11, units=5, window=9, layers=2)
    network = Network(config, random_weights(config))
    (values,) = activations(network, np.arange(11))
    reading = OneReading(network)
    for index in range(11):
        reading.step((index,))
    _, _, _, c = reading.arrays()
    cells = [k for k, unit in enumerate(units_of(config)) if (unit.layer, unit.part) == (2, "c")]
    np.testing.assert_allclose(values[-1, cells], np.tanh(c[0]), **CLOSE)


def test_units_are_named_by_layer_direction_part_and_number():
    config = ModelConfig(
        vocabulary_size=2, units=2, window=3, layers=2, predict="last", bidirectional=True
    )
    names = [str(unit) for unit in units_of(config)]
    assert names[:5] == [
        "layer 1, h 0",
        "layer 1, h 1",
        "layer 1, c 0",
        "layer 1, c 1",
        "layer 1 backward, h 0",
    ]
    assert len(set(names)) == 16


def test_weights_that_exploded_are_refused():
    config = ModelConfig(vocabulary_size=5, units=4, window=3, cell="rnn", activation="relu")
    weights = [np.full_like(array, 1e38) for array in random_weights(config)]
    with pytest.raises(NumericalError):
        list(activations(Network(config, weights), np.arange(5)))


def test_a_unit_that_follows_a_trait_is_found_among_many():
    traits = traits_of(TEXT)
    rng = np.random.default_rng(1)
    values = rng.normal(size=(len(TEXT), 300)).astype(np.float32)
    for place, each in enumerate(traits):
        values[:, 11 * place] = 0.5 - each.values / 9
    findings = followers(values, traits)
    found = {each.trait: each for each in findings.followers}
    common = {"inside quotation marks", "position in the line", "capital letter", "vowel"}
    assert common <= set(found)
    for place, each in enumerate(traits):
        if each.name in found:
            follower = found[each.name]
            assert follower.unit == 11 * place
            assert follower.found == pytest.approx(-1, abs=1e-6)
            assert follower.measured == pytest.approx(-1, abs=1e-6)
            assert findings.strengths[follower.unit] == pytest.approx(1, abs=1e-6)
    assert (findings.characters_found, findings.characters_measured) == (3000, 3000)


def test_units_of_another_text_follow_nothing():
    """The best of hundreds follows anything a little where it is chosen, but not elsewhere."""
    shuffled = "".join(np.random.default_rng(2).permutation(list(TEXT)))
    traits = traits_of(shuffled)
    values = np.stack([each.values for each in traits_of(TEXT)], axis=1)
    rng = np.random.default_rng(3)
    many = np.concatenate([values, rng.normal(size=(len(TEXT), 500))], axis=1).astype(np.float32)
    found = followers(many, traits).followers
    assert len(found) > 5
    assert max(abs(each.measured) for each in found) < 0.2
    assert max(abs(each.found) for each in found) > 0.05


def test_a_network_that_reads_shuffled_text_only_knows_what_it_just_read(tmp_path):
    model = Model(make_checkpoint(tmp_path / "ck", TEXT, units=32))
    shuffled = "".join(np.random.default_rng(2).permutation(list(TEXT)))
    found = {
        each.trait: abs(each.measured) for each in what_units_follow(model, shuffled).followers
    }
    assert found["space"] > 0.2
    assert found["position in the line"] < 0.3
    assert found["inside quotation marks"] < 0.2


def test_the_strongest_come_first_and_rare_traits_are_left_out():
    traits = traits_of(TEXT + "(a)" * 3)
    values = np.random.default_rng(0).normal(size=(len(TEXT) + 9, 8)).astype(np.float32)
    found = followers(values, traits).followers
    strengths = [abs(each.measured) for each in found]
    assert strengths == sorted(strengths, reverse=True)
    assert "inside ( )" not in {each.trait for each in found}
    assert followers(values[:30], traits_of(TEXT[:30])).followers == ()


def test_characters_that_the_model_does_not_know_are_left_out(tmp_path):
    model = Model(make_checkpoint(tmp_path / "ck", TEXT, units=8))
    spoiled = "漢".join(TEXT[k : k + 3] for k in range(0, len(TEXT), 3))
    assert what_units_follow(model, spoiled).followers == what_units_follow(model, TEXT).followers


def test_nothing_is_said_of_a_text_of_which_the_model_knows_too_little(tmp_path):
    model = Model(make_checkpoint(tmp_path / "ck", TEXT, units=8))
    known = TEXT[: FEWEST_CHARACTERS - 1]
    assert what_units_follow(model, known + "漢" * 5000) is None
    assert what_units_follow(model, TEXT[:FEWEST_CHARACTERS] + "漢" * 5000) is not None


@given(
    st.integers(2, 40).flatmap(
        lambda size: st.lists(
            st.lists(st.floats(-50, 50, width=32), min_size=size, max_size=size),
            min_size=2,
            max_size=4,
        )
    )
)
def test_correlations_are_those_of_numpy(rows: list[list[float]]):
    traits = [np.array(row, np.float32) for row in rows[:1]]
    values = np.array(rows[1:], np.float32).T
    found = correlations(values, traits)
    assert np.isfinite(found).all()
    assert (np.abs(found) <= 1).all()
    for column in range(values.shape[1]):
        both = np.stack([traits[0], values[:, column]]).astype(np.float64)
        if (both.std(axis=1) > 1e-3).all():
            assert found[0, column] == pytest.approx(np.corrcoef(both)[0, 1], abs=1e-6)


def test_a_unit_or_a_trait_that_does_not_vary_has_no_correlation():
    values = np.stack([np.full(50, 0.1), np.arange(50)], axis=1).astype(np.float32)
    traits = [np.full(50, 3.0, np.float32), np.arange(50, dtype=np.float32)]
    np.testing.assert_allclose(correlations(values, traits), [[0, 0], [0, 1]], atol=1e-6)


def test_large_networks_and_long_windows_read_less():
    small = ModelConfig(vocabulary_size=9, units=8, window=9)
    assert characters_read(small) > 10_000
    large = ModelConfig(vocabulary_size=9, units=4096, window=9)
    assert FEWEST_CHARACTERS < characters_read(large) < characters_read(small)
    windowed = ModelConfig(vocabulary_size=9, units=8, window=4096, predict="last")
    assert characters_read(windowed) == FEWEST_CHARACTERS
