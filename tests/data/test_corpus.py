"""Texts become ids, which are fingerprinted and split."""

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data import text as text_module
from chargen.data.corpus import read_corpus, read_ids, split_at
from chargen.data.text import TextFormat
from chargen.data.vocabulary import REPLACEMENT, Vocabulary
from chargen.errors import CorpusError
from data.conftest import KEPT, on_files, texts, write


@on_files
@given(texts)
def test_reading_gives_back_every_character(tmp_path: Path, text: str):
    corpus = read_corpus([write(tmp_path / "text", text.encode())], KEPT)
    assert corpus.vocabulary.decode(corpus.ids) == text
    assert list(corpus.vocabulary) == sorted(set(text))


def test_an_empty_text_is_an_error(tmp_path: Path):
    for data in (b"", "\ufeff".encode()):
        with pytest.raises(CorpusError, match="no text in"):
            read_corpus([write(tmp_path / "empty", data)])


@on_files
@given(text=st.text("abcdeé🙂", min_size=1), min_count=st.integers(1, 5))
def test_min_count_replaces_just_the_rarer_characters(tmp_path: Path, text: str, min_count: int):
    corpus = read_corpus([write(tmp_path / "text", text.encode())], min_count=min_count)
    counts = Counter(text)
    expected = "".join(c if counts[c] >= min_count else REPLACEMENT for c in text)
    assert corpus.vocabulary.decode(corpus.ids) == expected
    assert list(corpus.vocabulary) == sorted(set(expected))


@on_files
@given(st.text("abcé", min_size=1), st.text("bcd\ufffd🙂"), st.integers(1, 3))
def test_known_characters_are_kept_however_rare(
    tmp_path: Path, text: str, known: str, min_count: int
):
    source = write(tmp_path / "text", text.encode())
    corpus = read_corpus([source], min_count=min_count, known=known)
    counts = Counter(text)
    expected = "".join(c if c in known or counts[c] >= min_count else REPLACEMENT for c in text)
    assert corpus.vocabulary.decode(corpus.ids) == expected
    assert set(corpus.vocabulary) == {*known, *expected}


def test_many_known_characters_widen_the_ids(tmp_path: Path):
    known = [chr(n) for n in range(300)]
    corpus = read_corpus([write(tmp_path / "text", "aĀb".encode())], known=known)
    assert corpus.ids.dtype == np.uint16
    assert corpus.vocabulary.decode(corpus.ids) == "aĀb"


def test_many_characters_widen_the_ids_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 64)
    text = "".join(chr(n) for n in range(32, 0xD000)) + "".join(
        chr(n) for n in range(0xE000, 0x14000)
    )
    corpus = read_corpus([write(tmp_path / "text", text.encode())])
    assert corpus.ids.dtype == np.uint32
    assert corpus.vocabulary.decode(corpus.ids) == text
    replaced = read_corpus([write(tmp_path / "text", ("aa" + text).encode())], min_count=2)
    assert replaced.ids.dtype == np.uint8


def test_the_fingerprint_is_of_the_text_not_of_its_bytes(tmp_path: Path):
    plain = write(tmp_path / "plain", "né".encode())
    packed = write(tmp_path / "packed.gz", gzip.compress("né".encode()))
    latin = write(tmp_path / "latin", "né".encode("latin-1"))
    other = write(tmp_path / "other", b"ne")
    fingerprint = read_corpus([plain]).sha256
    assert read_corpus([packed]).sha256 == fingerprint
    assert read_corpus([latin], TextFormat("latin-1")).sha256 == fingerprint
    assert read_corpus([other]).sha256 != fingerprint


def test_ids_of_another_vocabulary_mark_what_it_does_not_know(tmp_path: Path):
    vocabulary = Vocabulary(["a", "b"])
    assert read_ids([write(tmp_path / "text", b"abc")], vocabulary).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("characters", "cut"), [(1_115_394, 1_003_854), (10, 9), (1, 0)])
def test_the_split_is_the_published_one(characters: int, cut: int):
    assert split_at(characters, 0.1) == cut


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_split_lies_within_the_text(characters: int, share: float):
    assert 0 <= split_at(characters, share) <= characters
    assert split_at(characters, 0) == characters


def test_a_corpus_splits_by_share_or_by_file(tmp_path: Path):
    corpus = read_corpus([write(tmp_path / "text", b"abcdefghij")])
    train, held_out = corpus.split(0.3)
    assert corpus.vocabulary.decode(train) == "abcdefg"
    assert corpus.vocabulary.decode(held_out) == "hij"
    train, held_out = corpus.split(write(tmp_path / "other", b"cab"))
    assert len(train) == 10
    assert held_out.tolist() == [2, 0, 1]


def test_memory_stays_proportional_to_the_ids(tmp_path: Path):
    size = 20_000_000
    line = b"It was a line much like the next.\n"
    source = write(tmp_path / "text", line * (size // len(line)))
    read_corpus([write(tmp_path / "line", line)])  # imports what NumPy and codecs do at first use
    tracemalloc.start()
    corpus = read_corpus([source])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The ids, a byte each, and blocks of a fixed size around them; NumPy before 2.3 sorts a block
    # to find what is in it, which takes another.
    assert peak < len(corpus.ids) + 25 * text_module.BLOCK_BYTES
