"""Files and standard input -> text, in blocks, so that it is never held as one Python string."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Literal, cast

from chargen.config import Newlines
from chargen.data.records import read_field
from chargen.data.standard_input import STANDARD_INPUT, is_ready, standard_input
from chargen.data.vocabulary import refuse_surrogates
from chargen.errors import CorpusError, OptionError

__all__ = [
    "BLOCK_BYTES",
    "BYTE_ORDER_MARK",
    "DECOMPRESSORS",
    "UNREADABLE",
    "USUAL",
    "WIDE_MARKS",
    "TextFormat",
    "Watch",
    "open_bytes",
    "read_bytes",
    "read_decoded",
    "read_text",
    "split_into_parts",
]

BLOCK_BYTES = 1 << 20
"""Bytes read at a time: so many that Python's overhead is small, yet few beside a corpus's ids."""
DECOMPRESSORS: dict[str, Callable[[Path, Literal["rb"]], object]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens a compressed text, by the ending of its name."""
NOT_COMPRESSED = (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
"""What is raised for a file that is not what the ending of its name says."""
UNREADABLE = (OSError, *NOT_COMPRESSED)
"""The same, and what is raised for a file that cannot be read at all."""
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encodings that their byte order marks tell from UTF-8, which none of these begins."""
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
        field: the field of JSON lines or CSV that holds the texts, which `read_field` then reads;
            None reads sources as they are.
        note: is told in a sentence if that changed a text.
    """

    encoding: str = "utf-8"
    newlines: Newlines = "lf"
    field: str | None = None
    note: Callable[[str], None] = _ignore


USUAL = TextFormat()

Watch = Callable[[bytes], None]
"""Is told each block of bytes that is read from sources, decompressed; an empty one ends each."""


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, compressed or not, to read its bytes."""
    opener = DECOMPRESSORS.get(path.suffix)
    return path.open("rb") if opener is None else cast("IO[bytes]", opener(path, "rb"))


def read_text(
    sources: Sequence[str],
    text_format: TextFormat = USUAL,
    *,
    pauses: bool = False,
    watch: Watch | None = None,
) -> Iterator[str]:
    """Yield the text of the sources in blocks, in order, with nothing added between sources.

    Args:
        sources: paths, or "-" for standard input; `.gz`, `.bz2` and `.xz` are decompressed.
        text_format: how their bytes become characters.
        pauses: yield what is available without waiting for a whole block, and an empty block
            when a source, such as a pipe, has nothing more for the moment.
        watch: is told the bytes as they are read.

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
        name = _name(source)
        blocks = read_bytes(source, pauses=pauses)
        decoded = _decode(_watched(blocks, watch), name, text_format.encoding)
        yield from _formatted(decoded, name, text_format, changed)
    _note_newlines(changed, text_format)


def read_bytes(source: str, *, pauses: bool = False) -> Iterator[bytes | None]:
    """Yield the bytes of a source, decompressed, in blocks; an empty one is its end.

    Args:
        source: a path, or "-" for standard input.
        pauses: yield what is available, and None when nothing is for the moment.

    Raises:
        CorpusError: the source is missing or unreadable.
    """
    name = _name(source)
    try:
        with _open(source) as stream:
            yield from _blocks(stream, pauses)
    except FileNotFoundError:
        raise CorpusError(f"no such file: {name}; {_remedy(name)}") from None
    except IsADirectoryError:
        raise CorpusError(f"{name} is a directory; name a text file") from None
    except NOT_COMPRESSED as error:
        raise _decompression_error(name, error) from None
    except OSError as error:
        if error.errno is None:  # how bz2 reports that the file is not in its format
            raise _decompression_error(name, error) from None
        raise CorpusError(
            f"cannot read {name}: {error.strerror}; check the path and its permissions"
        ) from None


def read_decoded(text: str, source: str, text_format: TextFormat) -> str:
    """Return what `read_text` would of a source whose bytes have been decoded already.

    Args:
        text: all of the source, with its own newlines.
        source: its path, or "-" for standard input.
        text_format: which field to take, and how newlines are read.

    Raises:
        CorpusError: the source does not have such records.
    """
    changed: dict[str, set[str]] = {}
    found = "".join(_formatted([text], _name(source), text_format, changed))
    _note_newlines(changed, text_format)
    return found


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


def _name(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


def _formatted(
    text: Iterable[str], name: str, text_format: TextFormat, changed: dict[str, set[str]]
) -> Iterator[str]:
    """Yield the field and the newlines of a text; add the newlines that were in it to `changed`."""
    if text_format.field is not None:
        if text_format.newlines == "lf":  # CSV may end its rows with a lone CR
            text = _with_plain_newlines(text, set())
        text = read_field(text, name, text_format.field, text_format.note)
    if text_format.newlines == "lf":
        found = changed[name] = set()
        text = _with_plain_newlines(text, found)
    yield from text


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
    try:
        return open_bytes(Path(source))
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
        if pauses and not is_ready(stream):
            yield None
        block = read(BLOCK_BYTES)
        yield block
        if not pauses and 0 < len(block) < BLOCK_BYTES:
            block = b""  # a terminal, asked again, would want a second Ctrl-D
            yield block


def _watched(blocks: Iterable[bytes | None], watch: Watch | None) -> Iterator[bytes | None]:
    for block in blocks:
        if watch is not None and block is not None:
            watch(block)
        yield block


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
    waits = False  # for what comes after a CR at the end of a block
    for block in blocks:
        if not waits and "\r" not in block:  # mostly; to look for one is far faster than to decode
            yield block
            continue
        yield decoder.decode(block)
        waits = block.endswith("\r") or (waits and not block)
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
    is_utf8 = False
    for block in blocks:
        if block is None:
            yield ""
            continue
        if decoder is None:
            if codecs.lookup(encoding).name == "utf-8":
                marked = (WIDE_MARKS[mark] for mark in WIDE_MARKS if block.startswith(mark))
                encoding = next(marked, encoding)
            decoder = _incremental_decoder(encoding)("strict")
            is_utf8 = codecs.lookup(encoding).name == "utf-8"
        state = decoder.getstate()
        wrong: UnicodeDecodeError | None = None
        try:
            text = decoder.decode(block, final=not block)
            if not is_utf8:  # which has none
                refuse_surrogates(text, name, "check --encoding")
        except UnicodeDecodeError as error:
            wrong = error
            # What comes before it is handed over: a prompt there is still answered.
            decoder.setstate(state)
            place = len(block) - len(error.object) + error.start  # in the block; bytes may wait
            text = decoder.decode(block[: max(0, place)])
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
