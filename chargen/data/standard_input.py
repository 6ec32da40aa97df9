"""The process's standard input: whether it holds a text, and its bytes."""

import os
import select
import sys
from contextlib import suppress
from io import BufferedReader
from typing import IO, cast
from weakref import WeakSet

from chargen.errors import CorpusError, OptionError

__all__ = ["STANDARD_INPUT", "holds_input", "is_ready", "standard_input"]

STANDARD_INPUT = "-"
"""What stands for it among the texts."""
PAUSE_SECONDS = 0.005
"""How long a pipe may be silent before what it has sent is passed on without waiting for more."""


def standard_input() -> IO[bytes]:
    """Return the process's standard input, which can only be asked for once.

    Raises:
        CorpusError: standard input is closed.
        OptionError: standard input was read before, so nothing is left in it.
    """
    if sys.stdin is None:
        raise CorpusError("standard input is closed; name a file, or pipe in a text")
    stream = sys.stdin.buffer
    if stream in _READ_BEFORE:
        raise OptionError(
            "standard input can be read only once; - names it twice, or it was read before; name a "
            "file"
        )
    _READ_BEFORE.add(stream)
    with suppress(OSError, ValueError, AttributeError):  # not a file of the operating system
        os.set_blocking(stream.fileno(), True)  # or a pause would look like the end
    return stream


_READ_BEFORE: WeakSet[IO[bytes]] = WeakSet()


def holds_input() -> bool | None:
    """Return whether standard input is a pipe or a file with something in it.

    Nothing is taken from it. A terminal holds nothing. None means a pipe that may still send
    something, as whoever writes to it has neither done so nor closed it; it is not waited for,
    because many a program leaves such a pipe open for the commands that it starts.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return False
    stream = sys.stdin.buffer
    try:
        if stream.seekable():
            position = stream.tell()
            found = bool(stream.read(1))
            stream.seek(position)
            return found
        ready, _, _ = select.select([stream], [], [], 0)
        # At its end a pipe is ready too, and gives nothing.
        return bool(cast("BufferedReader", stream).peek(1)) if ready else None
    except (OSError, ValueError, AttributeError):  # not a file of the operating system
        return False


def is_ready(stream: IO[bytes]) -> bool:
    """Return whether a stream has more to read, or has ended, within `PAUSE_SECONDS`."""
    try:
        ready, _, _ = select.select([stream], [], [], PAUSE_SECONDS)
    except (OSError, ValueError):  # not a file of the operating system, so all of it is available
        return True
    return bool(ready)
