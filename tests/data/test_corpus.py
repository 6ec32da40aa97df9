"""Texts are read from files, whatever their encoding or compression, and split."""

import bz2
import gzip
import hashlib
import io
import lzma
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargen.data import corpus as corpus_module
from chargen.data.corpus import TextFormat, expanded, read_corpus, read_ids, read_text, split_at
from chargen.data.vocabulary import REPLACEMENT, Vocabulary
from chargen.errors import CorpusError, OptionError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.startswith("\ufeff")
)
KEPT = TextFormat(newlines="keep")
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@on_files
@given(texts)
def test_reading_gives_back_every_character(tmp_path: Path, text: str):
    corpus = read_corpus([write(tmp_path / "text", text.encode())], KEPT)
    assert corpus.vocabulary.decode(corpus.ids) == text
    assert list(corpus.vocabulary) == sorted(set(text))


@on_files
@given(text=texts, block=st.integers(1, 7))
def test_blocks_may_end_inside_a_character(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int
):
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", block)
    corpus = read_corpus([write(tmp_path / "text", text.encode())], KEPT)
    assert corpus.vocabulary.decode(corpus.ids) == text


@on_files
@given(text=st.text("a\r\né", min_size=1), block=st.integers(1, 3))
def test_every_way_to_end_a_line_is_read_as_a_newline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int
):
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", block)
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with texts, and with what is not to be read."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name, data in {
        "c.md": b"three",
        "a.txt": b"one",
        "b/x.md": b"two",
        "b/wide.txt": "wide".encode("utf-16"),
        "d.txt.gz": gzip.compress(b"four"),
        "picture.png": b"\x89PNG\0\0",
        ".hidden": b"not this",
        ".git/config": b"nor this",
    }.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("pattern", "names", "note"),
    [
        (
            "*",
            ["a.txt", "b/wide.txt", "b/x.md", "c.md", "d.txt.gz"],
            "5 text files are read in the order of their paths, and 1 that are not text",
        ),
        ("*.md", ["b/x.md", "c.md"], "2 text files that match *.md are read in the order of their"),
    ],
)
def test_a_directory_stands_for_its_text_files(
    folder: Path, pattern: str, names: list[str], note: str
):
    notes: list[str] = []
    found = expanded(["first", str(folder), "-"], pattern, notes.append)
    assert found == ["first", *(str(folder / name) for name in names), "-"]
    assert len(notes) == 1
    assert notes[0].startswith(f"{folder}: {note}")
    if pattern == "*":
        assert "".join(read_text(found[1:-1])) == "onewidetwothreefour"


def test_a_directory_without_texts_and_a_pattern_without_a_directory_are_refused(folder: Path):
    with pytest.raises(CorpusError, match=r"folder has no text files that match \*\.png;"):
        expanded([str(folder)], "*.png")
    with pytest.raises(OptionError, match="glob narrows a directory"):
        expanded([str(folder / "a.txt")], "*.md")
    for pattern in ("", "/etc/*"):
        with pytest.raises(OptionError, match="glob must be a pattern of file names"):
            expanded([str(folder)], pattern)


def test_texts_may_have_another_encoding(tmp_path: Path):
    source = write(tmp_path / "text", "Grüße".encode("latin-1"))
    assert "".join(read_text([source], TextFormat("latin-1"))) == "Grüße"
    for name in ("klingon", "hex", ""):
        with pytest.raises(OptionError, match="encoding must be"):
            list(read_text([source], TextFormat(name)))


def test_undecodable_bytes_are_named_with_file_offset_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 4)
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


def test_an_empty_text_is_an_error(tmp_path: Path):
    for data in (b"", "\ufeff".encode()):
        with pytest.raises(CorpusError, match="no text in"):
            read_corpus([write(tmp_path / "empty", data)])


def test_a_text_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO("né".encode()))
    monkeypatch.setattr("sys.stdin", stream)
    corpus = read_corpus(["-"])
    assert corpus.vocabulary.decode(corpus.ids) == "né"
    assert not stream.closed
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CorpusError, match="standard input is closed"):
        read_corpus(["-"])


@on_files
@given(text=st.text("abcdeé🙂", min_size=1), min_count=st.integers(1, 5))
def test_min_count_replaces_just_the_rarer_characters(tmp_path: Path, text: str, min_count: int):
    corpus = read_corpus([write(tmp_path / "text", text.encode())], min_count=min_count)
    counts = Counter(text)
    expected = "".join(c if counts[c] >= min_count else REPLACEMENT for c in text)
    assert corpus.vocabulary.decode(corpus.ids) == expected
    assert list(corpus.vocabulary) == sorted(set(expected))


def test_many_characters_widen_the_ids_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpus_module, "BLOCK_BYTES", 64)
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
    assert peak < len(corpus.ids) + 25 * corpus_module.BLOCK_BYTES
