"""A beam finds the most likely texts."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from rounding import CLOSE, assert_same_text

import chargen
from chargen.config import SampleConfig
from chargen.data.vocabulary import REPLACEMENT
from chargen.errors import OptionError
from chargen.model import Model
from chargen.sampling.beam import most_likely

pytestmark = pytest.mark.numeric

CHARACTERS = "\nab "
NETWORKS: list[dict[str, Any]] = [
    {},
    {"cell": "gru", "layers": 2},
    {"predict": "last", "window": 3},
    {"predict": "last", "window": 3, "bidirectional": True},
]


@pytest.fixture(params=NETWORKS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return chargen.load(make_checkpoint(tmp_path / "ck", CHARACTERS, seed=3, **request.param).path)


def log_probability(model: Model, seed: str, text: str) -> float:
    """By scoring, which does not share the search's code."""
    scores = model.scorer().score(model.vocabulary.encode(seed + text))
    return -float(scores.nats[len(seed) :].sum(dtype=np.float64))


def test_a_beam_that_holds_all_texts_finds_the_most_likely_ones(model: Model):
    length, seed = 4, "ab"
    texts = ["".join(t) for t in itertools.product(CHARACTERS, repeat=length)]
    expected = sorted(((log_probability(model, seed, t), t) for t in texts), reverse=True)
    ids = model.vocabulary.encode_prompt(seed)
    found = most_likely(model, ids, length=length, beam=len(texts), count=10)
    totals = {text: total for total, text in expected}
    assert len({each.text for each in found}) == 10
    for each, (total, _) in zip(found, expected, strict=False):
        # By its own score too, it is as likely as the text of that rank: near ties may swap.
        assert totals[each.text] == pytest.approx(total, abs=CLOSE)
        assert each.log_probability == pytest.approx(total, abs=CLOSE)
        assert each.stopped == "length"


def test_a_beam_of_one_is_greedy(model: Model):
    (found,) = most_likely(model, [], length=30, beam=1, count=1)
    config, greedy = SampleConfig(length=30, temperature=0), model.sample(length=30, temperature=0)
    assert_same_text(model.checkpoint, [], config, 0, greedy, found.text)


def test_a_wider_beam_finds_nothing_less_likely(model: Model):
    found = [most_likely(model, [], length=12, beam=n, count=1)[0] for n in (1, 4, 64)]
    totals = [each.log_probability for each in found]
    assert totals[0] <= totals[1] + CLOSE
    assert totals[1] <= totals[2] + CLOSE


def test_texts_end_before_the_stop_string_and_are_found_in_order(model: Model):
    found = most_likely(model, [], length=8, beam=200, count=20, stop="a")
    totals = [each.log_probability for each in found]
    assert totals == sorted(totals, reverse=True)
    assert len({(each.text, each.stopped) for each in found}) == 20
    for each in found:
        assert "a" not in each.text
        ended = each.text + "a" if each.stopped == "stop" else each.text
        assert each.stopped == "stop" or len(each.text) == 8
        assert each.log_probability == pytest.approx(log_probability(model, "", ended), abs=CLOSE)
    # All texts of one and two characters that end so, by hand.
    short = [t for n in (0, 1) for t in map("".join, itertools.product("\nb ", repeat=n))]
    best = max(log_probability(model, "", text + "a") for text in short)
    assert totals[0] >= best - CLOSE


def test_a_beam_never_writes_the_replacement_character(tmp_path: Path):
    model = chargen.load(make_checkpoint(tmp_path / "ck", f"ab{REPLACEMENT}").path)
    for each in most_likely(model, [], length=5, beam=50, count=30):
        assert set(each.text) <= {"a", "b"}
        assert math.isfinite(each.log_probability)


def test_a_length_of_0_is_a_text_and_wrong_numbers_are_refused(model: Model):
    (nothing,) = most_likely(model, [], length=0, beam=3, count=1)
    assert nothing.text == ""
    assert nothing.log_probability == 0
    with pytest.raises(OptionError, match="beam must be from 1"):
        most_likely(model, [], length=3, beam=0, count=1)
    with pytest.raises(OptionError, match="count must be from 1 to 2, the number of beam; found 3"):
        most_likely(model, [], length=3, beam=2, count=3)
