"""Guards forbid what would copy or repeat a passage, and nothing else."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from rounding import assert_same_text

import chargen
from chargen.config import SampleConfig
from chargen.data.passages import window_hashes
from chargen.data.vocabulary import REPLACEMENT
from chargen.errors import OptionError
from chargen.model import Model
from chargen.sampling import guards as guards_module
from chargen.sampling.generate import write
from chargen.sampling.guards import REMEMBERED_CHARACTERS, CopyIndex, Guard, RollingHash

pytestmark = pytest.mark.numeric

IDS = st.lists(st.integers(0, 3), max_size=50)
CHARACTERS = "\n abcdefghij"


@given(IDS, st.integers(1, 6))
def test_a_rolling_hash_is_that_of_the_window(ids: list[int], length: int):
    window = RollingHash(length)
    rolled = []
    for index in ids:
        window.add(index)
        rolled.append(window.hash())
    expected = [int(h) for block in window_hashes(np.array(ids, np.uint8), length) for h in block]
    assert [h for h in rolled if h is not None] == expected
    assert rolled[: length - 1] == [None] * min(length - 1, len(ids))


@given(IDS, IDS, st.integers(2, 6), st.integers(1, 9))
def test_what_would_complete_a_copy_is_forbidden_and_nothing_else(
    corpus: list[int], text: list[int], length: int, most_sorted: int
):
    size = 3  # so that 3 is a character that the model does not know
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards_module, "MOST_SORTED", most_sorted)  # so that it is made in parts
        patch.setattr(guards_module, "PER_BUCKET", 2)
        index = CopyIndex(np.array(corpus, np.uint8), length, size)
    guard = Guard(size, copies=index)
    passages = {tuple(corpus[k : k + length]) for k in range(len(corpus) - length + 1)}
    for place, index in enumerate(text):
        context = tuple(text[max(0, place - length + 1) : place])
        expected = {c for c in range(size) if (*context, c) in passages}
        if len(expected) == size:
            with pytest.raises(OptionError, match="max_copy"):
                guard.banned()
        else:
            assert set(guard.banned()) == expected
        guard.accept(index)


@given(IDS, st.integers(2, 5))
def test_what_would_repeat_a_passage_is_forbidden_and_nothing_else(text: list[int], length: int):
    guard = Guard(99, repetition=length)
    for place, index in enumerate(text):
        context = tuple(text[max(0, place - length + 1) : place])
        said = {tuple(text[k : k + length]) for k in range(place - length + 1)}
        assert set(guard.banned()) == {c for c in range(4) if (*context, c) in said}
        guard.accept(index)


@pytest.mark.parametrize("size", [2, 256, 257, 70_000])
def test_an_index_of_any_alphabet_is_exact_and_small(size: int):
    rng = np.random.default_rng(0)
    corpus = rng.integers(0, size + 1, 20_000).astype(np.uint32)
    index = CopyIndex(corpus, 20, size)
    hashes = next(window_hashes(corpus, 19)).tolist()
    for place in range(0, 19_980, 50):
        end = int(corpus[place + 19])
        assert list(index.ends_after(hashes[place])) == ([end] if end < size else [])
    assert not any(index.ends_after(int(h)) for h in rng.integers(0, 1 << 64, 999, np.uint64))
    assert index.nbytes < 20_000 * (5 + np.min_scalar_type(size - 1).itemsize)


def test_a_passage_of_long_ago_may_come_again():
    guard = Guard(99, repetition=3)
    for index in (7, 8, 9, *([1, 2] * REMEMBERED_CHARACTERS), 7, 8):
        guard.accept(index)
    assert not guard.banned()
    guard.accept(9)
    guard.accept(7)
    guard.accept(8)
    assert list(guard.banned()) == [9]


def passages(text: str, length: int) -> list[str]:
    return [text[k : k + length] for k in range(len(text) - length + 1)]


def text_of(count: int) -> str:
    return "".join(np.random.default_rng(0).choice(list(CHARACTERS), count))


@pytest.fixture(params=[{}, {"cell": "gru", "layers": 2}, {"predict": "last", "window": 4}])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return chargen.load(make_checkpoint(tmp_path / "ck", CHARACTERS, **request.param).path)


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_k": 2}, {"top_p": 0.8}])
def test_no_passage_is_copied_alone_or_together(
    model: Model, tmp_path: Path, options: dict[str, Any]
):
    text = text_of(300) + model.sample(length=60, random_seed=1, **options)  # it is at a loss
    (tmp_path / "corpus").write_text(text)
    copies = model.copy_index(tmp_path / "corpus", 3)
    config = SampleConfig(length=150, **options)
    seeds = ["", text[:7], *(text[k : k + 4] for k in range(20, 26))]
    together = ["".join(pieces) for _, pieces in write(model, seeds, config, 1, copies=copies)]
    for number, (seed, written) in enumerate(zip(seeds, together, strict=True)):
        # What reaches from the seed into the text counts; the seed itself is the user's.
        whole = (seed + written)[max(0, len(seed) - 2) :]
        assert not set(passages(whole, 3)) & set(passages(text, 3))
        ((_, pieces),) = write(model, [seed], config, 1 + number, copies=copies)
        alone = "".join(pieces)
        prompt_ids = model.vocabulary.encode_prompt(seed)
        assert_same_text(model.checkpoint, prompt_ids, config, 1 + number, alone, written, copies)


def test_a_corpus_may_have_characters_that_the_model_does_not_know(model: Model, tmp_path: Path):
    known = text_of(30)
    text = "".join(pair for character in known for pair in (character, "é"))
    (tmp_path / "corpus").write_text(text + known)
    written = model.sample(length=150, copies=model.copy_index(tmp_path / "corpus", 2))
    assert len(written) == 150
    assert not set(passages(written, 2)) & set(passages(known, 2))


def test_an_index_of_copies_can_be_pickled():
    index = CopyIndex(np.array([0, 1, 0, 1, 1, 2, 0, 1]), 3, 3)
    again = pickle.loads(pickle.dumps(index))
    assert again.length == 3
    assert again.nbytes == index.nbytes
    window = RollingHash(2)
    for character in (0, 1):
        window.add(character)
    known = window.hash()
    assert known is not None
    assert list(again.ends_after(known)) == list(index.ends_after(known)) == [0, 1]


def test_the_repetition_guard_lets_no_passage_come_twice(model: Model):
    free = model.sample(length=600, temperature=0)
    assert len(set(passages(free, 8))) < len(passages(free, 8))
    for options in ({"temperature": 0}, {"random_seed": 3}):
        written = model.sample("abc", length=600, repetition_guard=8, **options)
        assert len(set(passages("abc" + written, 8))) == len(passages("abc" + written, 8))


def test_guards_that_forbid_every_character_are_an_error(tmp_path: Path):
    model = chargen.load(make_checkpoint(tmp_path / "ck", "ab").path)
    (tmp_path / "corpus").write_text("aababb" * 3)
    copies = model.copy_index(tmp_path / "corpus", 2)
    with pytest.raises(OptionError, match="leaves no character to continue with"):
        model.sample("a", length=50, copies=copies)
    with pytest.raises(OptionError, match="max_copy must be 2 or more"):
        model.copy_index(tmp_path / "corpus", 1)
    with pytest.raises(OptionError, match="repetition_guard must be"):
        model.sample(repetition_guard=1)


def test_a_guard_that_leaves_only_what_is_never_written_says_so(tmp_path: Path):
    """U+FFFD stands for characters that were too rare, and is never drawn."""
    model = chargen.load(make_checkpoint(tmp_path, "ab" + REPLACEMENT).path)
    with pytest.raises(OptionError, match="repetition_guard leaves no character"):
        model.sample("a", length=50, random_seed=0, repetition_guard=2)
