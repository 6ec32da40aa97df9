"""Stop a run between two blocks of steps when a signal asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interruption"]


class Interruption:
    """Turns the first signal to end into a request to stop after the current block of steps.

    These are SIGINT (Ctrl-C), SIGTERM, and SIGHUP, which comes when the terminal is closed.

    A second signal acts at once, as it would without this class, and an ignored signal stays
    ignored. Python handles signals in the main thread only; in other threads this does nothing.

    Attributes:
        signal: the number of the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for signals in the body, and raise the one that arrived again after it.

        The previous handler then acts: usually SIGINT becomes a KeyboardInterrupt, and the others
        end the process.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        handlers = {number: signal.getsignal(number) for number in numbers}
        # A process started in the background, or by nohup, ignores some signals on purpose.
        previous = {n: handler for n, handler in handlers.items() if handler != signal.SIG_IGN}

        def restore_handlers() -> None:
            for number, handler in previous.items():
                signal.signal(number, handler)

        def note(number: int, frame: object) -> None:
            self.signal = number
            restore_handlers()

        for number in previous:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore_handlers()
        if self.signal is not None:
            signal.raise_signal(self.signal)
