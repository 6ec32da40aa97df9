"""A training run as TensorBoard shows it: what `chargen train --tensorboard` writes.

TensorBoard draws what lies in each folder as a curve of one colour. The figures of the training
text go to `train` and those of the held-out text to `validation`, under the same names, so that it
draws them into one plot. `history.jsonl` remains the record of the run; nothing is read from here.
"""

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chargen.checkpoint.atomic import try_to_write
from chargen.errors import OptionError, TrainingError
from chargen.installation import require
from chargen.plain import NATS_PER_BIT, harmless
from chargen.training.events import Evaluated, Event, Progressed, Recovered, Started
from chargen.training.lock import remove_empty

__all__ = ["TensorBoardFiles"]

PROGRESS_SECONDS = 5.0
"""The time between two figures of progress: a run of ten hours writes 7,000 of each, of which
TensorBoard draws 1,000."""


class TensorBoardFiles:
    """Writes the figures and samples of a run into a folder that TensorBoard reads.

    A run that is resumed adds a file to each folder. What was written after the step at which it
    continues, or to which it recovers, is shown no more. If a file cannot be written, as on a full
    disk, that is said once, and the run goes on.

    Args:
        path: the folder, as the user gave it.
        note: is told in a sentence that a file cannot be written.

    Raises:
        OptionError: the path names no folder.
        ChargenError: TensorBoard is not installed.
        TrainingError: the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], note: Callable[[str], None]) -> None:
        require("--tensorboard", ["tensorboard"], "tensorboard")
        if not os.fspath(path) or "\0" in os.fspath(path):
            raise OptionError(f"--tensorboard must name a directory; found {os.fspath(path)!r}")
        self._folder, self._note = Path(path), note
        _try(self._folder)
        self._files: dict[str, _File] = {}
        self._progressed_at = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def report(self, event: Event) -> None:
        """Write what an event says."""
        try:
            self._write(event)
        except OSError as error:
            self._close()
            self._note(
                f"cannot write to {self._folder}: {error.strerror or error}; TensorBoard is shown "
                "no more of this run, which goes on"
            )

    def _write(self, event: Event) -> None:
        match event:
            case Started():
                held_out = event.checkpoint.corpus.validation_characters > 0
                # A run before may have left curves, which are not this one's.
                both = held_out or (self._folder / "validation").is_dir()
                for name in ("train", "validation") if both else ("train",):
                    self._files[name] = _File(self._folder / name)
                self._forget_after(event.first_step)
            case Recovered():
                self._forget_after(event.back_to)
            case Progressed() if self._is_progress_due():
                figures = {
                    "progress/bits_per_character": event.train_nats / NATS_PER_BIT,
                    "progress/characters_per_second": event.characters_per_second,
                    "progress/gradient_norm": event.gradient_norm,
                }
                self._add("train", event.step, figures)
            case Evaluated():
                record, step = event.record, event.record["step"]
                for name in ("train", "validation"):
                    self._add(name, step, _figures_of(record, name))
                more = {
                    "learning_rate": record["learning_rate"],
                    "gradient_norm": record["gradient_norm"],
                    "characters_per_second": event.characters_per_second,
                }
                self._add("train", step, more, {"sample": event.sample})

    def _is_progress_due(self) -> bool:
        now = time.monotonic()
        is_due = now - self._progressed_at >= PROGRESS_SECONDS
        if is_due:
            self._progressed_at = now
        return is_due

    def _forget_after(self, step: int) -> None:
        for file in self._files.values():
            file.restart(step + 1)

    def _add(
        self,
        name: str,
        step: int,
        figures: Mapping[str, float | None],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        known = {tag: value for tag, value in figures.items() if value is not None}
        if name in self._files and (known or texts):
            self._files[name].add(step, known, texts or {})

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


def _figures_of(record: Mapping[str, Any], name: str) -> dict[str, float | None]:
    """Return the figures of the training text, or of the held-out text, in a line of history."""
    nats = record[f"{name}_nats"]
    return {
        "nats_per_character": nats,
        "bits_per_character": None if nats is None else nats / NATS_PER_BIT,
        "accuracy": record[f"{name}_accuracy"],
    }


class _File:
    """A file of events, in the format that TensorBoard reads.

    The records and their contents are written by TensorBoard's own code. Its writer of whole files
    is not used: a thread of its own writes there, and shows a traceback where the disk is full.

    Args:
        folder: where to make it.
    """

    def __init__(self, folder: Path) -> None:
        # Imported only now, as they are not always installed.
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files in the order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        name = f"events.out.tfevents.{seconds:010}.{rest:09}.{os.getpid()}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")  # what TensorBoard expects in the first record

    def restart(self, step: int) -> None:
        """Have nothing shown of a step, or of those after it, that was written before."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._write(step=step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, figures: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Write figures and texts of a step by their names."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.summary_v2 import text_pb

        summary = Summary()
        for tag, value in figures.items():
            summary.value.add(tag=tag, simple_value=value)
        for tag, text in texts.items():
            summary.MergeFrom(text_pb(tag, _fenced(text)))
        self._write(step=step, summary=summary)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # all is written, or its failure has been reported
            self._file.close()

    def _write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Entry

        self._records.write(Entry(wall_time=time.time(), **fields).SerializeToString())
        self._file.flush()


def _fenced(text: str) -> str:
    """Return Markdown that shows a text as it is: a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{harmless(text)}\n{fence}"


def _try(folder: Path) -> None:
    """Refuse a folder that cannot be written; leave it as it was.

    Raises:
        TrainingError: it cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try_to_write(folder)
    except OSError as error:
        raise TrainingError(
            f"cannot write to {folder}: {error.strerror}; give another --tensorboard"
        ) from None
    finally:
        remove_empty(made)
