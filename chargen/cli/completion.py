"""`chargen completion`: what a shell needs to complete commands, options and checkpoints."""

import click

__all__ = ["command"]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_CHARGEN_COMPLETE"
"""The shell asks with it; Click answers."""


@click.command(
    "completion",
    short_help="Set up a shell to complete.",
    epilog="Example: chargen completion bash >> ~/.bashrc",
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print what makes SHELL complete commands, options, files and the names of checkpoints.

    For bash and zsh it goes into ~/.bashrc or ~/.zshrc, for fish into
    ~/.config/fish/completions/chargen.fish; or try it with: eval "$(chargen completion bash)"
    """
    from click.shell_completion import get_completion_class

    from chargen.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # they are all built in
    click.echo(found(cli, {}, "chargen", VARIABLE).source())
