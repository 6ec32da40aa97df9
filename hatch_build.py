"""What the wheels of chargen and chargen-light need that no table can say: description, man pages.

Hatchling runs this while it builds either of them, here and for `light/pyproject.toml`.
"""

import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

SOURCE = Path(__file__).parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")
"""A relative link or picture of a page in Markdown."""
SHARED = ("classifiers", "keywords", "license", "requires-python", "scripts")
"""What chargen-light says of itself as chargen does."""


class Description(MetadataHookInterface):
    """Completes the project's table: the README as PyPI can show it, and chargen-light's."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Called when the table has been read."""
        address = os.environ.get("CHARGEN_SOURCE")
        if address:
            metadata["urls"] = {"Source": address, "Changelog": f"{address}/CHANGELOG.md"}
        if metadata["name"] == "chargen":
            readme = (SOURCE / "README.md").read_text(encoding="utf-8")
            text = absolute(readme, address)
            metadata["readme"] = {"content-type": "text/markdown", "text": text}
        else:
            self._take_over(metadata)

    def _take_over(self, metadata: dict[str, Any]) -> None:
        """Take from chargen's table what holds for the light one, less what only training needs."""
        table = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        left_out = set(self.config["leave-out"])
        names = {line: re.split(r"[^\w-]", line)[0] for line in table["dependencies"]}
        metadata["dependencies"] = [line for line in names if names[line] not in left_out]
        metadata["optional-dependencies"] = {
            "train": [line for line in names if names[line] in left_out],
            "test": table["optional-dependencies"]["test"],
        }
        metadata.update({name: table[name] for name in SHARED})


def absolute(page: str, address: str | None) -> str:
    """The page with its relative links made absolute.

    Args:
        page: in Markdown.
        address: of the folder it lies in, as a forge shows it (`.../blob/v1.0`); where there is
            none, links become their text, and pictures are left out.
    """

    def resolve(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        if not address:
            return "" if picture else text
        base = address.replace("/blob/", "/raw/") if picture else address
        return f"{picture}[{text}]({base}/{target})"

    return LINK.sub(resolve, page)


class ManPages(BuildHookInterface[Any]):
    """Writes a man page of each command into build/man and adds them to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is put together."""
        sys.path.insert(0, str(SOURCE))
        try:
            import click
            from click_man.core import write_man_pages

            from chargen import __version__
            from chargen.cli import cli
        finally:
            sys.path.remove(str(SOURCE))
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
        # One by one: of a folder Hatchling would take nothing where it finds no package beside it.
        pages = {str(page): f"share/man/man1/{page.name}" for page in folder.iterdir()}
        build_data["shared_data"].update(pages)
