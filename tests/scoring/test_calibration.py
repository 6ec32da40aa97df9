"""One factor on the logits makes a model as sure as it has reason to be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from rounding import CLOSE

import chargen
from chargen.model import Model
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network
from chargen.scoring.calibration import LEAST, MOST, calibrate, confidence, scaled
from chargen.scoring.score import score_ids, surprisal

pytestmark = pytest.mark.numeric

STEEP = 3.0
"""What the weights of the model that writes are multiplied by, so that it has something to say."""


@pytest.fixture
def writer(tmp_path: Path) -> Model:
    """A model with random weights."""
    checkpoint = make_checkpoint(tmp_path, "\n abcdefg", units=16)
    model = chargen.load(tmp_path)
    model.network = Network(checkpoint.model, scaled(checkpoint.weights(), STEEP))
    return model


@pytest.fixture
def written(writer: Model) -> np.ndarray:
    """Ids that it has drawn from its own distribution, for which the best factor is 1."""
    text = writer.sample(length=20_000, temperature=1.0, random_seed=1)
    return writer.vocabulary.encode(text)


def with_factor(model: Model, used: float = 1.0) -> Callable[[float], LanguageModel]:
    """Make models whose logits are multiplied by `used` and by the factor that is asked for."""

    def model_of(factor: float) -> LanguageModel:
        weights = scaled(model.network.weights(), used * factor)
        return LanguageModel(Network(model.config, weights), model.vocabulary, model.threads)

    return model_of


@pytest.mark.parametrize("options", [{}, {"predict": "last", "bidirectional": True}])
def test_scaled_weights_scale_the_logits_and_nothing_else(tmp_path: Path, options: dict[str, Any]):
    checkpoint = make_checkpoint(tmp_path, **options)
    weights = checkpoint.weights()
    ids = np.arange(30) % len(checkpoint.vocabulary)
    plain, more = (
        LanguageModel(Network(checkpoint.model, w), checkpoint.vocabulary).logits(ids)
        for w in (weights, scaled(weights, 1.5))
    )
    np.testing.assert_allclose(more, 1.5 * plain, rtol=0, atol=CLOSE)
    for one, other in zip(scaled(weights, 1.0), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_slopes_are_those_of_the_nats():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4, 5, 7)).astype(np.float32)
    targets = rng.integers(0, 7, (4, 5))
    found = confidence(logits.copy(), targets)
    np.testing.assert_array_equal(found[:2], surprisal(logits.copy(), targets))

    def nats(factor: float) -> np.ndarray:
        z = factor * logits.astype(np.float64)
        chosen = np.take_along_axis(z, targets[..., None], -1)[..., 0]
        return np.asarray(np.log(np.exp(z).sum(-1)) - chosen)

    step = 1e-4
    slopes = (nats(1 + step) - nats(1 - step)) / (2 * step)
    curvatures = (nats(1 + step) - 2 * nats(1) + nats(1 - step)) / step**2
    np.testing.assert_allclose(found[2], slopes, atol=1e-5)
    np.testing.assert_allclose(found[3], curvatures, atol=1e-4)
    assert confidence(np.zeros((0, 7), np.float32), targets[0][:0]).shape == (4, 0)


@pytest.mark.parametrize("used", [0.7, 0.8, 1.0, 1.25])
def test_the_best_factor_is_found(writer: Model, written: np.ndarray, used: float):
    found = calibrate(with_factor(writer, used), written, 1.0)
    assert found.better * used == pytest.approx(1, abs=0.03)
    assert found.factor * used == pytest.approx(1, abs=0.06)
    best = score_ids(with_factor(writer)(1.0), written).nats_per_character
    assert found.score.nats_per_character == pytest.approx(best, abs=0.002)
    model = with_factor(writer, used)(found.factor)
    assert found.score.nats_per_character == score_ids(model, written).nats_per_character


def test_where_there_is_little_to_gain_a_text_is_scored_once(writer: Model, written: np.ndarray):
    asked: list[float] = []
    model_of = with_factor(writer)

    def noted(factor: float) -> LanguageModel:
        asked.append(factor)
        return model_of(factor)

    assert calibrate(noted, written, 1.0).factor == 1.0
    assert asked == [1.0]
    calibrate(noted, written, 0.8)
    assert asked[1] == 0.8
    assert 2 < len(asked) <= 4


@pytest.mark.parametrize(("used", "limit"), [(4.0, LEAST), (0.1, MOST)])
def test_the_factor_has_limits(writer: Model, written: np.ndarray, used: float, limit: float):
    found = calibrate(with_factor(writer, used), written, 1.0)
    assert (found.factor, found.better) == (limit, limit)


def test_nothing_to_score_changes_nothing(writer: Model):
    unknown = np.full(50, writer.vocabulary.unknown, np.uint8)
    for ids in (unknown, unknown[:0]):
        found = calibrate(with_factor(writer), ids, 0.9)
        assert (found.factor, found.better) == (0.9, 0.9)
        assert np.isnan(found.score.nats_per_character)


def test_logits_too_far_apart_to_be_squared_change_nothing(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, units=16)
    huge = [*checkpoint.weights()[:-2], *(array * 1e25 for array in checkpoint.weights()[-2:])]

    def model_of(factor: float) -> LanguageModel:
        network = Network(checkpoint.model, scaled(huge, factor))
        return LanguageModel(network, checkpoint.vocabulary)

    found = calibrate(model_of, np.arange(500) % len(checkpoint.vocabulary), 1.0)
    assert (found.factor, found.better) == (1.0, 1.0)
    assert found.score.nats_per_character > 1e20


def test_unknown_characters_do_not_count(writer: Model, written: np.ndarray):
    ids = written.astype(np.int64)
    mixed = np.insert(ids, np.arange(0, len(ids), 3), writer.vocabulary.unknown)
    assert len(mixed) > 1.3 * len(ids)
    one, other = (calibrate(with_factor(writer, 1.3), text, 1.0) for text in (ids, mixed))
    assert other.better == pytest.approx(one.better, abs=1e-3)
