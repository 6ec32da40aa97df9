"""The weights that a run begins with can be had again."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint, random_weights

from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.sources import Sources
from chargen.config import DRAWN, ModelConfig
from chargen.data.statistics import log_frequencies
from chargen.errors import TrainingError
from chargen.training.start import SPREAD, Counts, initial_weights, with_counts
from training.conftest import SMALL, Trained, begin


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "layers": 2, "dropout": 0.2},
        {"embedding": 40},  # more columns than there are characters to compare
        {"cell": "rnn", "predict": "last", "bidirectional": True},
        {"preset": "tutorial"},
    ],
    ids=lambda options: "-".join(options),
)
def test_the_initial_weights_are_those_before_the_first_step(
    options: dict[str, Any], text: Path, tmp_path: Path
):
    given = options if "preset" in options else SMALL | options
    begin(text, checkpoint=tmp_path / "ck", **given)
    checkpoint = Checkpoint.open(tmp_path / "ck")
    train_ids = Sources(checkpoint).train_ids()
    assert_same(initial_weights(checkpoint, train_ids), checkpoint.weights())


def test_counts_replace_the_bias_and_as_many_columns_as_they_have():
    config = ModelConfig(vocabulary_size=5, units=3, window=2, embedding=4)
    drawn = random_weights(config)
    vectors = np.arange(15, dtype=np.float32).reshape(5, 3)
    bias = np.ones(5, np.float32)
    table, *others, last = with_counts(drawn, config, Counts(bias, vectors, spread=None))
    np.testing.assert_array_equal(table, np.concatenate([vectors, drawn[0][:, 3:]], axis=1))
    assert_same([*others, last], [*drawn[1:-1], bias])
    assert_same(with_counts(drawn, config, None), drawn)


def counted(ids: np.ndarray, config: ModelConfig) -> Counts:
    return Counts.of(ids, log_frequencies(ids, config.vocabulary_size), config)


@pytest.mark.parametrize("embedding", [0, 6])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_a_character_adds_to_a_unit_is_spread_in_every_direction(
    bidirectional: bool, embedding: int
):
    config = ModelConfig(
        vocabulary_size=50, units=30, window=2, layers=2, predict="last",
        bidirectional=bidirectional, embedding=embedding,
    )  # fmt: skip
    drawn = random_weights(config)
    counts = counted(np.random.default_rng(1).integers(0, 50, 20_000), config)
    started = with_counts(drawn, config, counts)
    kernels = [1 if embedding else 0]
    kernels += [kernels[0] + 3] * bidirectional
    characters = started[0] if embedding else np.eye(50)
    for index, (one, other) in enumerate(zip(started[:-1], drawn[:-1], strict=True)):
        if index in kernels:
            assert (characters @ one).std() == pytest.approx(SPREAD, rel=0.2)
            assert np.allclose(one, other * (one[0, 0] / other[0, 0]))
        elif index or not embedding:
            np.testing.assert_array_equal(one, other)


def test_short_texts_and_those_of_many_kinds_start_as_keras_draws_them():
    def spread(length: int, kinds: int) -> float | None:
        config = ModelConfig(vocabulary_size=kinds, units=3, window=2)
        return counted(np.arange(length) % kinds, config).spread

    assert spread(20_000, 50) == SPREAD
    assert spread(10_000, 50) is None
    assert spread(20_000, 80) is None


def test_initial_weights_that_cannot_be_known_are_not_made_up(
    trained: Trained, text: Path, tmp_path: Path
):
    with pytest.raises(TrainingError, match="of its text, which is gone"):
        initial_weights(make_checkpoint(tmp_path / "a"), None)
    first = trained().copy(tmp_path / "first")
    options = {"batch_size": 4, "epochs": 1, "precision": "float32"}
    begin(text, checkpoint=tmp_path / "b", init_from=first, **options)
    assert Checkpoint.open(first).training.init_from == DRAWN
    second = Checkpoint.open(tmp_path / "b")
    assert second.training.init_from == "../first/ck"
    assert_same(second.weights(), Checkpoint.open(first).weights())
    where = re.escape(str(first.resolve()))
    with pytest.raises(TrainingError, match=f"of another checkpoint, {where}; name that one"):
        initial_weights(second, Sources(second).train_ids())


def test_what_an_older_chargen_did_not_record_is_not_guessed(tmp_path: Path):
    path = make_checkpoint(tmp_path / "a").path / "config.json"
    config = json.loads(path.read_text())
    assert config["training"].pop("init_from") == DRAWN
    path.write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="did not record whether the run drew its weights"):
        initial_weights(Checkpoint.open(path.parent), np.arange(9))
