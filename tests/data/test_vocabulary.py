"""Characters and ids stand for each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data.vocabulary import (
    REPLACEMENT,
    Vocabulary,
    code_points,
    smallest_dtype,
)
from chargen.errors import VocabularyError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize("ids", [[-1], [3], np.array([0, 3]), np.array([-1])])
def test_ids_of_no_character_are_refused(ids: list[int]):
    with pytest.raises(ValueError, match="ids must be from 0 to 2"):
        Vocabulary("abc").decode(ids)


@given(texts)
def test_encode_and_decode_are_inverse(text: str):
    vocabulary = Vocabulary(sorted(set(text)))
    assert vocabulary.decode(vocabulary.encode(text)) == text


@given(texts, texts)
def test_an_unknown_character_gets_the_unknown_id_and_no_other(known: str, text: str):
    vocabulary = Vocabulary(sorted(set(known)))
    ids = vocabulary.encode(text)
    for character, index in zip(text, ids.tolist(), strict=True):
        if character in vocabulary:
            assert index == vocabulary.id_of(character)
        else:
            assert index == vocabulary.unknown


def test_ids_are_positions_in_sorted_order():
    assert Vocabulary(["\n", "a", "é", "中", "🙂"]).encode("🙂é\n").tolist() == [4, 2, 0]


def test_ids_use_the_smallest_type():
    assert Vocabulary(["a", "b"]).encode("ab").dtype == np.uint8
    many = [chr(0x4E00 + n) for n in range(300)]
    assert Vocabulary(many).encode("中").dtype == np.uint16
    assert smallest_dtype(255) == np.uint8
    assert smallest_dtype(256) == np.uint16


def test_the_last_code_point_is_a_character_like_any():
    vocabulary = Vocabulary(["a", "\U0010ffff"])
    assert vocabulary.encode("\U0010ffffab").tolist() == [1, 0, 2]


def test_unknown_is_the_replacement_where_there_is_one():
    assert Vocabulary(["a", "b"]).unknown == 2
    assert Vocabulary(["a", REPLACEMENT]).unknown == 1


@pytest.mark.parametrize("characters", [[], ["b", "a"], ["a", "a"], ["ab"], [""]])
def test_a_vocabulary_is_sorted_distinct_single_characters(characters: list[str]):
    with pytest.raises(ValueError, match="vocabulary"):
        Vocabulary(characters)


def test_vocabularies_of_the_same_characters_are_equal():
    vocabulary = Vocabulary(["a", "b"])
    assert vocabulary == Vocabulary(["a", "b"])
    assert vocabulary != Vocabulary(["a"])
    assert hash(vocabulary) == hash(Vocabulary(["a", "b"]))
    assert "a" in vocabulary
    assert "c" not in vocabulary
    assert list(vocabulary) == ["a", "b"]
    assert repr(vocabulary) == "Vocabulary('ab')"


def test_a_prompt_with_an_unknown_character_is_refused_by_name_and_place():
    with pytest.raises(VocabularyError, match=r"'é' \(U\+00E9\), character 2 of the prompt 'aé'"):
        Vocabulary(["a"]).encode_prompt("aé")


def test_unknown_characters_of_a_prompt_are_skipped_or_replaced():
    with_space = Vocabulary([" ", "a"])
    assert with_space.encode_prompt("aéa", "skip") == [1, 1]
    assert with_space.encode_prompt("aéa", "replace") == [1, 0, 1]
    with_replacement = Vocabulary([" ", "a", REPLACEMENT])
    assert with_replacement.encode_prompt("aéa", "replace") == [1, 2, 1]
    with pytest.raises(VocabularyError, match="nothing can replace"):
        Vocabulary(["a"]).encode_prompt("é", "replace")


def test_code_points_refuse_lone_surrogates():
    assert code_points("a🙂").tolist() == [0x61, 0x1F642]
    with pytest.raises(UnicodeEncodeError):
        code_points("\ud800")
