"""`chargen train`: learn from a text and write a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    complete_directory,
    complete_file,
    field_options,
    glob_option,
    option,
    quiet_option,
    was_given,
)
from chargen.config import TRAIN_OPTIONS, WORKERS
from chargen.errors import OptionError
from chargen.plain import counted, table, visible

if TYPE_CHECKING:
    from chargen.training.events import Preview

__all__ = ["command", "time_in_words", "unread_messages_ignored"]


@click.command(
    "train",
    cls=Command,
    short_help="Learn from a text.",
    epilog="Example: chargen train poems.txt --units 256 --epochs 20",
)
@click.argument("texts", nargs=-1, metavar="TEXT...", shell_complete=complete_file)
@option(
    "-o",
    "--checkpoint",
    group="where",
    metavar="DIR",
    shell_complete=complete_checkpoint,
    default_words="checkpoints/<stem of the first TEXT>",
    help="The directory to write.",
)
@option(
    "--resume",
    is_flag=True,
    group="where",
    help="Resume the stopped run in --checkpoint; TEXT may then be left out, and --epochs, "
    "--budget, --patience, --save-every, --threads and --keep-ids may be changed.",
)
@option(
    "--force",
    is_flag=True,
    group="where",
    help="Replace the checkpoint that is there as soon as the run starts.",
)
@option(
    "--init-from",
    group="where",
    metavar="DIR",
    shell_complete=complete_checkpoint,
    help="Start from the network and the weights of another checkpoint; characters that it does "
    "not know are added.",
)
@field_options(*TRAIN_OPTIONS.values(), WORKERS)
@glob_option("the texts", "text")
@option(
    "--plan",
    is_flag=True,
    group="output",
    help="Print what would be trained, and how long that would take, and end. It takes some "
    "seconds, because the first steps are tried.",
)
@option(
    "--tensorboard",
    group="output",
    metavar="DIR",
    shell_complete=complete_directory,
    help="Also write the figures and samples of the run into this directory, for TensorBoard to "
    "show; needs pip install 'chargen[tensorboard]'.",
)
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    texts: tuple[str, ...],
    checkpoint: str | None,
    resume: bool,
    force: bool,
    init_from: str | None,
    glob: str,
    plan: bool,
    tensorboard: str | None,
    workers: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Learn from TEXT and print the checkpoint's path.

    TEXT is a file, .gz, .bz2 and .xz included, a directory, or - for standard input; several are
    joined. With no options, the size of the network and all else follow from the size of the text.
    Ctrl-C saves the run and stops it; --resume continues it.
    """
    from chargen.training.train import preview, train

    given = {name: options[name] for name in TRAIN_OPTIONS if was_given(context, name)}
    if plan:
        if resume:
            raise OptionError("--plan is for a new run; leave out --resume")
        if workers is not None:
            raise OptionError("--plan tries a run in one process; leave out --workers")
        found = preview(
            texts,
            checkpoint=checkpoint,
            init_from=init_from,
            glob=glob,
            verbose=not quiet,
            **given,
        )
        click.echo(_sheet(found))
        return
    with unread_messages_ignored():
        path = train(
            texts,
            checkpoint=checkpoint,
            resume=resume,
            force=force,
            init_from=init_from,
            glob=glob,
            verbose=not quiet,
            tensorboard=tensorboard,
            workers=workers,
            **given,
        )
    click.echo(path)


def _sheet(found: "Preview") -> str:
    from chargen.checkpoint.architecture import title
    from chargen.training.display import steps_of

    started, checkpoint = found.started, found.started.checkpoint
    model, training, corpus = checkpoint.model, checkpoint.training, checkpoint.corpus
    held_out = f"{corpus.validation_characters:,}"
    dropped = [
        f"{value:.4g} of the {what}"
        for value, what in ((model.dropout, "outputs"), (training.weight_drop, "recurrent weights"))
        if value
    ]
    rows = [
        ("checkpoint", visible(str(checkpoint.path))),
        ("text", f"{corpus.characters:,} characters, {len(checkpoint.vocabulary):,} distinct"),
        ("held out", f"{held_out}, which leaves {corpus.train_characters:,} to learn from"),
        ("network", f"{title(model)}, {started.parameters:,} parameters"),
        ("steps", steps_of(started)),
        ("learning rate", f"{training.learning_rate:.4g}, {training.schedule}"),
        ("dropped", ", ".join(dropped) or "nothing"),
        ("precision", training.precision),
        ("memory", f"{found.memory / 1e9:.1f} GB or a little more"),
        ("time", f"about {time_in_words(found.seconds)} on this machine as it is now"),
    ]
    return table(rows)


def time_in_words(seconds: float) -> str:
    """Return a time as a person would say it."""
    for size, noun in ((3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return counted(round(seconds / size), noun)
    return counted(round(seconds), "second")


@contextmanager
def unread_messages_ignored() -> Iterator[None]:
    """Keep a closed pipe from ending the body.

    Other commands end when nobody reads what they write. A run of hours must not be lost because
    the `tee` or `head` that showed its progress has gone.
    """
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)
