"""N-grams and compressors predict a text as other programs do."""

import bz2
import gzip

import numpy as np
import pytest
from conftest import FABLES

from chargen.data.vocabulary import Vocabulary
from chargen.scoring import baselines
from chargen.scoring.baselines import (
    HIGHEST_ORDER,
    compressed_bits,
    mean_ngram_bits,
    ngram_bits,
)

pytestmark = pytest.mark.numeric


def as_ids(text: str, alphabet: str) -> np.ndarray:
    return np.array([alphabet.index(character) for character in text], np.uint8)


@pytest.mark.parametrize("discount", [None, 0.3])
def test_the_probabilities_of_what_may_come_sum_to_one(discount: float | None):
    alphabet = "abcdz"  # the last of them was never seen
    rng = np.random.default_rng(0)
    train = rng.integers(0, 4, 300).astype(np.uint8)
    for before in ("", "a", "dcba", "zzzz", "abcdabcdabcd"):
        context = as_ids(before, alphabet)
        texts = [np.append(context, np.uint8(last)) for last in range(5)]
        found = np.array(
            [[bits[-1] for bits in ngram_bits(train, text, 5, discount)] for text in texts]
        )
        assert found.shape == (5, HIGHEST_ORDER + 1)
        np.testing.assert_allclose((2.0**-found).sum(axis=0), 1, rtol=1e-9)
        assert np.isfinite(found).all()


def test_a_character_is_predicted_from_those_before_it_and_no_others():
    rng = np.random.default_rng(1)
    train, text = (rng.integers(0, 4, n).astype(np.uint8) for n in (500, 60))
    whole = list(ngram_bits(train, text, 4))
    for order, bits in enumerate(ngram_bits(train, text[:40], 4)):
        np.testing.assert_array_equal(bits, whole[order][:40])


def test_characters_that_are_not_in_the_vocabulary_do_not_count():
    vocabulary = Vocabulary("ab")
    train, text = vocabulary.encode("abba" * 9), vocabulary.encode("abxbxxa")
    means = mean_ngram_bits(train, text, vocabulary, 3)
    whole = list(ngram_bits(train, text, 3))[:4]
    assert means == [pytest.approx(bits[[0, 1, 3, 6]].mean()) for bits in whole]
    assert np.isnan(mean_ngram_bits(train, text[2:3], vocabulary, 3)).all()
    assert len(mean_ngram_bits(train, text[:0], vocabulary)) == HIGHEST_ORDER + 1


def test_contexts_whose_numbers_grow_too_large_are_numbered_anew(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(2)
    train, text = (rng.integers(0, 4, n).astype(np.uint16) for n in (900, 200))
    plain = list(ngram_bits(train, text, 4))
    monkeypatch.setattr(baselines, "LARGEST_NUMBER", 4**4)
    for one, two in zip(plain, ngram_bits(train, text, 4), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_the_figures_are_those_of_nltk():
    """NLTK's own Kneser-Ney, on the same counts."""
    from nltk import lm
    from nltk.util import everygrams

    train, text, discount = FABLES[:20_000], FABLES[20_000:23_000], 0.3
    alphabet = "".join(sorted(set(train)))
    text = "".join(character for character in text if character in alphabet)
    ours = list(
        ngram_bits(as_ids(train, alphabet), as_ids(text, alphabet), len(alphabet), discount)
    )
    for order in (1, 2, 4):
        model = lm.KneserNeyInterpolated(order + 1, discount=discount)
        model.fit([list(everygrams(train, max_len=order + 1))], vocabulary_text=list(train))
        theirs = [
            -model.logscore(text[k], tuple(text[max(0, k - order) : k]))
            for k in range(order, len(text))
        ]
        assert np.mean(ours[order][order:]) == pytest.approx(np.mean(theirs), abs=0.01)


def test_a_text_that_was_seen_costs_a_compressor_little():
    bits = dict(compressed_bits(FABLES[:30_000], FABLES[10_000:14_000]))
    assert list(bits) == ["gzip", "bzip2", "xz", "zstd"]
    assert bits["xz"] < 4_000 * 0.1
    assert bits["zstd"] < 4_000 * 0.1
    fresh = dict(compressed_bits("", FABLES[:4_000]))
    data = FABLES[:4_000].encode()
    assert fresh["gzip"] / 8 == pytest.approx(len(gzip.compress(data, 9)), abs=30)
    assert fresh["bzip2"] / 8 == pytest.approx(len(bz2.compress(data, 9)), abs=30)


def test_ngrams_may_be_counted_in_texts_of_no_or_one_character():
    empty = np.zeros(0, np.uint8)
    assert [len(bits) for bits in ngram_bits(empty, empty, 3)] == [0] * (HIGHEST_ORDER + 1)
    one = list(ngram_bits(empty, np.array([1], np.uint8), 4))
    assert one[0].tolist() == [2.0]
    two = list(ngram_bits(np.array([1, 1], np.uint8), np.array([1], np.uint8), 4))
    assert two[0][0] < 2.0
