"""Hooks that add the description and the man pages to the wheels of chargen and chargen-light.

Hatchling runs them when it builds either package, from this folder or from `light/`.
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
"""A relative link or picture in a Markdown page."""
SHARED = ("classifiers", "keywords", "license", "requires-python", "scripts")
"""The fields of the project's metadata that are the same for both packages."""

EXTRAS = ("dask", "onnx", "report", "tensorboard", "test")
"""The optional dependencies that are the same for both packages."""


class Description(MetadataHookInterface):
    """Adds the README to the metadata of chargen, and what both share to that of chargen-light."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add to the metadata, once Hatchling has read it."""
        address = os.environ.get("CHARGEN_SOURCE")
        if address:
            metadata["urls"] = {"Source": address, "Changelog": f"{address}/CHANGELOG.md"}
        if metadata["name"] == "chargen":
            readme = (SOURCE / "README.md").read_text(encoding="utf-8")
            text = absolute(readme, address)
            metadata["readme"] = {"content-type": "text/markdown", "text": text}
        else:
            self._add_shared(metadata)

    def _add_shared(self, metadata: dict[str, Any]) -> None:
        """Copy chargen's metadata, and make what only training needs an optional dependency."""
        table = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        left_out = set(self.config["leave-out"])
        names = {line: re.split(r"[^\w-]", line)[0] for line in table["dependencies"]}
        metadata["dependencies"] = [line for line in names if names[line] not in left_out]
        metadata["optional-dependencies"] = {
            "train": [line for line in names if names[line] in left_out],
            **{name: table["optional-dependencies"][name] for name in EXTRAS},
        }
        metadata.update({name: table[name] for name in SHARED})


def absolute(page: str, address: str | None) -> str:
    """Return a page with its relative links made absolute.

    Args:
        page: the page, in Markdown.
        address: the URL of the page's folder on a forge (`.../blob/v1.0`); without one, links are
            replaced by their text, and pictures are left out.
    """

    def resolve(link: re.Match[str]) -> str:
        picture, text, target = link.groups()
        if not address:
            return "" if picture else text
        base = address.replace("/blob/", "/raw/") if picture else address
        return f"{picture}[{text}]({base}/{target})"

    return LINK.sub(resolve, page)


class ManPages(BuildHookInterface[Any]):
    """Writes a man page for each command into build/man, and adds the pages to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages before Hatchling builds the wheel."""
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
        # click_man needs a group with a dictionary of commands; ours loads its commands by name.
        context = click.Context(cli, info_name="chargen")
        commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
        for command in commands.values():
            for parameter in command.params:
                if isinstance(parameter, click.Option) and parameter.help:
                    parameter.help = parameter.help.replace("\\", "\\e")  # roff's escape
        group = click.Group("chargen", commands, help=cli.help, params=cli.params)
        write_man_pages("chargen", group, version=__version__, target_dir=str(folder))
        # They are listed one by one: Hatchling would ignore the folder if no package is beside it.
        pages = {str(page): f"share/man/man1/{page.name}" for page in folder.iterdir()}
        build_data["shared_data"].update(pages)
