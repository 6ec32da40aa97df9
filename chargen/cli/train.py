"""`chargen train`: learn from a text and write a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    complete_file,
    field_options,
    option,
    quiet_option,
    was_given,
)
from chargen.config import TRAIN_OPTIONS

__all__ = ["command"]


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
    "--budget, --patience, --save-every and --threads may be changed.",
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
    help="Start from the network and the weights of another checkpoint with the same characters.",
)
@field_options(*TRAIN_OPTIONS.values())
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
    quiet: bool,
    **options: Any,
) -> None:
    """Learn from TEXT and print the checkpoint's path.

    TEXT is a file, .gz, .bz2 and .xz included, or - for standard input; several are joined. With
    no options, the size of the network and all else follow from the size of the text. Ctrl-C
    saves the run and stops it; --resume continues it.
    """
    from chargen.training.support import check_support

    check_support()  # before Rich is imported, which a light install leaves out
    from chargen.cli.console import TrainingDisplay
    from chargen.training.train import train

    given = {name: options[name] for name in TRAIN_OPTIONS if was_given(context, name)}
    with _unread_messages_ignored(), TrainingDisplay(quiet=quiet) as display:
        path = train(
            texts,
            checkpoint=checkpoint,
            resume=resume,
            force=force,
            init_from=init_from,
            report=display.report,
            **given,
        )
    click.echo(path)


@contextmanager
def _unread_messages_ignored() -> Iterator[None]:
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
