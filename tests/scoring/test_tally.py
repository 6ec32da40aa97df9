"""Scores add up, have the digits that they know, and the names of the contract."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from conftest import SCORE_NAMES
from rounding import HALF_A_DIGIT

import chargen
from chargen.scoring.tally import Tally, round_figure

pytestmark = pytest.mark.numeric


def test_scores_of_parts_sum_to_that_of_the_whole(checkpoint: Path):
    model = chargen.load(checkpoint)
    ids = model.vocabulary.encode("abc\ndefX\nghij")
    scores = model.scorer().score(ids)
    tallies = [scores.tally(0, 4), scores.tally(4, 9), scores.tally(9)]
    whole, parts = scores.tally().score(), [tally.score() for tally in tallies]
    added = sum(tallies, Tally()).score()
    near = {"rel": 2 * HALF_A_DIGIT, "abs": 0}
    assert dataclasses.astuple(added) == pytest.approx(dataclasses.astuple(whole), **near)
    known = [part.characters - part.unknown_characters for part in parts]
    nats = sum(part.nats_per_character * n for part, n in zip(parts, known, strict=True))
    assert nats / sum(known) == pytest.approx(whole.nats_per_character, **near)
    assert sum(part.characters for part in parts) == whole.characters
    assert sum(part.seconds for part in parts) == pytest.approx(whole.seconds, **near)


def test_figures_have_the_digits_of_what_they_are_made_of():
    assert round_figure(1.23456789) == 1.234568
    assert round_figure(0.000123456789) == 0.0001234568
    assert round_figure(123456789.0) == 123456800.0
    assert math.isnan(round_figure(math.nan))
    score = Tally(characters=10, scored=9, correct=3, nats=12.3456789012, seconds=0.1).score()
    for value in dataclasses.astuple(score):
        assert value == round_figure(value)
    assert score.bits_per_character == round_figure(12.3456789012 / 9 / math.log(2))


def test_the_score_is_named_as_in_the_contract(checkpoint: Path):
    score = dataclasses.asdict(chargen.load(checkpoint).evaluate("abc"))
    assert list(json.loads(json.dumps(score))) == SCORE_NAMES
