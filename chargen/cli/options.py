"""Options and arguments that commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chargen.config import DEFAULT_FOLDER, TrainConfig
from chargen.errors import OptionError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "checkpoint_option",
    "chosen",
    "complete_checkpoint",
    "complete_file",
    "encoding_option",
    "find_checkpoint",
    "json_option",
    "quiet_option",
    "threads_option",
]

CHECKPOINT_VARIABLE = "CHARGEN_CHECKPOINT"

Command = TypeVar("Command", bound=Callable[..., Any])


def checkpoint_option(command: Command) -> Command:
    """`-c/--checkpoint`: which model to use; `find_checkpoint` gives its path."""
    return click.option(
        "-c",
        "--checkpoint",
        metavar="DIR",
        shell_complete=complete_checkpoint,
        help="The checkpoint to use.  [default: $CHARGEN_CHECKPOINT, else the newest under "
        "./checkpoints]",
    )(command)


def complete_checkpoint(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """The checkpoints under ./checkpoints, else directories: for the shell to offer.

    It looks for files only, and loads nothing: it is waited for at each Tab.
    """
    from click.shell_completion import CompletionItem

    found = sorted(str(path.parent) for path in DEFAULT_FOLDER.glob("*/config.json"))
    offered = [CompletionItem(name) for name in found if name.startswith(incomplete)]
    # Where there are none of that name, it may stand elsewhere.
    return offered or [CompletionItem(incomplete, type="dir")]


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Files: for the shell to offer."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def encoding_option(of: str) -> Callable[[Command], Command]:
    """`--encoding`: of texts that are read; the help says of which."""
    return click.option(
        "--encoding",
        default=TrainConfig.encoding,
        metavar="NAME",
        help=f"{of}  [default: {TrainConfig.encoding}]",
    )


def quiet_option(command: Command) -> Command:
    """`-q/--quiet`: nothing on standard error but errors."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="Write nothing but results and errors."
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def threads_option(command: Command) -> Command:
    """`--threads`: how many to compute with."""
    return click.option(
        "--threads",
        type=int,
        metavar="N",
        help="Threads to compute with.  [default: as many as suit the model and the work, at most "
        "one for each core]",
    )(command)


def find_checkpoint(checkpoint: str | None) -> Path:
    """The checkpoint that was named, else the one in the environment, else the newest.

    Raises:
        CheckpointError: none was named and there is none.
        OptionError: an empty name was given.
    """
    from chargen.checkpoint.directory import newest_checkpoint

    if checkpoint == "":
        raise OptionError("--checkpoint must name a directory; found an empty name")
    named = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    return Path(named) if named else newest_checkpoint()


def chosen(context: click.Context, name: str) -> bool:
    """Whether the user gave the parameter, rather than its default."""
    source = context.get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)
