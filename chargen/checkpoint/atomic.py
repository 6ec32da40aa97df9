"""Files, and directories of them, replaced whole: a reader finds the old ones or the new ones."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["replace_directory", "replace_file", "write_file"]

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Of Linux' `renameat2`, which Python does not have."""


def write_file(path: Path, data: bytes) -> None:
    """Replace a file whole: at any instant it is the old one or the new one."""

    def write(beside: Path) -> None:
        beside.write_bytes(data)

    replace_file(path, write)


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """As `write_file`, for writers that want a path: `write(beside)`, flush, rename.

    Args:
        path: the file to replace.
        write: writes the new content to the path it is given, which has the same ending.

    Raises:
        OSError: it cannot be written; the old file stays. Its `filename` is the path.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        try:
            write(beside)
            _flush(beside)
            beside.replace(path)
            _flush(path.parent)  # the rename itself
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        # Of a full disk it says no name, and else that of a file that nobody knows.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def replace_directory(path: Path, names: Sequence[str], write: Callable[[Path], None]) -> None:
    """Replace certain files of a directory together: at any instant they are the old or the new.

    The new ones are written into a directory beside, which then changes places with the old one;
    what else lies in that is moved over. Where that cannot be, as for the working directory, the
    old files are removed before the new ones take their places, and where nothing can be written
    beside it, before the new ones are written.

    Args:
        path: the directory.
        names: of the files; without the first of them the others are of no use, so that it is
            removed first and comes last.
        write: writes the new files into the directory it is given.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _remove_left_over(path, names)
        beside.mkdir()
    except OSError:
        _remove(path, names)
        write(path)
        return
    try:
        shutil.copymode(path, beside)
        write(beside)
        try:
            _exchange(beside, path)
        except OSError:
            _remove(path, names)
            for name in reversed(names):
                shutil.move(beside / name, path / name)
        for entry in beside.iterdir():
            if entry.name not in names:
                entry.rename(path / entry.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _remove(path: Path, names: Sequence[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)


def _remove_left_over(path: Path, names: Sequence[str]) -> None:
    """Remove what a process that was killed while it replaced this directory has left beside."""
    for entry in path.parent.iterdir():
        name, _, number = entry.name.rpartition(".")
        if name == f".{path.name}" and number.isdecimal() and entry.is_dir():
            files = {file.name for file in entry.iterdir()}
            if all(file in names or file.startswith(".") for file in files):
                shutil.rmtree(entry, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Have two directories change places.

    Raises:
        OSError: one is the working directory, or a disk of its own.
    """
    if Path.cwd().is_relative_to(other):
        raise OSError(errno.EBUSY, "the working directory stays where it is")
    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    if rename is None or rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
        # Not of this system, or of this file system: for a moment there is none at the path.
        aside = one.with_name(f"{one.name}.old")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    _flush(other.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
