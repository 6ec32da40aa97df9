"""Files and standard input -> one array of ids, in memory proportional to the ids.

The text is decoded in blocks and never held as one Python string: each block is turned at once into
ids of the smallest unsigned type. A new corpus numbers characters as they first appear, and at the
end renumbers them in sorted order, in place.
"""

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import os
import select
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Literal, cast
from weakref import WeakSet

import numpy as np

from chargen.config import Newlines
from chargen.data.vocabulary import (
    LAST_CODE_POINT,
    REPLACEMENT,
    Ids,
    Vocabulary,
    code_points,
    smallest_dtype,
)
from chargen.errors import CorpusError, OptionError

__all__ = [
    "BYTE_ORDER_MARK",
    "DECOMPRESSORS",
    "STANDARD_INPUT",
    "Corpus",
    "Ids",
    "TextFormat",
    "expanded",
    "fingerprint",
    "holds_input",
    "read_corpus",
    "read_ids",
    "read_text",
    "split_at",
    "split_into_parts",
    "standard_input",
]

STANDARD_INPUT = "-"
BLOCK_BYTES = 1 << 20
"""Bytes read at a time: so many that Python's overhead is small, yet few beside a corpus's ids."""
PAUSE_SECONDS = 0.005
"""How long a pipe may be silent before what it has sent is passed on without waiting for more."""
DECOMPRESSORS: dict[str, Callable[[Path, Literal["rb"]], object]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens a compressed text, by the ending of its name."""
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encodings that their byte order marks tell from UTF-8, which none of these begins."""
BEGINNING = 1 << 13
"""Bytes of a file that are looked at to tell whether it is text: hardly any other lacks a zero."""
EVERY_FILE = "*"
NEWLINE_NAMES = {"\r\n": "CRLF", "\r": "CR"}


def _ignore(note: str) -> None:
    """Ignore a note about a text."""


@dataclass(frozen=True)
class TextFormat:
    """How the bytes of a text become characters.

    Attributes:
        encoding: the encoding. A text with the byte order mark of UTF-16 or UTF-32 is read as that
            if this is UTF-8. The mark itself is dropped.
        newlines: "lf" makes CRLF and a lone CR one LF; "keep" leaves them.
        note: is told in a sentence if that changed a text.
    """

    encoding: str = "utf-8"
    newlines: Newlines = "lf"
    note: Callable[[str], None] = _ignore


USUAL = TextFormat()


@dataclass(frozen=True)
class Corpus:
    """A text as ids, with the vocabulary that gives them meaning.

    Attributes:
        ids: (N,), in the smallest unsigned type that holds the vocabulary.
        vocabulary: the text's characters; those rarer than `min_count` are replaced by U+FFFD.
        sha256: the fingerprint of the text as UTF-8, whatever its encoding or compression was.
    """

    ids: Ids
    vocabulary: Vocabulary
    sha256: str

    def split(self, validation: float | str, text_format: TextFormat = USUAL) -> tuple[Ids, Ids]:
        """Return the ids to train on and the held-out ids.

        Args:
            validation: the share of the text to hold out, from its end, or a held-out file.
            text_format: how that file is read.
        """
        if isinstance(validation, str):
            return self.ids, read_ids([validation], self.vocabulary, text_format)
        cut = split_at(len(self.ids), validation)
        return self.ids[:cut], self.ids[cut:]


def standard_input() -> IO[bytes]:
    """Return the process's standard input, which can only be asked for once.

    Raises:
        CorpusError: standard input is closed.
        OptionError: standard input was read before, so nothing is left in it.
    """
    if sys.stdin is None:
        raise CorpusError("standard input is closed; name a file, or pipe in a text")
    stream = sys.stdin.buffer
    if stream in _READ_BEFORE:
        raise OptionError(
            "standard input can be read only once; - names it twice; name a file for one of them"
        )
    _READ_BEFORE.add(stream)
    with suppress(OSError, ValueError, AttributeError):  # not a file of the operating system
        os.set_blocking(stream.fileno(), True)  # or a pause would look like the end
    return stream


_READ_BEFORE: WeakSet[IO[bytes]] = WeakSet()


def holds_input() -> bool | None:
    """Return whether standard input is a pipe or a file with something in it.

    Nothing is taken from it. A terminal holds nothing. None means a pipe that may still send
    something, as whoever writes to it has neither done so nor closed it; it is not waited for,
    because many a program leaves such a pipe open for the commands that it starts.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return False
    stream = sys.stdin.buffer
    try:
        if stream.seekable():
            position = stream.tell()
            found = bool(stream.read(1))
            stream.seek(position)
            return found
        ready, _, _ = select.select([stream], [], [], 0)
        # At its end a pipe is ready too, and gives nothing.
        return bool(cast("BufferedReader", stream).peek(1)) if ready else None
    except (OSError, ValueError, AttributeError):  # not a file of the operating system
        return False


def expanded(
    sources: Sequence[str], pattern: str = EVERY_FILE, note: Callable[[str], None] = _ignore
) -> list[str]:
    """Return the sources, with the text files in and under it for each directory.

    The files are in the order of their paths. Hidden files and folders are left out, and so are
    files with a zero byte in their beginning, which no text but UTF-16 and UTF-32 has.

    Args:
        sources: paths, or "-" for standard input.
        pattern: what the names of the files in a directory match, as a shell has it: "*.md".
        note: is told in a sentence how many files of a directory are read.

    Raises:
        CorpusError: a directory has no such file.
        OptionError: a pattern is given and no directory, or it is not a pattern.
    """
    found: list[str] = []
    folders = [source for source in sources if source != STANDARD_INPUT and Path(source).is_dir()]
    if pattern != EVERY_FILE and not folders:
        raise OptionError("--glob narrows a directory; name one as TEXT, or leave it out")
    for source in sources:
        if source not in folders:
            found.append(source)
            continue
        files = _files(Path(source), pattern)
        texts = [str(path) for path in files if _is_text(path)]
        if not texts:
            raise CorpusError(
                f"{source} has no text files{_matching(pattern)}; name another directory"
            )
        others = f", and {len(files) - len(texts):,} that are not text are left out"
        note(
            f"{source}: {len(texts):,} text files{_matching(pattern)} are read in the order of "
            f"their paths{others if len(texts) < len(files) else ''}"
        )
        found += texts
    return found


def _matching(pattern: str) -> str:
    return "" if pattern == EVERY_FILE else f" that match {pattern}"


def _files(folder: Path, pattern: str) -> list[Path]:
    if not pattern or Path(pattern).is_absolute():
        raise OptionError(
            f"--glob must be a pattern of file names, such as '*.md'; found {pattern!r}"
        )
    return [
        path
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]


def _is_text(path: Path) -> bool:
    """Return whether a file looks like text; one that cannot be read does, so that this is said."""
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError:
        return True
    return (
        b"\0" not in beginning
        or path.suffix in DECOMPRESSORS
        or any(beginning.startswith(mark) for mark in WIDE_MARKS)
    )


def read_text(
    sources: Sequence[str], text_format: TextFormat = USUAL, *, pauses: bool = False
) -> Iterator[str]:
    """Yield the text of the sources in blocks, in order, with nothing added between sources.

    Args:
        sources: paths, or "-" for standard input; `.gz`, `.bz2` and `.xz` are decompressed.
        text_format: how their bytes become characters.
        pauses: yield what is available without waiting for a whole block, and an empty block
            when a source, such as a pipe, has nothing more for the moment.

    Raises:
        CorpusError: a source is missing or unreadable, or contains bytes that do not decode.
        OptionError: the encoding is unknown.
    """
    _incremental_decoder(text_format.encoding)  # refused before a source is opened
    changed: dict[str, set[str]] = {}
    if sources.count(STANDARD_INPUT) > 1:
        raise OptionError(
            "standard input can be read only once; found - twice among the texts; name a file for "
            "one of them"
        )
    for source in sources:
        name = "standard input" if source == STANDARD_INPUT else source
        try:
            with _open(source) as stream:
                text = _decode(_blocks(stream, pauses), name, text_format.encoding)
                if text_format.newlines == "lf":
                    found = changed[name] = set()
                    text = _with_plain_newlines(text, found)
                yield from text
        except FileNotFoundError:
            raise CorpusError(f"no such file: {name}; {_remedy(name)}") from None
        except IsADirectoryError:
            raise CorpusError(f"{name} is a directory; name a text file") from None
        except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
            raise _decompression_error(name, error) from None
        except OSError as error:
            if error.errno is None:  # how bz2 reports that the file is not in its format
                raise _decompression_error(name, error) from None
            raise CorpusError(
                f"cannot read {name}: {error.strerror}; check the path and its permissions"
            ) from None
    _note_newlines(changed, text_format)


def split_into_parts(blocks: Iterable[str], characters: int) -> Iterator[str]:
    """Yield the same text in parts of whole lines; a line longer than a part is split.

    A part is yielded as soon as it has enough characters, or when a source pauses.

    Args:
        blocks: the text, from `read_text` with `pauses`.
        characters: the approximate size of a part.
    """
    lines: list[str] = []
    unfinished: list[str] = []  # the beginning of a line whose newline has not come yet
    size = unfinished_size = 0
    for block in blocks:
        end = block.rfind("\n") + 1
        if end or unfinished_size >= characters:
            lines += [*unfinished, block[:end]]
            size += unfinished_size + end
            unfinished, unfinished_size = [], 0
        unfinished.append(block[end:])
        unfinished_size += len(block) - end
        if size and (not block or size >= characters):
            yield "".join(lines)
            lines, size = [], 0
    if size or unfinished_size:
        yield "".join([*lines, *unfinished])


def read_corpus(
    sources: Sequence[str], text_format: TextFormat = USUAL, *, min_count: int = 1
) -> Corpus:
    """Read the sources and build their vocabulary.

    Args:
        sources: as for `read_text`.
        text_format: as for `read_text`.
        min_count: characters that occur less often are replaced by U+FFFD.

    Raises:
        CorpusError: as for `read_text`; also if the sources contain no text.
    """
    builder = _Builder(_capacity(sources))
    for block in read_text(sources, text_format):
        builder.add(block)
    if not builder.size:
        names = ", ".join("standard input" if s == STANDARD_INPUT else s for s in sources)
        raise CorpusError(f"no text in {names}: 0 characters; give a text of at least 2")
    return builder.corpus(min_count)


def read_ids(
    sources: Sequence[str], vocabulary: Vocabulary, text_format: TextFormat = USUAL
) -> Ids:
    """Return the sources as ids of a vocabulary; unknown characters get `vocabulary.unknown`."""
    return _encode_blocks(read_text(sources, text_format), vocabulary, _capacity(sources))


def fingerprint(ids: Ids) -> str:
    """Return the SHA-256 of ids, which does not depend on their integer type."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), BLOCK_BYTES):
        digest.update(ids[start : start + BLOCK_BYTES].astype("<u4").tobytes())
    return digest.hexdigest()


def split_at(characters: int, share: float) -> int:
    """Return where the held-out end of a text begins: `int(characters * (1 - share))`."""
    return int(characters * (1 - share))


def _decompression_error(name: str, error: Exception) -> CorpusError:
    return CorpusError(
        f"{name} does not decompress ({error}); check that it is complete and that the ending of "
        "its name is right"
    )


def _incremental_decoder(encoding: str) -> type[codecs.IncrementalDecoder]:
    try:
        "".encode(encoding)  # refuses codecs that do not encode text, such as "hex"
        return cast("type[codecs.IncrementalDecoder]", codecs.getincrementaldecoder(encoding))
    except (LookupError, ValueError):
        raise OptionError(
            f"--encoding must be a text encoding that Python knows, such as utf-8, latin-1 or "
            f"cp1252; found {encoding!r}"
        ) from None


def _open(source: str) -> AbstractContextManager[IO[bytes]]:
    if source == STANDARD_INPUT:
        return nullcontext(standard_input())  # it belongs to the process, so it is not closed
    path = Path(source)
    try:
        opener = DECOMPRESSORS.get(path.suffix)
        return path.open("rb") if opener is None else cast("IO[bytes]", opener(path, "rb"))
    except ValueError:
        raise CorpusError(
            f"no such file: {source!r} cannot be the name of a file; check the path"
        ) from None


def _blocks(stream: IO[bytes], pauses: bool) -> Iterator[bytes | None]:
    """Yield all of a stream in blocks; an empty block is its end.

    With pauses, a block is whatever is available, and None means that nothing is for the moment.
    """
    read = cast("BufferedReader", stream).read1 if pauses else stream.read
    block = None
    while block != b"":
        if pauses and not _is_ready(stream):
            yield None
        block = read(BLOCK_BYTES)
        yield block
        if not pauses and 0 < len(block) < BLOCK_BYTES:
            block = b""  # a terminal, asked again, would want a second Ctrl-D
            yield block


def _is_ready(stream: IO[bytes]) -> bool:
    try:
        ready, _, _ = select.select([stream], [], [], PAUSE_SECONDS)
    except (OSError, ValueError):  # not a file of the operating system, so all of it is available
        return True
    return bool(ready)


def _remedy(name: str) -> str:
    """Return what to do about a file that does not exist."""
    if name.startswith(("http://", "https://")):
        return (
            f"chargen reads no addresses: pipe the text in, as in `curl -s {name} | chargen ... -`"
        )
    return "check the path"


def _with_plain_newlines(blocks: Iterable[str], found: set[str]) -> Iterator[str]:
    """Yield the text with LF for CRLF and a lone CR, and add those that were in it to `found`."""
    decoder = io.IncrementalNewlineDecoder(None, translate=True)
    for block in blocks:
        # A CR at the end of a block waits for what comes next.
        yield decoder.decode(block)
    if last := decoder.decode("", final=True):
        yield last
    kinds = decoder.newlines or ()
    found.update({kinds} if isinstance(kinds, str) else kinds)


def _note_newlines(changed: Mapping[str, Iterable[str]], text_format: TextFormat) -> None:
    """Say which texts had other newlines, if any had."""
    names = [name for name, kinds in changed.items() if NEWLINE_NAMES.keys() & kinds]
    if not names:
        return
    kinds = set().union(*(changed[name] for name in names))
    which = " and ".join(NEWLINE_NAMES[kind] for kind in NEWLINE_NAMES if kind in kinds)
    others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    text_format.note(
        f"{names[0]}{others}: {which} at the ends of lines is read as LF; --newlines keep keeps it"
    )


def _decode(blocks: Iterable[bytes | None], name: str, encoding: str) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    offset = 0  # of this block in the source, in bytes
    line = 1
    first = True
    for block in blocks:
        if block is None:
            yield ""
            continue
        if decoder is None:
            if codecs.lookup(encoding).name == "utf-8":
                marked = (WIDE_MARKS[mark] for mark in WIDE_MARKS if block.startswith(mark))
                encoding = next(marked, encoding)
            decoder = _incremental_decoder(encoding)("strict")
        state = decoder.getstate()
        wrong: UnicodeDecodeError | None = None
        try:
            text = decoder.decode(block, final=not block)
            if not text.isascii():
                code_points(text)  # refuses lone surrogates
        except UnicodeDecodeError as error:
            wrong = error
            # What comes before it is handed over: a prompt there is still answered.
            decoder.setstate(state)
            place = len(block) - len(error.object) + error.start  # in the block; bytes may wait
            text = decoder.decode(block[: max(0, place)])
        except UnicodeEncodeError as error:
            point = ord(error.object[error.start])
            raise CorpusError(
                f"{name} contains the lone surrogate U+{point:04X}, which is not a character; "
                "check --encoding"
            ) from None
        except UnicodeError as error:  # for example UTF-16 without a byte order mark
            raise CorpusError(f"{name} is not {encoding}: {error}; check --encoding") from None
        if first and text:
            text = text.removeprefix(BYTE_ORDER_MARK)
            first = False
        if text:
            yield text
        line += text.count("\n")
        if wrong:
            byte = wrong.object[wrong.start]
            raise CorpusError(
                f"{name} is not {encoding}: byte 0x{byte:02x} at offset {offset + place:,} (line "
                f"{line:,}) does not decode; give the text's --encoding (such as latin-1), or "
                "convert it to UTF-8"
            )
        offset += len(block)


def _capacity(sources: Sequence[str]) -> int:
    """Return the most characters that the sources can contain, or 0 if their sizes do not tell.

    Every text encoding in use takes at least one byte per character, so the size of an uncompressed
    file is a bound. Memory that is reserved but never written to costs nothing.
    """
    sizes = []
    for source in sources:
        path = Path(source)
        if source == STANDARD_INPUT or path.suffix in DECOMPRESSORS or not path.is_file():
            return 0
        sizes.append(path.stat().st_size)
    return sum(sizes)


class _GrowingIds:
    """An array that grows in place, by `realloc`, so that memory never holds two copies of it."""

    def __init__(self, capacity: int, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._array: Ids = np.empty(max(capacity, BLOCK_BYTES), dtype)
        self.size = 0

    def append(self, ids: Ids) -> None:
        end = self.size + len(ids)
        if ids.dtype.itemsize > self._array.dtype.itemsize:
            wider = np.empty(len(self._array), ids.dtype)
            wider[: self.size] = self._array[: self.size]
            self._array = wider
        if end > len(self._array):
            self._array.resize(max(end, len(self._array) * 5 // 4), refcheck=False)
        self._array[self.size : end] = ids
        self.size = end

    def finish(self) -> Ids:
        self._array.resize(self.size, refcheck=False)
        return self._array


def _encode_blocks(blocks: Iterable[str], vocabulary: Vocabulary, capacity: int) -> Ids:
    ids = _GrowingIds(capacity, smallest_dtype(vocabulary.unknown))
    for block in blocks:
        ids.append(vocabulary.encode(block))
    return ids.finish()


class _Builder:
    """Numbers and counts characters in order of first appearance, then renumbers them sorted."""

    def __init__(self, capacity: int) -> None:
        self._ids = _GrowingIds(capacity, np.dtype(np.uint8))
        self._id_of_point = np.full(LAST_CODE_POINT + 1, -1, dtype=np.int32)
        self._points: list[int] = []
        self._counts = np.zeros(0, dtype=np.int64)
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        return self._ids.size

    def add(self, block: str) -> None:
        self._digest.update(block.encode())
        points = code_points(block)
        ids = self._id_of_point[points]
        new = np.unique(points[ids < 0])
        if len(new):
            self._id_of_point[new] = np.arange(len(self._points), len(self._points) + len(new))
            self._points.extend(new.tolist())
            self._counts = np.pad(self._counts, (0, len(new)))
            ids = self._id_of_point[points]
        self._counts += np.bincount(ids, minlength=len(self._counts))
        self._ids.append(ids.astype(smallest_dtype(len(self._points) - 1)))

    def corpus(self, min_count: int) -> Corpus:
        kept = {chr(p) for p, n in zip(self._points, self._counts, strict=True) if n >= min_count}
        if len(kept) < len(self._points):
            kept.add(REPLACEMENT)
        vocabulary = Vocabulary(sorted(kept))
        renumbered = vocabulary.encode("".join(map(chr, self._points)))
        dtype = smallest_dtype(len(vocabulary) - 1)
        ids = self._ids.finish()
        if dtype.itemsize < ids.dtype.itemsize:  # rare characters were replaced
            ids = renumbered.astype(dtype)[ids]
        else:
            for start in range(0, len(ids), BLOCK_BYTES):
                block = ids[start : start + BLOCK_BYTES]
                block[:] = renumbered[block]
        return Corpus(ids, vocabulary, self._digest.hexdigest())
