"""One trainer at a time in a checkpoint's directory."""

import errno
import os
from pathlib import Path
from typing import Self

from chargen.errors import CheckpointError

__all__ = ["Lock"]

UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without locks say; nothing is refused there."""


class Lock:
    """Held on a directory, and on others that may take its place; readers are not kept out.

    The system lets go of it when the process ends, in whatever way, and it leaves no file behind.
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
        """Take a directory as well, unless it is one that is held.

        Raises:
            CheckpointError: another process trains there.
        """
        import fcntl  # here, so that systems without it can import what they cannot use

        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if any(os.path.sameopenfile(descriptor, held) for held in self._descriptors):
            os.close(descriptor)
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise CheckpointError(
                f"another process is training in {folder}; wait for its end, or give another "
                "--checkpoint"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
        self._descriptors.append(descriptor)
