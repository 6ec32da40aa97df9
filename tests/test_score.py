import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint

import chargen
from chargen.data.vocabulary import REPLACEMENT
from chargen.errors import NumericalError
from chargen.inference import score as score_module
from chargen.inference.model import Model
from chargen.inference.network import Network
from chargen.inference.score import score_ids


def reference(model: Model, text: str) -> list[float]:
    """Nats of each known character, one position at a time, in float64."""
    ids = model.vocabulary.encode(text)
    ids = ids[ids < len(model.vocabulary)].astype(np.int64)
    start = model.vocabulary.line_end
    if start is not None:
        ids = np.concatenate([[start], ids])
    logits = model.logits(ids[:-1]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), ids[1:]]
    return [n for n, i in zip(nats, ids[1:], strict=True) if i != model.vocabulary.replacement]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"cell": "gru", "layers": 2},
        {"predict": "last"},
        {"predict": "last", "bidirectional": True},
    ],
)
@pytest.mark.parametrize("characters", ["\n abc", "abc "])
def test_the_figure_is_the_mean_surprise(tmp_path: Path, model: dict[str, Any], characters: str):
    make_checkpoint(tmp_path, characters, **model)
    loaded = chargen.load(tmp_path)
    text = "abc cab bac" * 5
    score = loaded.evaluate(text)
    expected = reference(loaded, text)
    given_first = 0 if "\n" in characters else 1
    assert len(expected) == len(text) - given_first
    assert score.nats_per_character == pytest.approx(np.mean(expected), rel=1e-5)
    assert score.bits_per_character == pytest.approx(np.mean(expected) / math.log(2), rel=1e-5)
    assert score.perplexity == pytest.approx(math.exp(np.mean(expected)), rel=1e-5)
    assert score.characters == len(text)
    assert score.unknown_characters == 0


def test_many_streams_score_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_checkpoint(tmp_path, layers=2)
    model = chargen.load(tmp_path)
    ids = np.random.default_rng(0).integers(0, len(model.vocabulary), 30_001)
    monkeypatch.setattr(score_module, "STREAMS", 1)
    one = score_ids(model.network, model.vocabulary, ids)
    monkeypatch.setattr(score_module, "STREAMS", 64)
    many = score_ids(model.network, model.vocabulary, ids)
    difference = many.total().bits_per_character - one.total().bits_per_character
    assert abs(difference) < 1e-4
    np.testing.assert_allclose(many.nats, one.nats, atol=1e-3)


def test_unknown_characters_are_counted_and_left_out(tmp_path: Path):
    make_checkpoint(tmp_path)
    model = chargen.load(tmp_path)
    clean, dirty = model.evaluate("abcabc"), model.evaluate("abXcaYbc")
    assert dirty.unknown_characters == 2
    assert dirty.characters == 8
    assert dirty.nats_per_character == pytest.approx(clean.nats_per_character, rel=1e-5)


@pytest.mark.parametrize("characters", ["\n abc", " abc"])
@pytest.mark.parametrize("text", ["abXcaYbc", "XabcYabc"])
def test_unknown_characters_are_read_as_the_replacement_where_it_is_known(
    tmp_path: Path, characters: str, text: str
):
    make_checkpoint(tmp_path, characters + REPLACEMENT)
    model = chargen.load(tmp_path)
    assert model.evaluate(text).unknown_characters == 2
    expected = np.mean(reference(model, text))
    assert model.evaluate(text).nats_per_character == pytest.approx(expected, rel=1e-5)
    folded = model.evaluate(text.replace("X", REPLACEMENT).replace("Y", REPLACEMENT))
    assert folded.unknown_characters == 2
    assert folded.nats_per_character == model.evaluate(text).nats_per_character


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_that_overflow_are_an_error_not_a_figure(tmp_path: Path, layers: int):
    checkpoint = make_checkpoint(tmp_path, cell="rnn", activation="relu", layers=layers)
    weights = [w * 1e3 for w in checkpoint.weights()]
    model = chargen.load(tmp_path)
    model.network = Network(checkpoint.model, weights)
    with pytest.raises(NumericalError, match="no longer numbers"):
        model.evaluate("abc cab bac" * 200)
    for temperature in (0, 1):
        with pytest.raises(NumericalError, match="no longer numbers"):
            model.sample("abc", length=2000, temperature=temperature)


@pytest.mark.parametrize("text", ["", "XYZ"])
def test_nothing_to_score_is_no_number_but_no_failure(checkpoint: Path, text: str):
    score = chargen.load(checkpoint).evaluate(text)
    assert score.characters == score.unknown_characters == len(text)
    assert math.isnan(score.nats_per_character)
    assert math.isnan(score.perplexity)
    assert math.isnan(score.accuracy)


def test_accuracy_is_the_share_of_first_choices(checkpoint: Path):
    model = chargen.load(checkpoint)
    greedy = model.sample("", length=50, temperature=0)
    assert model.evaluate(greedy).accuracy == 1
    worst = "".join(
        model.vocabulary.characters[int(row.argmin())]
        for row in model.logits(model.vocabulary.encode("\n"))
    )
    assert model.evaluate(worst).accuracy == 0


def test_parts_sum_to_the_whole(checkpoint: Path):
    model = chargen.load(checkpoint)
    ids = model.vocabulary.encode("abc\ndefX\nghij")
    scores = score_ids(model.network, model.vocabulary, ids)
    whole, parts = scores.total(), [scores.total(0, 4), scores.total(4, 9), scores.total(9)]
    known = [part.characters - part.unknown_characters for part in parts]
    nats = sum(part.nats_per_character * n for part, n in zip(parts, known, strict=True))
    assert nats / sum(known) == pytest.approx(whole.nats_per_character, abs=1e-6)
    assert sum(part.characters for part in parts) == whole.characters
    assert sum(part.seconds for part in parts) == pytest.approx(whole.seconds)


def test_the_score_is_named_as_in_the_contract(checkpoint: Path):
    score = dataclasses.asdict(chargen.load(checkpoint).evaluate("abc"))
    assert list(json.loads(json.dumps(score))) == [
        "characters",
        "unknown_characters",
        "nats_per_character",
        "bits_per_character",
        "perplexity",
        "accuracy",
        "seconds",
        "characters_per_second",
    ]


def test_memory_is_bounded_by_the_chunk(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, predict="last", window=50)
    network = Network.load(checkpoint)
    ids = np.zeros(5000, np.uint8)
    sizes = [len(piece) for piece in network.sliding_logits(ids)]
    assert sum(sizes) == 5000
    assert max(sizes) <= 1024
