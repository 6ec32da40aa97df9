"""Writes docs/cli.md from the commands themselves: `python docs/write_cli.py`."""

from pathlib import Path

import click

from chargen.cli import cli

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """\
# The command line

This page is what `--help` prints for each command; `python docs/write_cli.py` writes it. The other
[pages](index.md) describe the options by task, and the [cookbook](cookbook.md) shows what they do
together.
"""
WIDTH = 100


def page() -> str:
    """The page as it should be."""
    parent = click.Context(
        cli, info_name="chargen", terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    parts = [INTRODUCTION, section("chargen", cli.get_help(parent))]
    for name in cli.list_commands(parent):
        command = cli.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
        parts.append(section(f"chargen {name}", command.get_help(context)))
    return "\n".join(parts)


def section(title: str, text: str) -> str:
    """A heading, and the help as it is printed."""
    return f"## {title}\n\n```text\n{text.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
