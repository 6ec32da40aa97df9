"""`chargen export`: write a checkpoint as one file for other programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    find_checkpoint,
    option,
    quiet_option,
)
from chargen.cli.outputs import check_output, output_options
from chargen.errors import ChargenError, OptionError
from chargen.plain import counted

if TYPE_CHECKING:
    from chargen.checkpoint.directory import Checkpoint

__all__ = ["command"]

Format = Literal["html", "safetensors", "onnx"]
FORMATS: tuple[str, ...] = get_args(Format)
STANDARD_OUTPUT = "-"


@click.command(
    "export",
    cls=Command,
    short_help="Write a checkpoint as one file for other programs.",
    epilog="Example: chargen export checkpoints/poems -o poems.html",
)
@click.argument("checkpoint", required=False, metavar="[DIR]", shell_complete=complete_checkpoint)
@output_options("The file to write, or - for standard output.", required=True)
@option(
    "--format",
    "given_format",
    type=click.Choice(FORMATS),
    group="output",
    default_words="what FILE ends in",
    help="html: a page that writes text in any browser, without a network connection; safetensors: "
    "the weights, with all that a program needs to compute with them; onnx: a graph that other "
    "runtimes run.",
)
@quiet_option
def command(
    checkpoint: str | None, output: str, force: bool, given_format: str | None, quiet: bool
) -> None:
    """Write a checkpoint as one file for other programs, and print the file's path.

    DIR is the checkpoint; by default $CHARGEN_CHECKPOINT, else the newest under ./checkpoints. The
    file holds the model and its vocabulary, and no path of this machine. It ends in .html,
    .safetensors or .onnx, or --format says what it is.
    """
    from chargen.checkpoint.atomic import write_file
    from chargen.checkpoint.directory import Checkpoint

    path = None if output == STANDARD_OUTPUT else check_output(output, force=force)
    chosen = _format_of(output, given_format)
    if path is None and sys.stdout.isatty():
        raise ChargenError(
            "standard output is a terminal, which cannot show such a file; send it to a file or "
            "into a pipe"
        )
    opened = Checkpoint.open(find_checkpoint(checkpoint, quiet=quiet))
    data = _exported(opened, chosen)
    if path is None:
        click.echo(data, nl=False)
    else:
        write_file(path, data)
        click.echo(output)
    if not quiet:
        megabytes = f"{len(data) / 1e6:.2f} MB"
        click.echo(f"chargen: wrote {megabytes} ({counted(len(data), 'byte')})", err=True)


def _exported(checkpoint: "Checkpoint", chosen: Format) -> bytes:
    match chosen:
        case "html":
            from chargen.export.page import to_html

            return to_html(checkpoint)
        case "safetensors":
            from chargen.export.safetensors import to_safetensors

            return to_safetensors(checkpoint)
        case "onnx":
            from chargen.export.onnx import to_onnx

            return to_onnx(checkpoint)


def _format_of(output: str, given: str | None) -> Format:
    """Return the format that was given, or else what the name of the file says."""
    if given is not None:
        return cast(Format, given)
    if output == STANDARD_OUTPUT:
        raise OptionError(
            "--output - says nothing of the format; give --format html, safetensors or onnx"
        )
    ending = Path(output).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise OptionError(
            "--output must end in .html, .safetensors or .onnx, unless there is a --format; "
            f"found {output!r}"
        )
    return cast(Format, ending)
