"""The ids of a long text are kept in a file, which is used again for the same text and no other."""

import bz2
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from chargen.checkpoint.ids import IDS, IdsFile
from chargen.data import ids as ids_module
from chargen.data.corpus import Corpus, read_corpus
from chargen.data.text import TextFormat
from chargen.data.vocabulary import Vocabulary
from chargen.errors import CheckpointError, CorpusError

TEXT = "The heron counted the moons: \xe9\xe8\U0001f642\n" * 9


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes are many, and are written in blocks of fewer."""
    monkeypatch.setattr(ids_module, "MOST_IN_MEMORY", 50)
    monkeypatch.setattr(ids_module, "BLOCK_IDS", 32)


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def folder_of(tmp_path: Path, name: str = "ck") -> Path:
    folder = tmp_path / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def encoded(
    folder: Path, *sources: str, how: TextFormat | None = None, min_count: int = 1
) -> tuple[Corpus, list[str]]:
    """The corpus, and what was said: that ids are used again."""
    notes: list[str] = []
    how = how or TextFormat()
    how = TextFormat(how.encoding, how.newlines, how.field, notes.append)
    return IdsFile(folder).corpus(sources, how, min_count=min_count), notes


def assert_same(found: Corpus, expected: Corpus) -> None:
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.ids.dtype == expected.ids.dtype
    assert found.vocabulary == expected.vocabulary
    assert found.sha256 == expected.sha256


WAYS: dict[str, tuple[str, bytes, TextFormat, int]] = {
    "plain": ("text", TEXT.encode(), TextFormat(), 1),
    "compressed": ("text.gz", gzip.compress(TEXT.encode()), TextFormat(), 1),
    "compressed otherwise": ("text.bz2", bz2.compress(TEXT.encode()), TextFormat(), 1),
    "UTF-16": ("text", TEXT.encode("utf-16"), TextFormat(), 1),
    "newlines": ("text", TEXT.replace("\n", "\r\n").encode(), TextFormat(), 1),
    "newlines kept": ("text", TEXT.replace("\n", "\r\n").encode(), TextFormat(newlines="keep"), 1),
    "another encoding": ("text", ("caf\xe9 " * 40).encode("latin-1"), TextFormat("latin-1"), 1),
    "a field": (
        "text.jsonl",
        (json.dumps({"poem": "the heron"}) + "\n").encode() * 20,
        TextFormat(field="poem"),
        1,
    ),
    "rare characters": ("text", TEXT.encode() + b"xyz", TextFormat(), 5),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_file_holds_what_is_read_in_memory_and_is_used_again(tmp_path: Path, way: str):
    name, data, how, min_count = WAYS[way]
    source, folder = tmp_path / name, folder_of(tmp_path)
    source.write_bytes(data)
    expected = read_corpus([str(source)] * 2, how, min_count=min_count)
    for again in (False, True):
        corpus, notes = encoded(folder, *[str(source)] * 2, how=how, min_count=min_count)
        assert_same(corpus, expected)
        assert any("encoded before, are used again" in note for note in notes) == again
    assert [entry.name for entry in folder.iterdir()] == [IDS]


def test_another_program_can_read_the_file(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    corpus, _ = encoded(folder, text)
    tensors = load_file(folder / IDS)
    characters = tensors["vocabulary"].tobytes().decode("utf-32-le")
    assert "".join(characters[i] for i in tensors["ids"]) == TEXT
    assert list(characters) == list(corpus.vocabulary)


def test_a_short_text_leaves_no_file(tmp_path: Path):
    source, folder = tmp_path / "text", folder_of(tmp_path)
    for name, data in (("text", b"the heron"), ("text.gz", gzip.compress(b"the heron"))):
        source = tmp_path / name
        source.write_bytes(data)
        encoded(folder, str(source))
    assert list(folder.iterdir()) == []


CHANGES: dict[str, Callable[[Path], dict[str, object]]] = {
    "another text": lambda text: {"sources": [text.with_name("other")]},
    "another order of bytes": lambda text: {"sources": [text.with_name("turned")]},
    "twice": lambda text: {"sources": [text, text]},
    "another way to read newlines": lambda text: {"how": TextFormat(newlines="keep")},
    "another encoding": lambda text: {"how": TextFormat("latin-1")},
    "another least count": lambda text: {"min_count": 2},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_file_is_not_used_for_anything_else(tmp_path: Path, text: str, change: str):
    folder = folder_of(tmp_path)
    (tmp_path / "other").write_text(TEXT + "!")
    (tmp_path / "turned").write_text(TEXT[::-1])
    encoded(folder, text)
    asked = {"sources": [text], "how": TextFormat(), "min_count": 1} | CHANGES[change](Path(text))
    sources = list(map(str, asked.pop("sources")))  # type: ignore[call-overload]
    corpus, notes = encoded(folder, *sources, **asked)  # type: ignore[arg-type]
    assert not notes
    how, min_count = asked["how"], asked["min_count"]
    assert_same(corpus, read_corpus(sources, how, min_count=min_count))  # type: ignore[arg-type]
    corpus, notes = encoded(folder, *sources, **asked)  # type: ignore[arg-type]
    assert len(notes) == 1, "it was not replaced"


@pytest.mark.parametrize("linked", [True, False])
def test_the_file_of_a_checkpoint_beside_it_is_taken_over(
    tmp_path: Path, text: str, linked: bool, monkeypatch: pytest.MonkeyPatch
):
    first, second = folder_of(tmp_path, "first"), folder_of(tmp_path, "second")
    expected, _ = encoded(first, text)
    if not linked:
        monkeypatch.delattr(os, "link")
        monkeypatch.setattr(os, "link", cannot_link, raising=False)
    corpus, (note,) = encoded(second, text)
    assert note.startswith(str(first / IDS))
    assert_same(corpus, expected)
    (first / IDS).unlink()
    assert_same(encoded(second, text)[0], expected)
    assert (second / IDS).stat().st_nlink == 1


def cannot_link(source: Path, target: Path) -> None:
    raise OSError("this file system has no links")


def damaged(data: bytes) -> dict[str, bytes]:
    """What a stranger may have made of a file, or a disk."""
    header = json.loads(data[8:4096])

    def with_header(**changes: object) -> bytes:
        return data[:8] + json.dumps(header | changes).encode().ljust(4088) + data[4096:]

    ids, vocabulary = header["ids"], header["vocabulary"]
    count = ids["shape"][0]
    return {
        "empty": b"",
        "half": data[: len(data) // 2],
        "one byte more": data + b"\0",
        "another length of the header": b"\xff" * 8 + data[8:],
        "no JSON": data[:8] + b"{" * 4088 + data[4096:],
        "a number": data[:8] + b"7".ljust(4088) + data[4096:],
        "no ids": with_header(ids=None),
        "more ids": with_header(ids=ids | {"shape": [count + 1]}),
        "no whole number of ids": with_header(ids=ids | {"shape": [float(count)]}),
        "true ids": with_header(ids=ids | {"shape": [True]}),
        "fewer than no ids": with_header(ids=ids | {"shape": [-1]}),
        "too many ids": with_header(ids=ids | {"shape": [1 << 80]}),
        "ids of another type": with_header(ids=ids | {"dtype": "I8"}),
        "ids elsewhere": with_header(ids=ids | {"data_offsets": [1, count + 1]}),
        "a third tensor": with_header(more=ids),
        "no such character": data[:-4] + b"\xff\xff\x11\x00",
        "a lone surrogate": data[:-4] + b"\x00\xd8\x00\x00",
        "characters out of order": data[:-8] + data[-4:] + data[-8:-4],
        "an id beyond the characters": data[:4096] + b"\xff" + data[4097:],
        "no character": with_header(vocabulary=vocabulary | {"shape": [0]}),
    }


def test_a_file_that_is_not_what_it_must_be_is_not_used(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    encoded(folder, text)
    expected = read_corpus([text])  # in memory: the file is about to change
    whole = (folder / IDS).read_bytes()
    for what, data in damaged(whole).items():
        (folder / IDS).unlink()
        (folder / IDS).write_bytes(data)
        corpus, notes = encoded(folder, text)
        assert not notes, what
        assert_same(corpus, expected)
        assert (folder / IDS).read_bytes() == whole, what
    assert IdsFile(folder).corpus_of(expected.sha256, expected.vocabulary) is not None


def test_only_a_regular_file_is_read(tmp_path: Path, text: str):
    beside = [folder_of(tmp_path, name) / IDS for name in ("pipe", "link", "folder")]
    os.mkfifo(beside[0])
    beside[1].symlink_to("/dev/zero")
    beside[2].mkdir()
    (tmp_path / "runs" / "file").touch()
    _, notes = encoded(folder_of(tmp_path), text)
    assert not notes


def test_the_ids_of_a_text_that_is_gone_are_found_by_what_is_recorded(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    corpus, _ = encoded(folder, text)
    found = IdsFile(folder).corpus_of(corpus.sha256, corpus.vocabulary)
    assert found is not None
    assert_same(found, corpus)
    assert IdsFile(folder).corpus_of("0" * 64, corpus.vocabulary) is None
    assert IdsFile(folder).corpus_of(corpus.sha256, Vocabulary(["a"])) is None
    assert IdsFile(tmp_path).corpus_of(corpus.sha256, corpus.vocabulary) is None


def test_what_a_killed_process_left_is_removed(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    (folder / ".ids.99999.safetensors").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    encoded(folder, text)
    assert sorted(entry.name for entry in folder.iterdir()) == [IDS, "notes.txt"]


def test_a_file_is_kept_while_it_is_needed_and_removed_with_what_is_finished(
    tmp_path: Path, text: str
):
    folder = folder_of(tmp_path)

    def fail(needed: bool) -> None:
        with IdsFile(folder) as ids_file:
            ids_file.corpus([text], TextFormat())
            ids_file.needed = needed
            raise CorpusError("the run cannot begin")

    with pytest.raises(CorpusError):
        fail(needed=False)
    assert not (folder / IDS).exists()
    with pytest.raises(CorpusError):
        fail(needed=True)
    assert (folder / IDS).exists()
    with pytest.raises(CorpusError):
        fail(needed=False)  # it was there before
    assert (folder / IDS).exists()
    with IdsFile(folder) as ids_file:
        ids_file.finish(keep=True)
        assert (folder / IDS).exists()
        ids_file.finish(keep=False)
        ids_file.finish(keep=False)
    assert not (folder / IDS).exists()


def test_a_text_that_cannot_be_decoded_leaves_nothing(tmp_path: Path):
    source, folder = tmp_path / "text", folder_of(tmp_path)
    source.write_bytes(TEXT.encode() * 9 + b"\xff" + TEXT.encode())
    with pytest.raises(CorpusError, match="does not decode"):
        encoded(folder, str(source))
    assert list(folder.iterdir()) == []


FILLING = """
import sys
from pathlib import Path
from chargen.checkpoint.ids import IdsFile
from chargen.data import ids
from chargen.data.text import TextFormat
from chargen.errors import ChargenError
ids.MOST_IN_MEMORY = 50
try:
    IdsFile(Path(sys.argv[2])).corpus([sys.argv[1]], TextFormat())
except ChargenError as error:
    print(error.as_typed)
"""


def test_a_file_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    limited = 'ulimit -f 1; trap "" XFSZ; exec "$@"'  # blocks of 512 or 1024 bytes
    # -B: what Python compiled would be cut off too, and break whoever imports it next.
    command = ["sh", "-c", limited, "sh", sys.executable, "-B", "-c", FILLING, text, str(folder)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"cannot write {folder / IDS}, which holds the ids of a long text")
    assert "File too large; make room there" in shown
    assert list(folder.iterdir()) == []


def test_progress_is_told_and_ends_with_the_whole(tmp_path: Path, text: str):
    folder = folder_of(tmp_path)
    told: list[tuple[int, int | None]] = []

    def progress(read: int, size: int | None) -> None:
        told.append((read, size))

    size = len(TEXT.encode())
    for _ in range(2):
        IdsFile(folder, progress).corpus([text], TextFormat())
        assert told[0] == told[-1] == (size, size)
        told.clear()
    packed = Path(text + ".gz")
    packed.write_bytes(gzip.compress(TEXT.encode()))
    IdsFile(folder, progress).corpus([str(packed)], TextFormat())
    assert None in {known for _, known in told}
    assert told[-1] == (size, size)
    assert np.all(np.diff([read for read, _ in told[-3:]]) >= 0)


def test_an_error_of_the_system_is_one_of_the_directory(tmp_path: Path, text: str):
    with pytest.raises((CheckpointError, FileNotFoundError)):
        encoded(tmp_path / "nowhere", text)
