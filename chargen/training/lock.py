"""One trainer at a time in a checkpoint's directory."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chargen.errors import CheckpointError

__all__ = ["lock"]

UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without locks say; nothing is refused there."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the directory while the body runs; readers are not kept out.

    The system lets go of it when the process ends, in whatever way, and it leaves no file behind.

    Raises:
        CheckpointError: another process trains there.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(
                f"another process is training in {folder}; wait for its end, or give another "
                "--checkpoint"
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)
