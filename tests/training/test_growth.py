"""A trained network is given new characters, and what it knew stays as it was."""

from typing import Any

import numpy as np
import pytest
from conftest import model_name, random_weights

from chargen.checkpoint.architecture import GATES
from chargen.config import CELLS, ModelConfig
from chargen.data.vocabulary import Vocabulary
from chargen.errors import NumericalError
from chargen.network.network import Network
from chargen.network.reading import predictions
from chargen.training.growth import READ, grow_weights

OLD = Vocabulary(sorted("\n !aeinrst"))
NEW_CHARACTERS = "".join(chr(point) for point in range(ord("а"), ord("а") + 30)) + "é\xa05#"
"""Thirty letters of another script, and some that stand between the old ones."""
NEW = Vocabulary(sorted({*OLD, *NEW_CHARACTERS}))
KEPT = NEW.encode("".join(OLD))
ADDED = np.setdiff1d(np.arange(len(NEW)), KEPT)
NETWORKS = [
    ModelConfig(
        vocabulary_size=len(OLD), units=12, window=6, cell=cell, embedding=embedding, **more
    )
    for cell in CELLS
    for embedding in (0, 7)
    for more in (
        {},
        {"layers": 2, "predict": "last"},
        {"bidirectional": True, "layers": 2, "predict": "last"},
    )
]


def a_text(length: int = READ, seed: int = 1) -> np.ndarray:
    """A text in which new characters are rare, as ids of `NEW`."""
    shares = np.where(np.isin(np.arange(len(NEW)), KEPT), 10.0, 1.0)
    rng = np.random.default_rng(seed)
    return rng.choice(len(NEW), length, p=shares / shares.sum()).astype(np.uint8)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Of logits (T, V), in the precision of the promise."""
    exact = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exact / exact.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("config", NETWORKS, ids=model_name)
def test_predictions_of_old_characters_stay_in_proportion(config: ModelConfig):
    weights = random_weights(config)
    grown = grow_weights(weights, config, OLD, NEW, a_text())
    text = OLD.encode("a tree is in it!\n" * 9)
    before = probabilities(predictions(Network(config, weights), text))
    bigger = Network(ModelConfig(**vars(config) | {"vocabulary_size": len(NEW)}), grown)
    after = probabilities(predictions(bigger, KEPT[text]))
    assert (after[:, ADDED] > 0).all()
    old = after[:, KEPT]
    np.testing.assert_allclose(old / old.sum(axis=1, keepdims=True), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("config", NETWORKS, ids=model_name)
def test_rows_and_columns_of_old_characters_are_bit_for_bit_what_they_were(config: ModelConfig):
    weights = random_weights(config)
    copies = [array.copy() for array in weights]
    grown = grow_weights(weights, config, OLD, NEW, a_text())
    by_characters = {0} if config.embedding else {0, 3} if config.bidirectional else {0}
    for index, (found, before) in enumerate(zip(grown, copies, strict=True)):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(weights[index], before)
        if index in by_characters:
            assert len(found) == len(NEW)
            found = found[KEPT]
        elif index >= len(grown) - 2:
            assert found.shape[-1] == len(NEW)
            found = found[..., KEPT]
        np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("predict", ["all", "last"])
def test_new_characters_are_as_likely_as_frequent(predict: Any):
    config = ModelConfig(vocabulary_size=len(OLD), units=12, window=6, predict=predict)
    text = a_text()
    grown = grow_weights(random_weights(config), config, OLD, NEW, text)
    bigger = Network(ModelConfig(**vars(config) | {"vocabulary_size": len(NEW)}), grown)
    odds = probabilities(predictions(bigger, text))
    odds = (odds / odds[:, KEPT].sum(axis=1, keepdims=True)).mean(axis=0)
    counts = 1 + np.bincount(text, minlength=len(NEW))
    np.testing.assert_allclose(odds[ADDED], counts[ADDED] / counts[KEPT].sum(), rtol=1e-3)


def test_a_new_character_starts_like_its_relatives():
    config = ModelConfig(vocabulary_size=len(OLD), units=12, window=6)
    kernel, *_, output, _ = random_weights(config)
    rows, *_, columns, _ = grow_weights(random_weights(config), config, OLD, NEW, a_text())
    assert len(rows) == len(NEW)
    relatives = {"é": [OLD.id_of("e")], "\xa0": [OLD.id_of(" ")], "б": range(10), "5": range(10)}
    for character, like in relatives.items():
        index = NEW.id_of(character)
        places = list(like)
        np.testing.assert_allclose(rows[index], kernel[places].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(columns[:, index], output[:, places].mean(axis=1), atol=1e-6)


def test_a_text_without_a_single_old_character_is_learned_too():
    config = ModelConfig(vocabulary_size=len(OLD), units=12, window=6)
    text = np.random.default_rng(2).choice(ADDED, 400)
    grown = grow_weights(random_weights(config), config, OLD, NEW, text)
    assert all(np.isfinite(array).all() for array in grown)
    bigger = Network(ModelConfig(**vars(config) | {"vocabulary_size": len(NEW)}), grown)
    assert probabilities(predictions(bigger, text))[:, ADDED].sum(axis=1).mean() > 0.5


def test_a_network_that_predicts_no_numbers_is_refused():
    config = ModelConfig(vocabulary_size=len(OLD), units=12, window=6, cell="rnn")
    weights = random_weights(config)
    weights[-2][:] = 3e38
    with pytest.raises(NumericalError, match="not finite numbers"):
        grow_weights(weights, config, OLD, NEW, a_text())


def test_each_cell_has_as_many_columns_as_before():
    for cell in CELLS:
        config = ModelConfig(vocabulary_size=len(OLD), units=12, window=6, cell=cell)
        kernel, *_ = grow_weights(random_weights(config), config, OLD, NEW, a_text())
        assert kernel.shape == (len(NEW), 12 * len(GATES[cell]))
