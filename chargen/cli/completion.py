"""`chargen completion`: print what a shell needs to complete commands, options and checkpoints."""

import click

from chargen.cli.options import Command

__all__ = ["command"]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_CHARGEN_COMPLETE"
"""The environment variable through which the shell asks Click for completions."""


@click.command(
    "completion",
    cls=Command,
    short_help="Set up a shell's completion.",
    epilog="Example: chargen completion bash >> ~/.bashrc",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print a script that makes SHELL complete commands, options, files and checkpoints.

    For bash and zsh, add it to ~/.bashrc or ~/.zshrc; for fish, write it to
    ~/.config/fish/completions/chargen.fish. To try it: eval "$(chargen completion bash)"
    """
    from click.shell_completion import get_completion_class

    from chargen.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # they are all built in
    click.echo(found(cli, {}, "chargen", VARIABLE).source())
