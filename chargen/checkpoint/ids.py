"""The ids of a long text in a file of its run's directory, so that it is encoded only once.

    ids.safetensors   the ids, and the characters that they stand for, in the format of safetensors

The text that it was made of is told by a digest of its bytes, which is far faster to compute than
the text is to encode. The header always takes one page, so that it can be written after the ids,
and the ids are aligned. A file may come from a stranger, so it is only used if it is exactly what
such a file must be, and all its ids are in its vocabulary.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Self

import numpy as np

from chargen.checkpoint.atomic import put_in_place, remove_temporary, temporary_name
from chargen.data.corpus import Corpus, Ids, most_bytes, read_corpus
from chargen.data.ids import fits_in_memory, in_blocks, mapped
from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import TextFormat, read_bytes
from chargen.data.vocabulary import LAST_CODE_POINT, Vocabulary, smallest_dtype
from chargen.errors import CheckpointError

__all__ = ["IDS", "IdsFile", "Progress"]

IDS = "ids.safetensors"
LENGTH_BYTES = 8
"""Bytes before the header, which hold its length."""
HEADER_BYTES = 4096
"""Bytes before the ids, which hold the header."""
DTYPES = {1: "U8", 2: "U16", 4: "U32"}
"""What safetensors calls unsigned types of so many bytes."""
UNUSABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What is raised by reading a file that is missing, or is no such file."""

Progress = Callable[[int, int | None], None]
"""Is told how many bytes of a text have been read, and how many there are if that is known."""


def _ignore(read: int, size: int | None) -> None:
    """Ignore how far reading is."""


@dataclass(frozen=True)
class _Record:
    """What the header of such a file says of the text.

    Attributes:
        source: the digest of its bytes and of how they were read.
        size: how many bytes there were.
        sha256: the fingerprint of the text, as a corpus has it.
        known: the digest of the characters that were to be in the vocabulary in any case.
        vocabulary: the digest of those that are in it.
    """

    source: str
    size: int
    sha256: str
    known: str
    vocabulary: str


@dataclass(frozen=True)
class _Text:
    """A text and how it is read: the arguments of `read_corpus`."""

    sources: Sequence[str]
    text_format: TextFormat
    min_count: int
    known: tuple[str, ...]

    def read(self, **how: Any) -> Corpus:
        """Read it, with other arguments of `read_corpus`."""
        return read_corpus(
            self.sources, self.text_format, min_count=self.min_count, known=self.known, **how
        )


class IdsFile:
    """The file of ids in a checkpoint's directory: there is one if the text is long.

    Args:
        folder: the directory, which no other process trains in.
        progress: is told now and then how far the text has been read.

    A file that was made in the body of a `with`, but not `needed` when that ends with an error, is
    removed again.

    Attributes:
        needed: whether a run has begun that can be resumed, and then needs the ids again.
    """

    def __init__(self, folder: Path, progress: Progress = _ignore) -> None:
        self._path, self._progress = folder / IDS, progress
        self._made = self.needed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None and self._made and not self.needed:
            self._remove()

    def corpus(
        self,
        sources: Sequence[str],
        text_format: TextFormat,
        *,
        min_count: int = 1,
        known: Iterable[str] = (),
    ) -> Corpus:
        """Return what `read_corpus` would, with the ids of a long text in the file.

        If the file holds the ids of this text already, or that of a checkpoint beside this one
        does, the text is not encoded again.

        Raises:
            CheckpointError: the file cannot be written.
            CorpusError: as for `read_corpus`.
            OptionError: as for `read_corpus`.
        """
        remove_temporary(self._path.parent, (IDS,))
        text, size = _Text(sources, text_format, min_count, tuple(known)), most_bytes(sources)
        if size is not None and fits_in_memory(size):
            return text.read()
        return self._found(text, size) or self._encoded(text, size)

    def corpus_of(self, sha256: str, vocabulary: Vocabulary) -> Corpus | None:
        """Return the corpus in the file, if it has this fingerprint and vocabulary."""
        try:
            corpus = _read(self._path, lambda record: record.sha256 == sha256)
        except UNUSABLE:
            return None
        return corpus if corpus is not None and corpus.vocabulary == vocabulary else None

    def finish(self, *, keep: bool) -> None:
        """Remove the file of a run that is finished, unless it is to be kept for other runs."""
        if not keep:
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):  # it only takes room
            self._path.unlink(missing_ok=True)

    def _found(self, text: _Text, size: int | None) -> Corpus | None:
        if not all(source != STANDARD_INPUT and Path(source).is_file() for source in text.sources):
            return None  # it can be read only once
        digest: str | None = None
        known = _digest_of(text.known)

        def is_same(record: _Record) -> bool:
            nonlocal digest
            # A resumed run knows all of the vocabulary that it began with.
            if known not in (record.known, record.vocabulary):
                return False
            if size is not None and record.size != size:
                return False
            if digest is None:
                digest = self._digest_of(text, size)
            return record.source == digest

        for path in (self._path, *_beside(self._path)):
            try:
                corpus = _read(path, is_same)
            except UNUSABLE:
                continue
            if corpus is not None:
                if path != self._path:
                    self._take_over(path)
                text.text_format.note(
                    f"{path}: the ids of this text, encoded before, are used again"
                )
                return corpus
        return None

    def _take_over(self, path: Path) -> None:
        """Give the file of another checkpoint a name in this one's directory too."""
        temporary = temporary_name(self._path)
        try:
            try:
                os.link(path, temporary)
            except OSError:  # the file system has no links
                shutil.copyfile(path, temporary)
            put_in_place(temporary, self._path)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._made = True

    def _encoded(self, text: _Text, size: int | None) -> Corpus:
        temporary = temporary_name(self._path)
        digest = _Digest(text)

        def watch(block: bytes) -> None:
            digest.add(block)
            self._progress(digest.size, size)

        files: list[BinaryIO] = []  # none if the text turns out to be short
        try:
            with ExitStack() as stack:

                def open_file() -> BinaryIO:
                    stack.callback(temporary.unlink, missing_ok=True)
                    files.append(stack.enter_context(temporary.open("w+b")))
                    files[0].seek(HEADER_BYTES)
                    return files[0]

                corpus = text.read(open_file=open_file, watch=watch)
                for file in files:
                    record = _Record(
                        digest.hexdigest(),
                        digest.size,
                        corpus.sha256,
                        _digest_of(text.known),
                        _digest_of(corpus.vocabulary),
                    )
                    _complete(file, corpus, record)
                    put_in_place(temporary, self._path)
                    self._made = True
        except OSError as error:  # when it is closed too, which writes what is left
            raise self._unwritable(error) from None
        self._progress(digest.size, digest.size)
        return corpus

    def _digest_of(self, text: _Text, size: int | None) -> str:
        digest = _Digest(text)
        for source in text.sources:
            for block in read_bytes(source):
                digest.add(block or b"")
                self._progress(digest.size, size)
        self._progress(digest.size, digest.size)
        return digest.hexdigest()

    def _unwritable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"cannot write {self._path}, which holds the ids of a long text while it is learned "
            f"from: {error.strerror or error}; make room there, or give another --checkpoint"
        )


class _Digest:
    """What tells a text without decoding it: a digest of its bytes, and of how they are read.

    Attributes:
        size: how many bytes there have been.
    """

    def __init__(self, text: _Text) -> None:
        read = text.text_format
        how = (read.encoding, read.newlines, read.field, text.min_count)
        # What is compressed, and what has fields, is told by the ending of its name.
        endings = [PurePath(source).suffix for source in text.sources]
        self._all = hashlib.sha256(json.dumps([how, endings]).encode())
        self._source = hashlib.sha256()
        self.size = 0

    def add(self, block: bytes) -> None:
        """Add the next bytes; none end a source."""
        if block:
            self.size += len(block)
            self._source.update(block)
        else:
            self._all.update(self._source.digest())
            self._source = hashlib.sha256()

    def hexdigest(self) -> str:
        return self._all.hexdigest()


def _digest_of(characters: Iterable[str]) -> str:
    return hashlib.sha256("".join(characters).encode()).hexdigest()


def _beside(path: Path) -> Iterator[Path]:
    """Yield the files of this name in the directories beside a file's."""
    folder = path.parent.resolve()
    with suppress(OSError), os.scandir(folder.parent) as entries:
        for entry in entries:
            # Hidden ones may belong to a run that is about to replace another.
            if not entry.name.startswith(".") and entry.name != folder.name:
                yield Path(entry.path, path.name)


def _header(count: int, characters: int, record: _Record) -> dict[str, Any]:
    """Return the header of a file with so many ids of so many distinct characters."""
    width = smallest_dtype(characters - 1).itemsize
    end = count * width
    return {
        "__metadata__": {
            "source": record.source,
            "size": str(record.size),
            "sha256": record.sha256,
            "known": record.known,
            "vocabulary": record.vocabulary,
        },
        "ids": {"dtype": DTYPES[width], "shape": [count], "data_offsets": [0, end]},
        "vocabulary": {
            "dtype": "U32",
            "shape": [characters],
            "data_offsets": [end, end + 4 * characters],
        },
    }


def _complete(file: BinaryIO, corpus: Corpus, record: _Record) -> None:
    """Write what belongs after and before the ids."""
    file.seek(0, os.SEEK_END)
    file.write(np.array([ord(c) for c in corpus.vocabulary], "<u4").tobytes())
    header = json.dumps(_header(len(corpus.ids), len(corpus.vocabulary), record)).encode()
    room = HEADER_BYTES - LENGTH_BYTES
    file.seek(0)
    file.write(room.to_bytes(LENGTH_BYTES, "little") + header.ljust(room))
    file.flush()


def _read(path: Path, is_wanted: Callable[[_Record], bool]) -> Corpus | None:
    """Return the corpus in a file, or None if its text is not the one that is wanted.

    Raises:
        One of `UNUSABLE`, if it is no such file.
    """
    # What is not a regular file may block, or be something else at each look.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length != HEADER_BYTES - LENGTH_BYTES:
            raise ValueError("its header has another length")
        header = json.loads(file.read(length))
        metadata = header["__metadata__"]
        record = _Record(**metadata | {"size": int(metadata["size"])})
        (count,), (characters,) = header["ids"]["shape"], header["vocabulary"]["shape"]
        if not (type(count) is int is type(characters)):
            raise TypeError("its sizes are not numbers")
        if not (count > 0 and 0 < characters <= LAST_CODE_POINT + 1):
            raise ValueError("its sizes are out of range")
        if header != _header(count, characters, record):
            raise ValueError("its header is not one of ids")
        dtype = smallest_dtype(characters - 1)
        end = HEADER_BYTES + count * dtype.itemsize
        if status.st_size != end + 4 * characters:
            raise ValueError("it has another size")
        if not is_wanted(record):
            return None
        file.seek(end)
        points = np.frombuffer(file.read(4 * characters), "<u4")
        vocabulary = Vocabulary([chr(point) for point in points])
        ids: Ids = mapped(file, HEADER_BYTES, count, dtype)
    if not all(int(block.max()) < characters for block in in_blocks(ids)):
        raise ValueError("it has ids that are not in its vocabulary")
    return Corpus(ids, vocabulary, record.sha256)
