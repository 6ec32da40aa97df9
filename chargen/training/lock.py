"""Allow one trainer at a time in a checkpoint's directory."""

import errno
import os
from pathlib import Path
from typing import Self

from chargen.errors import CheckpointError

__all__ = ["Lock"]

UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors of file systems without locks, where nothing is refused."""


class Lock:
    """An advisory lock on a directory, and on others that may take its place.

    Readers do not need it. The system releases it when the process ends, however that happens, and
    it leaves no file behind.

    Args:
        folder: the first directory to lock.

    Raises:
        CheckpointError: another process trains in the directory.
    """

    def __init__(self, folder: Path) -> None:
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
        except BlockingIOError:
            os.close(descriptor)
            raise CheckpointError(
                f"another process is training in {folder}; wait until it ends, or give another "
                "--checkpoint"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
        self._descriptors.append(descriptor)
