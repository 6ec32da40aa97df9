"""Replaces files and directories whole: a reader finds either the old ones or the new ones."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["replace_directory", "replace_file", "write_file"]

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Constants of Linux' `renameat2`, which Python does not offer."""


def write_file(path: Path, data: bytes) -> None:
    """Replace a file whole: at every moment it is either the old one or the new one."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    replace_file(path, write)


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Replace a file whole, like `write_file`, with content that a function writes to a path.

    Args:
        path: the file to replace.
        write: writes the new content to the path that it is given, which has the same ending.

    Raises:
        OSError: the file cannot be written; the old one stays. Its `filename` is `path`.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        try:
            write(temporary)
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)  # the rename itself
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # On a full disk there is no file name in it, and otherwise that of the temporary file.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def replace_directory(path: Path, names: Sequence[str], write: Callable[[Path], None]) -> None:
    """Replace certain files of a directory together: at every moment all are old or all are new.

    The new files are written into a second directory beside the first, and then the two directories
    change places; other files in the old directory are moved over. If they cannot change places, as
    with the working directory, the old files are removed before the new ones are moved in. If no
    directory can be made beside the first, the old files are removed before new ones are written.

    Args:
        path: the directory.
        names: the names of the files. The others are useless without the first of them, so it is
            removed first and written last.
        write: writes the new files into the directory that it is given.
    """
    path = path.resolve()
    replacement = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _remove_left_over(path, names)
        replacement.mkdir()
    except OSError:
        _remove(path, names)
        write(path)
        return
    try:
        shutil.copymode(path, replacement)
        write(replacement)
        try:
            _exchange(replacement, path)
        except OSError:
            _remove(path, names)
            for name in reversed(names):
                shutil.move(replacement / name, path / name)
        for entry in replacement.iterdir():
            if entry.name not in names:
                entry.rename(path / entry.name)
    finally:
        shutil.rmtree(replacement, ignore_errors=True)


def _remove(path: Path, names: Sequence[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)


def _remove_left_over(path: Path, names: Sequence[str]) -> None:
    """Remove what was left beside this directory by a process killed while replacing it."""
    for entry in path.parent.iterdir():
        name, _, number = entry.name.rpartition(".")
        if name == f".{path.name}" and number.isdecimal() and entry.is_dir():
            files = {file.name for file in entry.iterdir()}
            if all(file in names or file.startswith(".") for file in files):
                shutil.rmtree(entry, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Make two directories change places.

    Raises:
        OSError: one is the working directory, or a mount point.
    """
    if Path.cwd().is_relative_to(other):
        raise OSError(errno.EBUSY, "the working directory cannot be replaced")
    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    if rename is None or rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
        # The system or file system has no exchange: for a moment there is no directory at the path.
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
