"""The command line: `chargen COMMAND`.

Each command has a module of its own, which is imported when the command is named and imports what
it works with when it runs, so that `--help` answers at once.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from chargen import __version__
from chargen.errors import ChargenError
from chargen.plain import visible

__all__ = ["cli", "main", "misuse"]

COMMANDS = {
    "train": "train",
    "sample": "sample",
    "evaluate": "evaluate",
    "novelty": "novelty",
    "compare": "compare",
    "gradients": "gradients",
    "info": "info",
    "report": "report",
    "list": "list_checkpoints",  # a module named list would hide the built-in in this one
    "export": "export",
    "completion": "completion",
}
"""Each command and its module."""


class CommandGroup(click.Group):
    """Loads commands by name, and turns what went wrong into one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, imported now."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"chargen.cli.{COMMANDS[name]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or say which one they may have meant."""
        name, *_ = args
        if name not in COMMANDS and not name.startswith("-"):
            from chargen.cli.suggestions import COMMANDS_ELSEWHERE, suggestions

            meant = suggestions(name, [*COMMANDS, "--help"], COMMANDS_ELSEWHERE)
            raise click.UsageError(f"No such command {name!r}{_did_you_mean(meant)}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; nothing else writes an error or chooses the exit status."""
        try:
            _set_up_process()
            status = super().main(*args, **options | {"standalone_mode": False})
        except ChargenError as error:
            status = _fail(error.as_typed, error.exit_status)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            status = 2
        except click.UsageError as error:
            status = _fail(misuse(error), 2)
        except click.ClickException as error:
            status = _fail(_one_line(error.format_message()), error.exit_code)
        except click.Abort:
            status = 130
        except OSError as error:
            status = _fail(_reason(error), 1)
            # Python would try again at exit to write the rest, and fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(status if isinstance(status, int) else 0)


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: chargen train poems.txt && chargen sample --prompt Once",
)
@click.version_option(__version__, "-V", "--version", prog_name="chargen")
def cli() -> None:
    """Turn a text file into a text generator.

    `train` learns from a text, `sample` writes more of it, `evaluate` scores any text.
    """


def main() -> None:
    """Run the command line of this process; `chargen.__main__` calls this."""
    cli.main(prog_name="chargen")


def _set_up_process() -> None:
    if sys.stdout is None:
        raise ChargenError("standard output is closed; send it somewhere, such as > results.txt")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the process's life
    else:
        _ignore_failures(sys.stderr)
    # Die of a closed pipe as other commands do: `chargen sample --endless | head`.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    # Text is UTF-8 whatever the locale says. File names may hold bytes that are not UTF-8: they go
    # to standard output unchanged, and to standard error as escape sequences.
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _ignore_failures(stream: Any) -> None:
    """Ignore failures to write messages, as on a full disk: they must not end the work."""

    def ignoring_errors(method: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            except OSError:
                return None

        return attempt

    stream.write, stream.flush = ignoring_errors(stream.write), ignoring_errors(stream.flush)


def _reason(error: OSError) -> str:
    """Return what a system's error means, and what to do about it."""
    why = error.strerror or str(error)
    if error.filename:
        return f"cannot use {error.filename}: {why}; check the path and its permissions"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return f"cannot write to standard output: {why}; free some space, or redirect the output"
    if error.errno == errno.ENOENT:
        return "the working directory no longer exists; change to one that does"
    return f"{why}; try again"


def _terminate(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _fail(message: str, status: int) -> int:
    click.echo(f"chargen: error: {visible(message)}", err=True)
    return status


def misuse(error: click.UsageError) -> str:
    """Return what to say of a command that was typed wrong, on one line."""
    where = error.ctx.command_path if error.ctx else "chargen"
    what = (
        _no_such_option(error)
        if isinstance(error, click.NoSuchOption)
        else _one_line(error.format_message())
    )
    return f"{what} (see {where} --help)"


def _no_such_option(error: click.NoSuchOption) -> str:
    """Return what to say of an unknown option: what was meant, or whose option it is."""
    from chargen.cli.suggestions import OPTIONS_ELSEWHERE, suggestions

    message = f"No such option {error.option_name!r}"
    name = error.option_name.lstrip("-")
    context = error.ctx
    if context is None or len(name) < 2:
        return message
    names = _long_options(context.command)
    meant = suggestions(name, names, OPTIONS_ELSEWHERE)
    # What another command has is likelier than a slip, but not than another name of what is here.
    here = any(name == each or name in OPTIONS_ELSEWHERE.get(each, "").split() for each in meant)
    if context.parent and not here:
        for other in COMMANDS:
            command = cli.get_command(context.parent, other)
            if command and name in _long_options(command):
                return f"{message}; chargen {other} has it"
    return message + _did_you_mean([f"--{each}" for each in meant])


def _long_options(command: click.Command) -> list[str]:
    """Return the names of a command's options, without dashes."""
    names = [name for each in command.params for name in [*each.opts, *each.secondary_opts]]
    return [name.removeprefix("--") for name in names if name.startswith("--")] + ["help"]


def _did_you_mean(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _one_line(message: str) -> str:
    """Put a message of Click's into our form: one line, without a full stop."""
    return " ".join(message.split()).removesuffix(".")
