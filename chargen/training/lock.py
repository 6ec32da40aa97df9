"""Allow one trainer at a time in a checkpoint's directory."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from chargen.errors import CheckpointError

__all__ = ["Lock", "claimed", "remove_empty"]

UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors of file systems without locks, where nothing is refused."""


class Lock:
    """An advisory lock on a directory, and on others that may take its place.

    Readers do not need it. The system releases it when the process ends, however that happens, and
    it leaves no file behind.

    Args:
        folder: the first directory to lock.
        option: the option that names it, for messages.

    Raises:
        CheckpointError: another process trains in the directory.
    """

    def __init__(self, folder: Path, option: str = "--checkpoint") -> None:
        self._option = option
        self._descriptors: list[int] = []
        self.hold(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def hold(self, folder: Path) -> None:
        """Lock another directory, unless it is locked already.

        Raises:
            CheckpointError: another process trains there.
        """
        import fcntl  # here, so that systems without it can import this module

        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if any(os.path.sameopenfile(descriptor, held) for held in self._descriptors):
            os.close(descriptor)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), folder.stat()):
                raise BlockingIOError  # whoever held it has just put another in its place
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            raise CheckpointError(
                f"another process is training in {folder}; wait until it ends, or give another "
                f"{self._option}"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
        self._descriptors.append(descriptor)


@contextmanager
def claimed(folder: Path, option: str = "--checkpoint") -> Iterator[Lock]:
    """Make a directory, unless it is there, and hold its lock in the body.

    Folders that were made here and are empty after the body are removed again.

    Args:
        folder: the directory.
        option: the option that names it, for messages.

    Raises:
        CheckpointError: the directory cannot be made, or another process trains there.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give a directory with {option}")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder, option)
    except OSError as error:
        remove_empty(made)
        raise CheckpointError(
            f"cannot write to {folder}: {error.strerror}; give another {option}"
        ) from None
    with lock:
        try:
            yield lock
        finally:
            remove_empty(made)  # while they are locked, so that nobody else has begun to use them


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of the folders, innermost first, that are empty."""
    for folder in folders:
        with suppress(OSError):  # it is not empty
            folder.rmdir()
