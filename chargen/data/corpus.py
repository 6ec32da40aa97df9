"""Files and standard input -> one array of ids, in memory proportional to the ids.

The text is decoded in blocks and never held whole as a Python string: each block becomes ids in
the smallest unsigned type at once. A new corpus numbers characters as they appear and renumbers
them in sorted order at the end, in place.
"""

import bz2
import codecs
import gzip
import hashlib
import lzma
import select
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, cast
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import (
    LAST_CODE_POINT,
    REPLACEMENT,
    Vocabulary,
    code_points,
    smallest_dtype,
)
from chargen.errors import CorpusError, OptionError

__all__ = [
    "BYTE_ORDER_MARK",
    "STANDARD_INPUT",
    "Corpus",
    "as_it_comes",
    "fingerprint",
    "read_corpus",
    "read_ids",
    "read_text",
    "split_at",
    "standard_input",
]

STANDARD_INPUT = "-"
BLOCK_BYTES = 1 << 20
"""Read at a time: large enough that Python's share is small, small beside any corpus's ids."""
PAUSE_SECONDS = 0.005
"""Of silence from a pipe, after which what it has sent is no longer kept waiting for more."""
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

Ids = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Corpus:
    """A text as ids, with the vocabulary that gives them meaning.

    Attributes:
        ids: (characters,), the smallest unsigned type that holds the vocabulary.
        vocabulary: its characters; rarer ones than `min_count` stand as U+FFFD.
        sha256: fingerprint of the text as UTF-8, whatever its encoding or compression.
    """

    ids: Ids
    vocabulary: Vocabulary
    sha256: str

    def split(self, validation: float | str, encoding: str = "utf-8") -> tuple[Ids, Ids]:
        """The ids to learn from and the held-out ones.

        Args:
            validation: the share of the text's end to hold out, or a file that is held out.
            encoding: of that file.
        """
        if isinstance(validation, str):
            return self.ids, read_ids([validation], self.vocabulary, encoding)
        cut = split_at(len(self.ids), validation)
        return self.ids[:cut], self.ids[cut:]


def standard_input() -> IO[bytes]:
    """The process's standard input, for the one reader that it can have.

    Raises:
        CorpusError: it is closed.
        OptionError: it was read before, and so has nothing more to give.
    """
    if sys.stdin is None:
        raise CorpusError("standard input is closed; give a file, or pipe a text in")
    stream = sys.stdin.buffer
    if stream in _READ_BEFORE:
        raise OptionError(
            "standard input can be read once, and - names it twice; give a file for one of them"
        )
    _READ_BEFORE.add(stream)
    return stream


_READ_BEFORE: WeakSet[IO[bytes]] = WeakSet()


def read_text(
    sources: Sequence[str], encoding: str = "utf-8", *, pauses: bool = False
) -> Iterator[str]:
    """The text of the sources in blocks, joined in order with nothing added between them.

    Args:
        sources: paths, or "-" for standard input; `.gz`, `.bz2` and `.xz` are decompressed.
        encoding: of the text; a byte order mark at a source's start is dropped.
        pauses: hand over what is there without waiting for a whole block, and an empty block
            where a source, such as a pipe, has nothing more for the moment.

    Raises:
        CorpusError: a source is missing, unreadable, or holds bytes that do not decode.
        OptionError: there is no such encoding.
    """
    decoder_class = _incremental_decoder(encoding)
    if sources.count(STANDARD_INPUT) > 1:
        raise OptionError("standard input can be read once; found - twice among the texts")
    for source in sources:
        name = "standard input" if source == STANDARD_INPUT else source
        try:
            with _open(source) as stream:
                blocks = _blocks(stream, pauses)
                yield from _decode(blocks, decoder_class("strict"), name, encoding)
        except FileNotFoundError:
            raise CorpusError(f"no such file: {name}; check the path") from None
        except IsADirectoryError:
            raise CorpusError(f"{name} is a directory; give the text files in it") from None
        except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
            raise _undecompressed(name, error) from None
        except OSError as error:
            if error.errno is None:  # bzip2's way to say that it is none
                raise _undecompressed(name, error) from None
            raise CorpusError(
                f"cannot read {name}: {error.strerror}; check the path and its permissions"
            ) from None


def as_it_comes(blocks: Iterable[str], characters: int) -> Iterator[str]:
    """The same text in parts that end with a line, as far as lines are not longer than a part.

    A part is handed over when it has so many characters, or when a source pauses.

    Args:
        blocks: from `read_text` with `pauses`.
        characters: of a part, about.
    """
    lines: list[str] = []
    begun: list[str] = []  # the line that has no end yet
    size = begun_size = 0
    for block in blocks:
        end = block.rfind("\n") + 1
        if end or begun_size >= characters:
            lines += [*begun, block[:end]]
            size += begun_size + end
            begun, begun_size = [], 0
        begun.append(block[end:])
        begun_size += len(block) - end
        if size and (not block or size >= characters):
            yield "".join(lines)
            lines, size = [], 0
    if size or begun_size:
        yield "".join([*lines, *begun])


def read_corpus(sources: Sequence[str], *, encoding: str = "utf-8", min_count: int = 1) -> Corpus:
    """Read the sources and build their vocabulary.

    Args:
        sources: as for `read_text`.
        encoding: as for `read_text`.
        min_count: characters that occur less often are folded into U+FFFD.

    Raises:
        CorpusError: as `read_text`, or the sources hold no text.
    """
    builder = _Builder(_capacity(sources))
    for block in read_text(sources, encoding):
        builder.add(block)
    if not builder.size:
        names = ", ".join("standard input" if s == STANDARD_INPUT else s for s in sources)
        raise CorpusError(f"no text in {names}: 0 characters; give a text of at least 2")
    return builder.corpus(min_count)


def read_ids(sources: Sequence[str], vocabulary: Vocabulary, encoding: str = "utf-8") -> Ids:
    """Read the sources as ids of a given vocabulary, unknown ones as `vocabulary.unknown`."""
    return _encode_blocks(read_text(sources, encoding), vocabulary, _capacity(sources))


def fingerprint(ids: Ids) -> str:
    """SHA-256 of ids, whatever type they are held in."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), BLOCK_BYTES):
        digest.update(ids[start : start + BLOCK_BYTES].astype("<u4").tobytes())
    return digest.hexdigest()


def split_at(characters: int, share: float) -> int:
    """Where the held-out end of a text begins: `int(characters * (1 - share))`."""
    return int(characters * (1 - share))


def _undecompressed(name: str, error: Exception) -> CorpusError:
    return CorpusError(
        f"{name} does not decompress ({error}); is it whole, and its name's ending right?"
    )


def _incremental_decoder(encoding: str) -> type[codecs.IncrementalDecoder]:
    try:
        "".encode(encoding)  # refuses what is no text encoding, such as "hex"
        return cast("type[codecs.IncrementalDecoder]", codecs.getincrementaldecoder(encoding))
    except (LookupError, ValueError):
        raise OptionError(
            f"--encoding must be a text encoding that Python knows, such as utf-8, latin-1 or "
            f"cp1252; found {encoding!r}"
        ) from None


def _open(source: str) -> AbstractContextManager[IO[bytes]]:
    if source == STANDARD_INPUT:
        return nullcontext(standard_input())  # the process's stream, not ours to close
    path = Path(source)
    try:
        match path.suffix:
            case ".gz":
                return cast("IO[bytes]", gzip.open(path, "rb"))
            case ".bz2":
                return bz2.open(path, "rb")
            case ".xz":
                return lzma.open(path, "rb")
            case _:
                return path.open("rb")
    except ValueError:
        raise CorpusError(
            f"no such file: {source!r} cannot be a file's name; check the path"
        ) from None


def _blocks(stream: IO[bytes], pauses: bool) -> Iterator[bytes | None]:
    """All of a stream in blocks; an empty one is its end.

    With pauses each block is what there is, and None says that nothing is for the moment.
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
    except (OSError, ValueError):  # no file of the system's, and so all there
        return True
    return bool(ready)


def _decode(
    blocks: Iterable[bytes | None], decoder: codecs.IncrementalDecoder, name: str, encoding: str
) -> Iterator[str]:
    fed = 0  # bytes given to the decoder before this block
    line = 1
    first = True
    for block in blocks:
        if block is None:
            yield ""
            continue
        state = decoder.getstate()
        wrong: UnicodeDecodeError | None = None
        try:
            text = decoder.decode(block, final=not block)
            code_points(text)
        except UnicodeDecodeError as error:
            wrong = error
            # What comes before it is handed over: a prompt there is still answered.
            decoder.setstate(state)
            place = len(block) - len(error.object) + error.start  # in the block; bytes may wait
            text = decoder.decode(block[: max(0, place)])
        except UnicodeEncodeError as error:
            point = ord(error.object[error.start])
            raise CorpusError(
                f"{name} holds the lone surrogate U+{point:04X}, which is no character; "
                "check --encoding"
            ) from None
        except UnicodeError as error:  # utf-16 without a byte order mark, for one
            raise CorpusError(f"{name} is not {encoding}: {error}; check --encoding") from None
        if first and text:
            text = text.removeprefix(BYTE_ORDER_MARK)
            first = False
        if text:
            yield text
        line += text.count("\n")
        if wrong:
            byte, offset = wrong.object[wrong.start], fed + place
            raise CorpusError(
                f"{name} is not {encoding}: byte 0x{byte:02x} at offset {offset:,} (line {line:,}) "
                "does not decode; give the text's --encoding (such as latin-1), or convert it to "
                "UTF-8"
            )
        fed += len(block)


def _capacity(sources: Sequence[str]) -> int:
    """The most characters that the sources can hold, as far as their sizes tell; 0 if not at all.

    No text encoding in use spends less than a byte on a character, so that a plain file's size is
    a bound: memory reserved but not written to costs nothing.
    """
    sizes = []
    for source in sources:
        path = Path(source)
        if source == STANDARD_INPUT or path.suffix in {".gz", ".bz2", ".xz"} or not path.is_file():
            return 0
        sizes.append(path.stat().st_size)
    return sum(sizes)


class _GrowingIds:
    """An array that grows in place, by `realloc`, so that it is never held twice."""

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
    """Ids in order of first appearance, counted, renumbered once all is read."""

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
        if dtype.itemsize < ids.dtype.itemsize:  # folding made the vocabulary small
            ids = renumbered.astype(dtype)[ids]
        else:
            for start in range(0, len(ids), BLOCK_BYTES):
                block = ids[start : start + BLOCK_BYTES]
                block[:] = renumbered[block]
        return Corpus(ids, vocabulary, self._digest.hexdigest())
