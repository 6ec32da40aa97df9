"""Replaces files and directories whole: a reader finds either the old ones or the new ones."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = [
    "is_temporary",
    "put_in_place",
    "remove_temporary",
    "replace_directory",
    "replace_file",
    "temporary_name",
    "try_to_write",
    "write_file",
]

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Constants of Linux' `renameat2`, which Python does not offer."""
ASIDE = ".old"
"""What the name of a directory ends with that had to make room for another."""


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
    temporary = temporary_name(path)
    try:
        try:
            write(temporary)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # On a full disk there is no file name in it, and otherwise that of the temporary file.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def temporary_name(path: Path) -> Path:
    """Return what the new content of a file is called until it takes the file's place."""
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush a file that was written under its `temporary_name`, and give it its own name."""
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)  # the rename itself


def try_to_write(folder: Path) -> None:
    """Write a file into a directory and remove it again, to find out whether that is possible.

    Raises:
        OSError: it is not.
    """
    trial = folder / f".chargen-trial.{os.getpid()}"
    trial.write_bytes(b"")
    trial.unlink()


def remove_temporary(folder: Path, names: Sequence[str]) -> None:
    """Remove what processes that were killed while they replaced these files left beside them.

    Args:
        folder: the directory, in which no other process replaces files.
        names: the names of the files.
    """
    for entry in folder.iterdir():
        if is_temporary(entry.name, names):
            with suppress(OSError):  # it only takes room
                entry.unlink()


def is_temporary(name: str, names: Sequence[str]) -> bool:
    """Return whether `replace_file` gives this name to a temporary file for one of the names."""
    path = Path(name)
    stem, _, number = path.stem.rpartition(".")
    return stem.startswith(".") and number.isdecimal() and stem[1:] + path.suffix in names


def replace_directory(
    path: Path,
    names: Sequence[str],
    write: Callable[[Path], None],
    dispensable: Sequence[str] = (),
) -> None:
    """Replace certain files of a directory together: at every moment all are old or all are new.

    The new files are written into a second directory beside the first, the other files are moved to
    them, and then the two directories change places. If they cannot, as with the working directory
    or where another file cannot be moved, the old files are removed before the new ones are moved
    in. If no directory can be made beside the first, the old files are removed before new ones are
    written. Nothing but the old files is ever deleted.

    Args:
        path: the directory.
        names: the names of the files. The others are useless without the first of them, so it is
            removed first and written last.
        write: writes the new files into the directory that it is given.
        dispensable: the names of files that are kept as all others are, but may be deleted with
            what a process left beside the directory that was killed while it replaced it.
    """
    path = path.resolve()
    replacement = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _remove_left_over(path, (*names, *dispensable))
        replacement.mkdir()
    except OSError:
        _remove(path, names)
        write(path)
        return
    replaced = replacement  # what is to be deleted at the end
    try:
        shutil.copymode(path, replacement)
        write(replacement)
        try:
            replaced = _exchange(replacement, path, names)
        except OSError:
            _remove(path, names)
            for name in reversed(names):
                shutil.move(replacement / name, path / name)
        else:
            _flush(path.parent)
    finally:
        _discard(replaced, names)


def _remove(path: Path, names: Sequence[str]) -> None:
    for name in names:
        (path / name).unlink(missing_ok=True)


def _discard(folder: Path, names: Sequence[str]) -> None:
    """Delete a directory, unless it has a file that is neither a named nor a temporary one."""
    with suppress(OSError):  # what cannot be deleted does no harm
        found = [entry.name for entry in folder.iterdir()]
        if all(name in names or is_temporary(name, names) for name in found):
            shutil.rmtree(folder)


def _remove_left_over(path: Path, names: Sequence[str]) -> None:
    """Remove what was left beside this directory by a process killed while replacing it."""
    for entry in path.parent.iterdir():
        name, _, number = entry.name.removesuffix(ASIDE).rpartition(".")
        if name == f".{path.name}" and number.isdecimal() and entry.is_dir():
            _discard(entry, names)


def _exchange(one: Path, other: Path, names: Sequence[str]) -> Path:
    """Put a directory in the place of another, whose files it gets except for the named ones.

    Returns:
        Where the other directory is now.

    Raises:
        OSError: the other is the working directory or a mount point, or a file of it cannot be
            moved; both directories are as they were.
    """
    if Path.cwd().is_relative_to(other):
        raise OSError(errno.EBUSY, "the working directory cannot be replaced")
    moved = []
    try:
        for entry in list(other.iterdir()):
            if entry.name not in names:
                moved.append(entry.rename(one / entry.name))
        return _put_in_place(one, other)
    except OSError:
        for entry in moved:
            entry.rename(other / entry.name)
        raise


def _put_in_place(one: Path, other: Path) -> Path:
    library = ctypes.CDLL(None, use_errno=True)
    rename = getattr(library, "renameat2", None)
    paths = os.fsencode(one), os.fsencode(other)
    if rename and not rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
        return one
    # The system or file system has no exchange: for a moment there is no directory at the path.
    aside = other.rename(one.with_name(one.name + ASIDE))
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    return aside


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
