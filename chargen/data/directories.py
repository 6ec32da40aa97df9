"""Directories -> the text files in and under them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import DECOMPRESSORS, USUAL, WIDE_MARKS
from chargen.errors import CorpusError, OptionError

__all__ = ["EVERY_FILE", "expanded"]

EVERY_FILE = "*"
BEGINNING = 1 << 13
"""Bytes of a file that are looked at to tell whether it is text: hardly any other lacks a zero."""


def expanded(
    sources: Sequence[str], pattern: str = EVERY_FILE, note: Callable[[str], None] = USUAL.note
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
