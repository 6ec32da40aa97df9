"""`chargen.train`: a training run from the text to the finished checkpoint."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Unpack

from chargen.config import TRAIN_OPTIONS, TrainOptions, parse_duration
from chargen.errors import CheckpointError, OptionError
from chargen.fields import takes
from chargen.training.events import Event, Report
from chargen.training.plan import default_checkpoint, plan_new, plan_resumed
from chargen.training.support import check_support

__all__ = ["train"]

Text = str | PathLike[str]


def _ignore(event: Event) -> None:
    """Report to nobody."""


@takes(TRAIN_OPTIONS)
def train(
    texts: Text | Sequence[Text] = (),
    *,
    checkpoint: Text | None = None,
    resume: bool = False,
    force: bool = False,
    init_from: Text | None = None,
    report: Report = _ignore,
    **options: Unpack[TrainOptions],
) -> Path:
    """Train a model on texts and write a checkpoint.

    The options are the long ones of `chargen train`, with underscores. What is not given follows
    from the text; see `chargen.training.defaults`.

    Args:
        texts: a path or several, joined in order; "-" is standard input. With `resume` they may
            be left out: the run knows its own.
        checkpoint: the directory to write; by default `checkpoints/<stem of the first text>`.
        resume: go on with the run in `checkpoint` where it stopped.
        force: replace a checkpoint that is there.
        init_from: a checkpoint to take the network and its weights from, for another text with
            the same characters.
        report: told what happens; see `chargen.training.events`.
        **options: what the fields of `ModelConfig` and `TrainConfig` say, which stands here.

    Returns:
        The checkpoint's path.

    Raises:
        CorpusError: a text cannot be read.
        CheckpointError: a checkpoint is in the way, missing, or cannot be written.
        OptionError: an option is out of range, or two do not go together.
        TrainingError: the text is too short for the options, training diverged again and
            again, or this installation or system cannot train.
        VocabularyError: the text's characters are not those of `init_from`.
        KeyboardInterrupt: after SIGINT; the run is saved, and `resume` goes on with it. Other
            signals that stop a run, such as SIGTERM, are handed on in the same way.
    """
    started = time.monotonic()
    check_support()
    if unknown := set(options) - set(TRAIN_OPTIONS):
        raise TypeError(f"train() got unknown options: {', '.join(sorted(unknown))}")
    if "budget" in options:
        options["budget"] = parse_duration(options["budget"], "budget")
    if "save_every" in options:
        options["save_every"] = parse_duration(options["save_every"], "save_every")
    if resume and (force or init_from is not None):
        raise OptionError("--resume goes on with a run; it does not go with --force or --init-from")
    sources = [fspath(texts)] if isinstance(texts, str | PathLike) else [fspath(t) for t in texts]
    if checkpoint is not None:
        if not fspath(checkpoint) or "\0" in fspath(checkpoint):
            raise OptionError(f"--checkpoint must name a directory; found {fspath(checkpoint)!r}")
        folder = Path(checkpoint)
    elif sources:
        folder = default_checkpoint(sources[0])
    else:
        raise OptionError("give at least one TEXT to train on, or --resume with --checkpoint")
    if not sources and not resume:
        raise OptionError("give at least one TEXT to train on; - is standard input")
    with _no_empty_folders(folder):
        if resume:
            plan = plan_resumed(folder, sources, options)
        else:
            initial = Path(init_from) if init_from is not None else None
            plan = plan_new(folder, sources, options, force=force, init_from=initial)
        # Imported once TensorFlow has been told what it must be told before it starts.
        from chargen.training.loop import run

        try:
            for event in run(plan, started):
                report(event)
        except OSError as error:
            if error.filename is None:
                raise  # by what is told of the run
            raise CheckpointError(
                f"cannot write {error.filename}: {error.strerror}; what was saved last is kept: "
                "mend this and train again, by --resume where a run had begun"
            ) from None
    return folder


@contextmanager
def _no_empty_folders(folder: Path) -> Iterator[None]:
    """Leave no folder behind where the body makes some and saves nothing in them."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # it holds something
                path.rmdir()
