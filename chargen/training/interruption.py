"""Stopping a run at a step's end when a signal asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interruption"]


class Interruption:
    """Turns the first SIGINT or SIGTERM into a request to stop after the step under way.

    A second signal acts at once, as it would have without, and an ignored one is still ignored.
    Signals reach the main thread only; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for signals in the body, and after it hand the one that came to whom it was for.

        So SIGINT ends as a KeyboardInterrupt, and SIGTERM as whatever the process does then.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # A process started in the background, or by nohup, was told to ignore some: it still does.
        previous = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}

        def give_back() -> None:
            for number, handler in previous.items():
                signal.signal(number, handler)

        def note(number: int, frame: object) -> None:
            self.signal = number
            give_back()

        for number in previous:
            signal.signal(number, note)
        try:
            yield
        finally:
            give_back()
        if self.signal is not None:
            signal.raise_signal(self.signal)
