"""`chargen.train`: train on texts and write a checkpoint."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Unpack

from chargen.checkpoint.atomic import is_temporary
from chargen.checkpoint.directory import Checkpoint, best_of
from chargen.checkpoint.ids import IDS, IdsFile
from chargen.config import TRAIN_OPTIONS, TrainOptions
from chargen.data.directories import EVERY_FILE, expanded
from chargen.data.windows import make_windows
from chargen.errors import CheckpointError, OptionError, TrainingError
from chargen.fields import takes
from chargen.training import runtime
from chargen.training.cluster import Cluster, cluster_of, start_workers
from chargen.training.defaults import check_options
from chargen.training.events import Event, Noted, Preview, Report, Stopped, TextRead
from chargen.training.lock import Lock, claimed
from chargen.training.plan import (
    Plan,
    check_folder,
    default_checkpoint,
    plan_new,
    plan_resumed,
)
from chargen.training.support import check_support

__all__ = ["AnyPath", "preview", "sources_of", "train"]

AnyPath = str | PathLike[str]

NOTICED_SECONDS = 1.0
"""How long a text is read before that is shown: what takes less is hardly noticed."""
TEXT_REPORT_SECONDS = 0.2
"""The time between two reports of it, which is as often as the eye can follow."""


def _ignore(event: Event) -> None:
    """Ignore an event: the default of `report`."""


@takes(TRAIN_OPTIONS)
def train(
    texts: AnyPath | Sequence[AnyPath] = (),
    *,
    checkpoint: AnyPath | None = None,
    resume: bool = False,
    force: bool = False,
    init_from: AnyPath | None = None,
    glob: str = EVERY_FILE,
    verbose: bool = False,
    tensorboard: AnyPath | None = None,
    workers: int | None = None,
    report: Report = _ignore,
    **options: Unpack[TrainOptions],
) -> Path:
    """Train a model on texts and write a checkpoint.

    The options are the long options of `chargen train`, with underscores. Those that are not given
    follow from the text; see `chargen.training.defaults`.

    Args:
        texts: a path, or several whose texts are joined in order; "-" is standard input, and a
            directory stands for the text files in and under it. With `resume` they may be left out,
            as the run knows its own.
        checkpoint: the directory to write; by default `checkpoints/<stem of the first text>`.
        resume: continue the run in `checkpoint` where it stopped. Of the options, `epochs`,
            `budget`, `patience`, `save_every`, `threads` and `keep_ids` may be changed. A run that
            was stopped before it began is begun anew, with the texts and the options given.
        force: replace the checkpoint that is there as soon as the run starts.
        init_from: a checkpoint whose network and weights to start from; characters of the text
            that it does not know are added.
        glob: what the names of files in a directory match, such as "*.md".
        verbose: show on standard error what `chargen train` shows there.
        tensorboard: a directory for files of the run's figures and samples, which TensorBoard
            shows; it needs the package `tensorboard`.
        workers: how many processes of this machine train together, this one included. The
            environment variable `TF_CONFIG` names processes on several machines instead; there the
            first of them does what is described here, and the others compute for it.
        report: a function that is called with each event of the run; see
            `chargen.training.events`.
        **options: one entry for each field that may be chosen; `takes` fills them in here.

    Returns:
        The checkpoint's path.

    Raises:
        CorpusError: a text cannot be read.
        CheckpointError: a checkpoint is already there, is missing, or cannot be written, or another
            process trains in its directory.
        OptionError: an option is out of range, or two options conflict.
        TrainingError: the text is too short for the options, training diverged again and
            again, or this installation or system cannot train, or another worker has stopped.
        KeyboardInterrupt: SIGINT arrived; the run is saved, and `resume` continues it. After
            SIGTERM the run is saved too, and the signal then has its usual effect.
    """
    started = time.monotonic()
    check_support()
    if unknown := set(options) - set(TRAIN_OPTIONS):
        raise TypeError(f"train() got unknown options: {', '.join(sorted(unknown))}")
    options = check_options(options)
    if resume and (force or init_from is not None):
        raise OptionError(
            "--resume continues a run and does not go with --force or --init-from; leave those out"
        )
    named = sources_of(texts)
    folder = _folder(named, checkpoint)
    cluster = cluster_of(workers)
    if cluster.is_led:
        _follow(cluster, options.get("threads"))
        return folder
    if not named and not resume:
        raise OptionError("give at least one TEXT to train on; - is standard input")
    begun = not (resume and _was_stopped_before_it_began(folder))
    if resume and begun:
        Checkpoint.open(folder)  # where there is none, no directory is made
    if not (begun or named):
        raise CheckpointError(
            f"the run in {folder} was stopped before it began, so its TEXT and options are not "
            "known there; give them again"
        )
    # Locked before anything is looked at, so that it stays as the plan found it.
    with (
        _reporting(report, verbose, tensorboard) as shown,
        claimed(folder) as lock,
        _ids_file(folder, shown) as ids_file,
        ExitStack() as stack,
    ):
        sources = _expanded(named, glob, shown)
        if not begun:
            shown(Noted(f"the run in {folder} was stopped before it began; it begins anew"))
        if resume and begun:
            plan = plan_resumed(folder, sources, options, cluster=cluster, ids_file=ids_file)
            # Found out before TensorFlow is imported, which takes seconds.
            if ended := _ended(plan, started):
                with _written():
                    plan.checkpoint.write()  # its options and the paths of its texts may differ
                ids_file.finish(keep=plan.checkpoint.training.keep_ids)
                shown(ended)
                return folder
            cluster = stack.enter_context(start_workers(cluster, plan.checkpoint.training.threads))
        else:
            # All that can be refused without the text comes first: that may come from a pipe, and
            # come only once.
            check_folder(folder, force=force)
            # These import TensorFlow while the text is read.
            cluster = stack.enter_context(start_workers(cluster, options.get("threads")))
            plan = plan_new(
                folder,
                sources,
                options,
                init_from=Path(init_from) if init_from is not None else None,
                cluster=cluster,
                note=lambda sentence: shown(Noted(sentence)),
                ids_file=ids_file,
            )
        for event in _events(plan, lock, started, cluster):
            ids_file.needed = True  # by --resume, if the run is not finished
            shown(event)
        ids_file.finish(keep=plan.checkpoint.training.keep_ids)
    return folder


def preview(
    texts: AnyPath | Sequence[AnyPath],
    *,
    checkpoint: AnyPath | None = None,
    init_from: AnyPath | None = None,
    glob: str = EVERY_FILE,
    verbose: bool = False,
    **options: Unpack[TrainOptions],
) -> Preview:
    """Find out what `train` would do with the same arguments, and write nothing.

    It takes some seconds, because the first steps are taken to measure how long they take.

    Args:
        texts: as for `train`, and so are the others.
        checkpoint: the directory that would be written.
        init_from: a checkpoint whose network and weights to start from.
        glob: what the names of files in a directory match.
        verbose: show on standard error what was changed in the texts.
        **options: as for `train`.

    Raises:
        ChargenError: what `train` would raise before its first step, except for an error of the
            directory.
    """
    started = time.monotonic()
    check_support()
    named = sources_of(texts)
    if not named:
        raise OptionError("give at least one TEXT to plan for; - is standard input")
    with _reporting(_ignore, verbose) as report:
        plan = plan_new(
            _folder(named, checkpoint),
            _expanded(named, glob, report),
            check_options(options),
            init_from=Path(init_from) if init_from is not None else None,
            note=lambda sentence: report(Noted(sentence)),
        )
        from chargen.training.loop import rehearse

        return rehearse(plan, started)


@contextmanager
def _reporting(
    report: Report, verbose: bool, tensorboard: AnyPath | None = None
) -> Iterator[Report]:
    """Give what events are reported to, which shows and writes them too if that is asked for."""
    reports = [report]

    def tell(event: Event) -> None:
        for each in reports:
            each(event)

    with ExitStack() as stack:
        if tensorboard is not None:
            from chargen.training.tensorboard import TensorBoardFiles

            files = TensorBoardFiles(tensorboard, lambda sentence: tell(Noted(sentence)))
            reports.insert(0, stack.enter_context(files).report)
        if verbose:
            from chargen.training.display import TrainingDisplay  # which loads Rich

            reports.insert(0, stack.enter_context(TrainingDisplay()).report)
        yield tell


def sources_of(texts: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Return the paths of one text or of several."""
    return [fspath(texts)] if isinstance(texts, str | PathLike) else [fspath(t) for t in texts]


def _expanded(sources: Sequence[str], glob: str, report: Report) -> list[str]:
    return expanded(sources, glob, lambda sentence: report(Noted(sentence)))


def _folder(sources: Sequence[str], checkpoint: AnyPath | None) -> Path:
    """Return the directory of the checkpoint: the one that was named, or that of the first text."""
    if checkpoint is not None:
        if not fspath(checkpoint) or "\0" in fspath(checkpoint):
            raise OptionError(f"--checkpoint must name a directory; found {fspath(checkpoint)!r}")
        return Path(checkpoint)
    if not sources:
        raise OptionError("give at least one TEXT to train on, or --resume with --checkpoint")
    return default_checkpoint(sources[0])


def _was_stopped_before_it_began(folder: Path) -> bool:
    """Return whether a directory has nothing, or only what is written before a run begins."""
    return folder.is_dir() and all(
        entry.name == IDS or is_temporary(entry.name, (IDS,)) for entry in folder.iterdir()
    )


@contextmanager
def _ids_file(folder: Path, report: Report) -> Iterator[IdsFile]:
    """Give what holds the ids of a long text; see `IdsFile.finish` for what becomes of them."""
    due = time.monotonic() + NOTICED_SECONDS
    shown = False

    def progress(read: int, size: int | None) -> None:
        nonlocal due, shown
        now = time.monotonic()
        if now >= due or (shown and read == size):
            due, shown = now + TEXT_REPORT_SECONDS, True
            report(TextRead(read, size))

    with IdsFile(folder, progress) as ids_file:
        yield ids_file


def _ended(plan: Plan, started: float) -> Stopped | None:
    """Return how a run that is to be resumed has ended, or None if there is something left to do.

    Raises:
        TrainingError: it is already longer than it is to be.
    """
    # Imported only now: a light install lacks what they need.
    from chargen.training.clock import Clock
    from chargen.training.state import progress

    checkpoint, training = plan.checkpoint, plan.checkpoint.training
    run = progress(checkpoint.path)
    if plan.extended:
        run.extend()
    clock = Clock(run, make_windows(plan.train_ids, checkpoint.model, training), training, started)
    if run.step > clock.total_steps:
        raise TrainingError(
            f"this run has done {run.step / clock.epoch_steps:.1f} epochs, more than --epochs "
            f"{training.epochs}; give a larger number, or start a new run"
        )
    ending = clock.ending
    if ending is None:
        return None
    best = best_of(checkpoint.history()[: run.evaluations])
    return Stopped(ending, checkpoint.path, run.step, run.seconds, best)


def _events(plan: Plan, lock: Lock, started: float, cluster: Cluster) -> Iterator[Event]:
    """Run a plan."""
    runtime.start(cluster.threads or plan.checkpoint.training.threads)
    # Imported only now, when the settings have been made that TensorFlow reads at its import.
    from chargen.training.loop import run
    from chargen.training.team import Team

    with _written():
        yield from run(plan, lock, started, Team.joined(cluster) if cluster.size > 1 else None)


def _follow(cluster: Cluster, threads: int | None) -> None:
    """Compute for the worker that leads, until the run is over."""
    runtime.start(threads)
    from chargen.training.team import Team, follow

    follow(Team.joined(cluster))


@contextmanager
def _written() -> Iterator[None]:
    """Say what to do about a file of the checkpoint that cannot be written."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise  # it is about no file
        raise CheckpointError(
            f"cannot write {error.filename}: {error.strerror}; what was saved last is kept: "
            "fix this and train again, with --resume if the run had begun"
        ) from None
