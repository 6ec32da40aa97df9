"""Makes options, holds those that commands share, and prints them in groups in `--help`."""

import os
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chargen.config import DEFAULT_FOLDER, NEWLINES, TrainConfig
from chargen.errors import CheckpointError, OptionError
from chargen.fields import GROUPS, Field, Group
from chargen.plain import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from chargen.data.text import TextFormat

__all__ = [
    "Command",
    "Decorated",
    "GroupedOption",
    "ShareOrFile",
    "checkpoint_option",
    "complete_checkpoint",
    "complete_directory",
    "complete_file",
    "encoding_option",
    "field_options",
    "find_checkpoint",
    "glob_option",
    "json_option",
    "newlines_option",
    "option",
    "quiet_option",
    "reads_pipe",
    "records_option",
    "refuse_unread",
    "text_format",
    "threads_option",
    "was_given",
]

CHECKPOINT_VARIABLE = "CHARGEN_CHECKPOINT"
MOST_OFFERED = 5
"""The most checkpoints to name, the newest first, when one is not there."""
WIDEST = 24
"""The most columns for an option beside its help: a longer one gets a line of its own."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class GroupedOption(click.Option):
    """An option that says where `--help` prints it, and what its value is if it is not given.

    Args:
        *declarations: as for `click.option`.
        group: the heading.
        default_words: the default as `--help` shows it; empty if there is nothing to say.
        **attributes: as for `click.option`.
    """

    def __init__(
        self, *declarations: Any, group: Group, default_words: str = "", **attributes: Any
    ) -> None:
        if default_words:
            attributes["help"] += f"  [default: {default_words}]"
        super().__init__(*declarations, **attributes)
        self.group = group


class Command(click.Command):
    """A command whose `--help` prints the options in their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group; one group alone needs no name."""
        sections: dict[Group, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                # Click's own --help comes last.
                sections[getattr(parameter, "group", GROUPS[-1])].append(record)
        used = {group: records for group, records in sections.items() if records}
        # The same in each section, so that the helps begin in one column.
        width = min(WIDEST, max(len(term) for records in used.values() for term, _ in records))
        for group, records in used.items():
            with formatter.section(group.capitalize() if len(used) > 1 else "Options"):
                formatter.write_dl([(term.ljust(width), text) for term, text in records], width)


class ShareOrFile(click.ParamType):  # type: ignore[type-arg]  # which it takes since Click 8.4
    """A number is a share of the text, anything else a file."""

    name = "share or file"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        """Parse the option's value."""
        try:
            return float(value)
        except ValueError:
            return str(value)


def option(*declarations: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Make a `GroupedOption`, as `click.option` makes an option."""
    return click.option(*declarations, cls=GroupedOption, **attributes)


def field_options(*fields: Field) -> Callable[[Decorated], Decorated]:
    """Make the options for fields of a configuration, in that order."""

    def add(command: Decorated) -> Decorated:
        for field in reversed(fields):
            command = _field_option(field)(command)
        return command

    return add


def _field_option(field: Field) -> Callable[[Decorated], Decorated]:
    description = field.option
    declarations = [f"-{description.short}"] if description.short else []
    attributes: dict[str, Any] = {}
    if field.choices:
        attributes = {"type": click.Choice(field.choices)}
    elif field.kind is bool:
        attributes = {"is_flag": True}
    elif description.duration:
        attributes = {"type": str, "metavar": "DURATION"}
    elif field.kind is int:
        attributes = {"type": int, "metavar": "N"}
    elif field.kind is float:
        attributes = {"type": float, "metavar": "F"}
    elif field.kind is not str:
        attributes = {"type": ShareOrFile()}
    if description.metavar:
        attributes["metavar"] = description.metavar
    words = field.default_words
    if description.bare is not None:
        attributes |= {"is_flag": False, "flag_value": description.bare}
        words = f"off; {description.bare} if N is left out"
    default = None if field.default is MISSING else field.default
    return option(
        *declarations,
        field.flags,
        default=default,
        group=description.group,
        default_words=words,
        help=description.help,
        **attributes,
    )


def checkpoint_option(command: Decorated) -> Decorated:
    """Make `-c/--checkpoint`: which model to use; `find_checkpoint` gives its path."""
    return option(
        "-c",
        "--checkpoint",
        group="where",
        metavar="DIR",
        shell_complete=complete_checkpoint,
        default_words="$CHARGEN_CHECKPOINT, else the newest under ./checkpoints",
        help="The checkpoint to use: a directory, or the name of one under ./checkpoints.",
    )(command)


def complete_checkpoint(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Return the checkpoints under ./checkpoints, or else directories, for the shell to offer.

    It only looks for files, and loads nothing, because the user waits for it at each Tab.
    """
    from click.shell_completion import CompletionItem

    # Those of a comparison are one folder deeper.
    paths = [*DEFAULT_FOLDER.glob("*/config.json"), *DEFAULT_FOLDER.glob("*/*/config.json")]
    found = sorted(str(path.parent) for path in paths)
    offered = [CompletionItem(name) for name in found if name.startswith(incomplete)]
    # If no checkpoint here has such a name, it may be elsewhere.
    return offered or [CompletionItem(incomplete, type="dir")]


def complete_directory(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Have the shell offer directories."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def complete_file(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Have the shell offer files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def encoding_option(of: str, group: Group) -> Callable[[Decorated], Decorated]:
    """Make `--encoding`, whose help names the texts that it applies to."""
    return option(
        "--encoding",
        group=group,
        default=TrainConfig.encoding,
        default_words=TrainConfig.encoding,
        metavar="NAME",
        help=f"Encoding of {of}.",
    )


def newlines_option(of: str, group: Group, default: str) -> Callable[[Decorated], Decorated]:
    """Make `--newlines`, whose help names the texts that it applies to and its default."""
    return option(
        "--newlines",
        type=click.Choice(NEWLINES),
        group=group,
        default_words=default,
        help=f"In {of}, make CRLF and a lone CR one newline (lf), or keep them as they are.",
    )


def glob_option(of: str, group: Group) -> Callable[[Decorated], Decorated]:
    """Make `--glob`, whose help names the texts that may be directories."""
    return option(
        "--glob",
        group=group,
        default="*",
        default_words="all of them",
        metavar="PATTERN",
        help=f"Of a directory in {of}, read the text files whose names match this, such as '*.md'.",
    )


def records_option(of: str, group: Group) -> Callable[[Decorated], Decorated]:
    """Make `--field`, whose help names the texts that may be records."""
    return option(
        "--field",
        group=group,
        metavar="NAME",
        help=f"Read {of} as JSON lines, or as CSV with a header, and take this field of each "
        "record, followed by a newline.",
    )


def text_format(encoding: str, newlines: Any, field: str | None, *, quiet: bool) -> "TextFormat":
    """Return how texts are read; if one is changed by that, it is said on standard error."""
    from chargen.data.text import TextFormat

    def note(sentence: str) -> None:
        if not quiet:
            click.echo(f"chargen: {visible(sentence)}", err=True)

    return TextFormat(encoding, newlines, field, note)


def refuse_unread(context: click.Context, names: Iterable[str], text: str) -> None:
    """Refuse options that say how to read a text where there is none.

    Args:
        context: the command's.
        names: the options.
        text: what they are for, and what to do.
    """
    for name in names:
        if was_given(context, name):
            raise OptionError(f"--{name} says how to read {text}")


def quiet_option(command: Decorated) -> Decorated:
    """Make `-q/--quiet`: nothing on standard error but errors."""
    return option(
        "-q",
        "--quiet",
        is_flag=True,
        group="output",
        help="Write nothing but results and errors.",
    )(command)


def json_option(command: Decorated) -> Decorated:
    """Make `--json`, for programs."""
    return option("--json", "as_json", is_flag=True, group="output", help="Write JSON.")(command)


def threads_option(command: Decorated) -> Decorated:
    """Make `--threads`: how many NumPy computes with."""
    return option(
        "--threads",
        type=int,
        group="machine",
        metavar="N",
        default_words="as many as suit the model and the work, at most one for each core",
        help="Number of threads to compute with.",
    )(command)


def find_checkpoint(checkpoint: str | None, *, quiet: bool) -> Path:
    """Return the checkpoint that was named, else the one in the environment, else the newest.

    Args:
        checkpoint: the name that was given.
        quiet: do not say which one is used if none was named.

    Returns:
        The path of what was named if it exists, else of the one under ./checkpoints of that name.

    Raises:
        CheckpointError: there is none, or none of that name but others.
        OptionError: an empty name was given.
    """
    from chargen.checkpoint.directory import CONFIG, newest_checkpoint

    if checkpoint == "":
        raise OptionError("--checkpoint must name a directory; found an empty name")
    if named := checkpoint or os.environ.get(CHECKPOINT_VARIABLE):
        path, short = Path(named), DEFAULT_FOLDER / named
        if not path.exists():
            if (short / CONFIG).is_file():
                return short
            _offer_others(path)
        return path
    found = newest_checkpoint()
    if not quiet:
        click.echo(f"chargen: using {visible(str(found))}", err=True)
    return found


def _offer_others(path: Path) -> None:
    """Refuse a checkpoint that does not exist by naming those that do, if there are any."""
    from chargen.checkpoint.directory import find_checkpoints

    others = [str(each) for each in reversed(find_checkpoints(DEFAULT_FOLDER))]
    if others:
        more = f" and {len(others) - MOST_OFFERED} more" if len(others) > MOST_OFFERED else ""
        raise CheckpointError(
            f"no checkpoint at {path}; there is {', '.join(others[:MOST_OFFERED])}{more}: name one "
            f"of these, or train with `chargen train TEXT -o {path}`"
        )


def reads_pipe(instead: str, *, quiet: bool) -> bool:
    """Return whether standard input holds a text, which is then meant to be read.

    Args:
        instead: what happens without a text, for the note that a pipe has sent nothing so far.
        quiet: leave out that note.
    """
    from chargen.data.standard_input import holds_input

    found = holds_input()
    if found is None and not quiet:
        note = f"nothing has been piped in yet, so {instead}; give - to wait for a text"
        click.echo(f"chargen: {note}", err=True)
    return bool(found)


def was_given(context: click.Context, name: str) -> bool:
    """Return whether the user gave the parameter, so that it is not the default."""
    source = context.get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)
