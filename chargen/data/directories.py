"""Directories -> the text files in and under them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import UNREADABLE, USUAL, WIDE_MARKS, open_bytes
from chargen.errors import CorpusError, OptionError
from chargen.plain import counted

__all__ = ["EVERY_FILE", "expanded"]

EVERY_FILE = "*"
CHECKPOINT_FILES = ("config.json", "vocabulary.json", "history.jsonl")
"""The files of a checkpoint that are text."""
BEGINNING = 1 << 13
"""Bytes of a file that are looked at to tell whether it is text: hardly any other lacks a zero."""


def expanded(
    sources: Sequence[str], pattern: str = EVERY_FILE, note: Callable[[str], None] = USUAL.note
) -> list[str]:
    """Return the sources, with the text files in and under it for each directory.

    The files are in the order of their paths. Hidden files and folders are left out, and so are the
    files of checkpoints, and files with a zero byte in their beginning, which no text but UTF-16
    and UTF-32 has.

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
        read = counted(len(texts), "text file") + _matching(pattern, len(texts))
        note(
            f"{source}: {read} {'is' if len(texts) == 1 else 'are'} read in the order of their "
            f"paths{others if len(texts) < len(files) else ''}"
        )
        found += texts
    return found


def _matching(pattern: str, count: int = 0) -> str:
    verb = "matches" if count == 1 else "match"
    return "" if pattern == EVERY_FILE else f" that {verb} {pattern}"


def _files(folder: Path, pattern: str) -> list[Path]:
    if not pattern or Path(pattern).is_absolute():
        raise OptionError(
            f"--glob must be a pattern of file names, such as '*.md'; found {pattern!r}"
        )
    try:
        found = sorted(folder.rglob(pattern))
    except ValueError:
        raise OptionError(
            f"--glob {pattern} is not a pattern; ** must be a whole part of it, as in '**/*.md'"
        ) from None
    return [
        path
        for path in found
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not _is_of_a_checkpoint(path)
    ]


def _is_of_a_checkpoint(path: Path) -> bool:
    """Return whether a file is a checkpoint's, so that a run does not read what another wrote."""
    return path.name in CHECKPOINT_FILES and all(
        path.with_name(name).is_file() for name in CHECKPOINT_FILES
    )


def _is_text(path: Path) -> bool:
    """Return whether a file looks like text; one that cannot be read does, so that this is said."""
    try:
        with open_bytes(path) as file:
            beginning = file.read(BEGINNING)
    except UNREADABLE:
        return True
    return b"\0" not in beginning or any(beginning.startswith(mark) for mark in WIDE_MARKS)
