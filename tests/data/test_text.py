"""Texts are read from files and standard input, whatever their encoding or compression."""

import bz2
import gzip
import hashlib
import io
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data import text as text_module
from chargen.data.corpus import read_corpus
from chargen.data.text import TextFormat, read_text
from chargen.errors import CorpusError, OptionError
from data.conftest import KEPT, on_files, texts, write


@on_files
@given(text=texts, block=st.integers(1, 7))
def test_blocks_may_end_inside_a_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int
):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", block)
    corpus = read_corpus([write(tmp_path / "text", text.encode())], KEPT)
    assert corpus.vocabulary.decode(corpus.ids) == text


@on_files
@given(text=st.text("a\r\né", min_size=1), block=st.integers(1, 3))
def test_every_way_to_end_a_line_is_read_as_a_newline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int
):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", block)
    source = write(tmp_path / "text", text.encode())
    notes: list[str] = []
    expected = re.sub("\r\n?", "\n", text)
    assert "".join(read_text([source], TextFormat(note=notes.append))) == expected
    assert len(notes) == ("\r" in text)
    assert "".join(read_text([source], KEPT)) == text
    corpus = read_corpus([source])
    assert corpus.vocabulary.decode(corpus.ids) == expected
    assert corpus.sha256 == hashlib.sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize(
    ("contents", "note"),
    [
        ([b"a\nb\n"], ""),
        ([b"a\r\nb\r\n"], "0: CRLF at the ends of lines is read as LF; --newlines keep keeps it"),
        ([b"a\rb\r"], "0: CR at the ends"),
        ([b"a\nb\rc\r\n"], "0: CRLF and CR at the ends"),
        ([b"a\n", b"b\r", b"c\r\n"], "1 and 1 more: CRLF and CR at the ends"),
    ],
)
def test_newlines_that_were_changed_are_said_once(tmp_path: Path, contents: list[bytes], note: str):
    sources = [write(tmp_path / str(number), data) for number, data in enumerate(contents)]
    notes: list[str] = []
    list(read_text(sources, TextFormat(note=notes.append)))
    assert len(notes) == bool(note)
    if note:
        assert notes[0].startswith(f"{tmp_path}/{note}")
    list(read_text(sources, TextFormat(newlines="keep", note=notes.append)))
    assert len(notes) == bool(note)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("pauses", [False, True])
def test_the_mark_of_a_wide_encoding_is_recognised(tmp_path: Path, encoding: str, pauses: bool):
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"  # Python writes it by itself
    source = write(tmp_path / "text", f"{mark}Grüße, 世界\r\n".encode(encoding))
    assert "".join(read_text([source], pauses=pauses)) == "Grüße, 世界\n"
    assert "".join(read_text([source], TextFormat("UTF8"), pauses=pauses)) == "Grüße, 世界\n"
    with pytest.raises(CorpusError, match="is not ascii"):
        list(read_text([source], TextFormat("ascii")))


def test_files_are_joined_in_order_with_nothing_between(tmp_path: Path):
    first = write(tmp_path / "b", b"one")
    second = write(tmp_path / "a", b"two\r\n")
    assert "".join(read_text([first, second], KEPT)) == "onetwo\r\n"


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files_are_text(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]):
    source = write(tmp_path / f"text{suffix}", compress("Grüße\n".encode() * 1000))
    assert "".join(read_text([source])) == "Grüße\n" * 1000


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_file_that_does_not_decompress_is_named(tmp_path: Path, suffix: str):
    source = write(tmp_path / f"text{suffix}", b"this is no archive")
    with pytest.raises(CorpusError, match=r"does not decompress"):
        list(read_text([source]))


def test_a_truncated_archive_is_named(tmp_path: Path):
    rng = np.random.default_rng(0)
    source = write(tmp_path / "text.gz", gzip.compress(rng.bytes(5000).hex().encode())[:2000])
    with pytest.raises(CorpusError, match=r"text\.gz does not decompress"):
        list(read_text([source]))


def test_a_byte_order_mark_is_dropped_from_each_file_and_kept_within(tmp_path: Path):
    mark = "\ufeff"
    source = write(tmp_path / "text", f"{mark}a{mark}b".encode())
    assert "".join(read_text([source, source])) == f"a{mark}ba{mark}b"
    wide = write(tmp_path / "wide", "añb".encode("utf-16"))
    assert "".join(read_text([wide], TextFormat("utf-16"))) == "añb"


def test_texts_may_have_another_encoding(tmp_path: Path):
    source = write(tmp_path / "text", "Grüße".encode("latin-1"))
    assert "".join(read_text([source], TextFormat("latin-1"))) == "Grüße"
    for name in ("klingon", "hex", ""):
        with pytest.raises(OptionError, match="encoding must be"):
            list(read_text([source], TextFormat(name)))


def test_undecodable_bytes_are_named_with_file_offset_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 4)
    source = write(tmp_path / "text", "ab\xe9".encode() + b"abc\xff!")
    with pytest.raises(CorpusError) as caught:
        list(read_text([source]))
    for part in (source, "0xff", "offset 7", "encoding"):
        assert part in str(caught.value)


def test_a_character_cut_off_at_the_end_is_an_error(tmp_path: Path):
    source = write(tmp_path / "text", "abé".encode()[:-1])
    with pytest.raises(CorpusError, match="offset 2"):
        list(read_text([source]))


def test_lone_surrogates_are_no_characters(tmp_path: Path):
    source = write(tmp_path / "text", rb"a\ud800")
    with pytest.raises(CorpusError, match=r"lone surrogate U\+D800"):
        list(read_text([source], TextFormat("unicode_escape")))


def test_missing_files_and_directories_are_named(tmp_path: Path):
    with pytest.raises(CorpusError, match="no such file: .*nowhere"):
        list(read_text([str(tmp_path / "nowhere")]))
    with pytest.raises(CorpusError, match=r"pipe the text in, as in `curl -s https://a\.org/t \|"):
        list(read_text(["https://a.org/t"]))
    with pytest.raises(CorpusError, match="is a directory"):
        list(read_text([str(tmp_path)]))
    with pytest.raises(CorpusError, match="Not a directory"):
        list(read_text([write(tmp_path / "file", b"") + "/text"]))


def test_a_text_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO("né".encode()))
    monkeypatch.setattr("sys.stdin", stream)
    corpus = read_corpus(["-"])
    assert corpus.vocabulary.decode(corpus.ids) == "né"
    assert not stream.closed
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CorpusError, match="standard input is closed"):
        read_corpus(["-"])
