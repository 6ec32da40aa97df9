"""Makes a man page of each command when chargen is built, from the commands themselves."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface[Any]):
    """Writes them into build/man and adds them to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together."""
        sys.path.insert(0, self.root)
        try:
            import click
            from click_man.core import write_man_pages

            from chargen import __version__
            from chargen.cli import cli
        finally:
            sys.path.remove(self.root)
        folder = Path(self.root) / "build" / "man"
        folder.mkdir(parents=True, exist_ok=True)
        # Ours loads its commands by name; what writes the pages looks for them in a dictionary.
        context = click.Context(cli, info_name="chargen")
        commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
        for command in commands.values():
            for parameter in command.params:
                if isinstance(parameter, click.Option) and parameter.help:
                    parameter.help = parameter.help.replace("\\", "\\e")  # as roff writes it
        group = click.Group("chargen", commands, help=cli.help, params=cli.params)
        write_man_pages("chargen", group, version=__version__, target_dir=str(folder))
        build_data["shared_data"][str(folder)] = "share/man/man1"
