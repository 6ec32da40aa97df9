"""JSON lines and CSV -> the texts in one field of their records."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from chargen.data.vocabulary import refuse_surrogates
from chargen.errors import CorpusError, shortened
from chargen.plain import counted

__all__ = ["read_field"]

DELIMITERS = ",\t;"
"""What may separate the fields of CSV: the first of these with which the header has the field."""
GATHERED = 1 << 16
"""Characters that are passed on together, as doing so for each short record would take longer than
reading it."""
LONGEST_FIELD = 2**31 - 1
"""The longest field that Python's CSV reader can be told to read, in characters."""
MOST_SHOWN = 10
"""Fields that an error names, at most."""


def read_field(
    blocks: Iterable[str], name: str, field: str, note: Callable[[str], None]
) -> Iterator[str]:
    """Yield the texts in a field, each followed by a newline if it does not end with one.

    What begins with "{" is read as JSON lines, with an object on each line, and anything else as
    CSV with a header. Records whose field is missing or empty are left out.

    Args:
        blocks: the source in blocks, with its own newlines; an empty block is a pause, which is
            passed on.
        name: the source, for errors.
        field: the name of the field.
        note: is told in a sentence how many records were left out.

    Raises:
        CorpusError: the source is neither of the two, or no record has such a field, or a field
            holds something other than a text.
    """
    lines = _Lines(blocks)
    first = ""
    for first in lines:
        if first.strip():
            break
        yield ""
    if not first.strip():
        return
    begins = first.lstrip()[0]
    if begins == "[":
        raise CorpusError(
            f"{name} is a JSON array, and --field reads JSON lines; convert it, as with `jq -c .[]`"
        )
    read = _json_texts if begins == "{" else _csv_texts
    found = left_out = size = 0
    gathered: list[str] = []
    for text in read(first, lines, name, field):
        if text is None:
            left_out += 1
        elif text:
            found += 1
            gathered.append(text if text.endswith(("\n", "\r")) else text + "\n")
            size += len(gathered[-1])
        if not text or size >= GATHERED:
            yield "".join(gathered)
            gathered, size = [], 0
    yield "".join(gathered)
    if left_out:
        has, is_ = ("has", "is") if left_out == 1 else ("have", "are")
        note(
            f"{name}: {left_out:,} of {counted(found + left_out, 'record')} {has} no text in "
            f"{field!r} and {is_} left out"
        )


class _Lines:
    """An iterator over lines, with their newlines; an empty one is a pause.

    Attributes:
        number: the number of the last line, from 1.
    """

    def __init__(self, blocks: Iterable[str]) -> None:
        self.number = 0
        self._lines = self._split(blocks)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += bool(line)
        return line

    def _split(self, blocks: Iterable[str]) -> Iterator[str]:
        unfinished: list[str] = []
        for block in blocks:
            *lines, rest = block.split("\n")
            for line in lines:
                yield "".join([*unfinished, line, "\n"])
                unfinished = []
            if rest:
                unfinished.append(rest)
            if not block:
                yield ""
        if unfinished:
            yield "".join(unfinished)


def _json_texts(first: str, lines: _Lines, name: str, field: str) -> Iterator[str | None]:
    """Yield the text of each record, None where there is none, and an empty one at a pause."""
    has_field = False
    record: dict[str, Any] = {}
    for line in chain([first], lines):
        if not line.strip():
            yield ""
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(
                f"{name}: line {lines.number:,} is not JSON ({error}); --field reads an object "
                "on each line"
            ) from None
        if not isinstance(record, dict):
            raise CorpusError(
                f"{name}: line {lines.number:,} is not a JSON object; --field reads an object on "
                "each line"
            )
        value = record.get(field)
        if not isinstance(value, str | None):
            shown = shortened(json.dumps(value))
            raise CorpusError(
                f"{name}: {field!r} in line {lines.number:,} is {shown}, which is not a text; name "
                "another --field"
            )
        refuse_surrogates(value or "", f"{name}: line {lines.number:,}", "correct it")
        has_field = has_field or field in record
        yield value or None
    if not has_field:
        raise _no_such_field(name, field, list(record))


def _csv_texts(first: str, lines: _Lines, name: str, field: str) -> Iterator[str | None]:
    """Yield the text of each row, None where there is none, and an empty one at a pause."""
    csv.field_size_limit(LONGEST_FIELD)
    try:
        headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in DELIMITERS}
        fitting = [mark for mark, header in headers.items() if field in header]
        if not fitting:
            raise _no_such_field(name, field, max(headers.values(), key=len))
        delimiter = fitting[0]
        column = headers[delimiter].index(field)
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            if not row:  # a pause, or a line with nothing on it
                yield ""
            else:
                yield (row[column] if column < len(row) else "") or None
    except csv.Error as error:
        raise CorpusError(
            f"{name}: line {lines.number:,} is not CSV ({error}); correct it, or leave out --field "
            "to read the file as it is"
        ) from None


def _no_such_field(name: str, field: str, fields: list[str]) -> CorpusError:
    shown = ", ".join(map(repr, map(shortened, fields[:MOST_SHOWN])))
    more = f" and {len(fields) - MOST_SHOWN:,} more" if len(fields) > MOST_SHOWN else ""
    return CorpusError(f"{name} has no field {field!r}; it has {shown}{more}: name one of these")
