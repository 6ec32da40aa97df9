"""Texts are chosen by what they must be, and scored."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import make_checkpoint
from rounding import CLOSE

import chargen
from chargen.config import SampleConfig
from chargen.errors import GenerationError, OptionError, VocabularyError
from chargen.model import Model
from chargen.sampling.generate import FEWEST_TOGETHER
from chargen.sampling.selection import Found, Selector, TextFilter, pattern

pytestmark = pytest.mark.numeric

CONFIG = SampleConfig(length=3, temperature=1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return chargen.load(make_checkpoint(tmp_path_factory.mktemp("ck"), "\nabc").path)


def selector(model: Model, text_filter: TextFilter, config: SampleConfig = CONFIG) -> Selector:
    return Selector(model, config, text_filter, tries=100, random_seed=5, scored=True)


def test_without_a_filter_texts_are_those_of_their_random_seeds(model: Model):
    found = list(selector(model, TextFilter()).write(["a", "b"], 2))
    assert [text.prompt for text in found] == ["a", "a", "b", "b"]
    assert [text.random_seed for text in found] == [5, 6, 7, 8]
    for text in found:
        alone = model.sample(text.prompt, length=3, temperature=1, random_seed=text.random_seed)
        assert text.text == alone
        assert text.stopped == "length"


def test_unique_texts_are_new_and_none_a_line_of_the_corpus(model: Model):
    free = [text.text for text in selector(model, TextFilter()).write([""], 30)]
    assert len(set(free)) < 30
    lines = frozenset(free[:3])
    text_filter = TextFilter(unique=True, lines=lines)
    write = selector(model, text_filter)
    found = [text.text for text in write.write([""], 30)]
    assert len(set(found)) == 30
    assert not set(found) & lines
    assert text_filter.refused["repeated"] > 0
    assert text_filter.refused["in the corpus"] > 0
    # Each text that is kept is the one of its random seed, in order; 30 were written at first here
    # as there.
    expected = [t for t in dict.fromkeys(free) if t not in lines]
    assert found[: len(expected)] == expected


def test_the_prompt_is_part_of_what_is_matched(model: Model):
    text_filter = TextFilter(match=re.compile("ab[abc]+"), reject=re.compile("cc"))
    for text in selector(model, text_filter).write(["ab", "a"], 4):
        whole = text.prompt + text.text
        assert re.fullmatch("ab[abc]+", whole)
        assert "cc" not in whole
    assert set(text_filter.refused) <= {"did not match", "rejected"}


def test_texts_come_in_the_order_of_their_prompts(model: Model):
    text_filter = TextFilter(match=re.compile("[ab].*b", re.DOTALL))
    found = list(selector(model, text_filter).write(["a", "b", "a"], 3))
    assert [text.prompt for text in found] == ["a"] * 3 + ["b"] * 3 + ["a"] * 3


def test_too_few_texts_are_an_error_after_those_that_were_found(model: Model):
    text_filter = TextFilter(unique=True, match=re.compile("[ab]{3}"))
    found: list[Found] = []
    with pytest.raises(GenerationError, match=r"found 8 of 9 texts in 900 tries \(") as raised:
        found.extend(selector(model, text_filter).write([""], 9))
    assert len({text.text for text in found}) == 8  # all there are
    assert "repeated" in str(raised.value)
    assert "did not match" in str(raised.value)


def test_the_texts_before_a_prompt_that_is_refused_are_handed_out(model: Model):
    found = []
    with pytest.raises(VocabularyError):  # noqa: PT012 - what came before it counts
        for text in selector(model, TextFilter()).write(["a", "X"], 1):
            found.append(text)
    assert [text.prompt for text in found] == ["a"]


SCORED = [
    {},
    {"temperature": 0},
    {"temperature": 0.5, "top_k": 2},
    {"repetition_guard": 3},
    {"stop": "a"},
    {"stop": "ba", "length": 80},
]


@pytest.mark.parametrize("options", SCORED)
@pytest.mark.parametrize("count", [1, FEWEST_TOGETHER])
def test_bits_are_those_of_the_text_after_its_prompt(
    model: Model, options: dict[str, Any], count: int
):
    config = SampleConfig(**{"length": 12} | options)
    texts = list(selector(model, TextFilter(), config).write(["", "abc"], count))
    for text in texts:
        if not text.text:
            assert text.bits_per_character is None
            continue
        scores = model.scorer().score(model.vocabulary.encode(text.prompt + text.text))
        expected = scores.tally(len(text.prompt)).score().bits_per_character
        assert text.bits_per_character == pytest.approx(expected, abs=CLOSE)
    assert any(text.text for text in texts)


def test_the_first_character_of_all_is_given_and_has_no_bits(tmp_path: Path):
    model = chargen.load(make_checkpoint(tmp_path, "abc").path)
    texts = selector(model, TextFilter(), SampleConfig(length=1)).write(["", "a"], 1)
    first, second = (text.bits_per_character for text in texts)
    assert first is None
    assert second is not None
    longer = next(selector(model, TextFilter(), SampleConfig(length=9)).write([""], 1))
    expected = model.evaluate(longer.text).bits_per_character
    assert longer.bits_per_character == pytest.approx(expected, abs=CLOSE)


def test_texts_that_are_not_scored_have_no_bits(model: Model):
    (text,) = Selector(model, CONFIG, TextFilter(), tries=1, random_seed=5).write(["a"], 1)
    assert text.bits_per_character is None


def test_a_pattern_is_a_regular_expression():
    assert pattern("match", None) is None
    with pytest.raises(OptionError, match="match must be a regular expression: .*found '\\('"):
        pattern("match", "(")


def test_an_error_counts_the_tries_of_its_own_prompts(model: Model):
    """Prompts from a pipe come in groups, and a selector serves them all."""
    text_filter = TextFilter(reject=pattern("reject", "^b"))
    selector = Selector(model, SampleConfig(length=3), text_filter, tries=7, random_seed=0)
    assert len(list(selector.write(["a", "c"], 5))) == 10
    with pytest.raises(GenerationError, match=r"0 of 1 texts in 7 tries \(7 rejected\)"):
        list(selector.write(["b"], 1))
    with pytest.raises(GenerationError, match=r"0 of 2 texts in 14 tries \(14 rejected\)"):
        list(selector.write(["b"], 2))
    assert text_filter.reasons() == "21 rejected"
