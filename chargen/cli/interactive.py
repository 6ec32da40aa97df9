"""`chargen sample --interactive`: prompts are typed one by one, and settings changed in between."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter

from chargen.cli.suggestions import suggestions
from chargen.config import SAMPLE_OPTIONS, SampleConfig, check_random_seed
from chargen.errors import ChargenError, OptionError
from chargen.fields import Field
from chargen.plain import visible

__all__ = ["Conversation"]

Write: TypeAlias = Callable[[Sequence[str], int, SampleConfig, int], None]
COMMAND = "/"
"""What a command begins with; twice, it is a prompt that begins with one."""
OFF = "off"
"""What unsets a setting that may be unset."""
OTHERS = ("again", "settings", "help", "quit")
HELP = """\
Type what a text should begin with, or nothing for a new line. Ctrl-C ends a text, and Ctrl-D the
session.
  /again             write for the same prompt again
  /temperature 0.5   change a setting; /temperature alone shows it
  /settings          show all settings
  /quit              end the session
A prompt that begins with / is typed with two."""


class Conversation:
    """Reads prompts from a terminal and writes a text for each, until the user has enough.

    Args:
        write: writes texts for prompts, so many for each, drawn in a way and with a random seed.
        config: how characters are drawn, to begin with.
        random_seed: of the first text; each further text takes the next number.
    """

    def __init__(self, write: Write, config: SampleConfig, random_seed: int) -> None:
        self._write, self._config, self._random_seed = write, config, random_seed
        self._last = ""

    def hold(self, first: str | None) -> None:
        """Answer a first prompt, if there is one, and then those that are typed."""
        names = [*SAMPLE_OPTIONS, "random_seed", *OTHERS]
        words = [COMMAND + name.replace("_", "-") for name in names]
        session: PromptSession[str] = PromptSession(
            completer=WordCompleter(words, sentence=True), complete_while_typing=False
        )
        if first is not None:
            self._answer(first)
        while True:
            try:
                line = session.prompt("> ")
            except KeyboardInterrupt:
                continue  # the line is given up, as in a shell
            except EOFError:
                return
            try:
                if not self._obey(line):
                    return
            except ChargenError as error:
                click.echo(f"chargen: {visible(error.as_typed)}", err=True)

    def _obey(self, line: str) -> bool:
        """Do what a line says; return whether the session goes on."""
        if not line.startswith(COMMAND) or line.startswith(COMMAND * 2):
            self._answer(line.removeprefix(COMMAND) if line.startswith(COMMAND) else line)
            return True
        name, _, value = line.removeprefix(COMMAND).partition(" ")
        match name:
            case "quit" | "exit" | "q":
                return False
            case "help" | "":
                click.echo(HELP, err=True)
            case "again":
                self._answer(self._last)
            case "settings":
                for each in SAMPLE_OPTIONS:
                    self._show(each)
                self._show("random_seed")
            case _:
                self._set(name, value.strip(" ") or None)
        return True

    def _answer(self, prompt: str) -> None:
        """Write a text, until it is done or the user presses Ctrl-C."""
        self._last = prompt
        try:
            self._write([prompt], 1, self._config, self._random_seed)
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._random_seed += 1

    def _set(self, name: str, text: str | None) -> None:
        """Change a setting, or show it if no value is given.

        Raises:
            OptionError: there is no such setting, or it cannot have that value.
        """
        names = [each.replace("_", "-") for each in [*SAMPLE_OPTIONS, "random_seed"]]
        found = [name] if name in names else suggestions(name, names)
        if len(found) != 1 or not found[0].startswith(name):
            meant = f"; did you mean {' or '.join(COMMAND + each for each in found)}?"
            raise OptionError(f"there is no {COMMAND}{name}{meant if found else '; /help helps'}")
        setting = found[0].replace("-", "_")
        if text is not None:
            if setting == "random_seed":
                self._random_seed = check_random_seed(_number(text))
            else:
                value = _value(SAMPLE_OPTIONS[setting], text)
                self._config = dataclasses.replace(self._config, **{setting: value})
        self._show(setting)

    def _show(self, setting: str) -> None:
        if setting == "random_seed":
            value: object = f"{self._random_seed} for the next text"
        else:
            value = getattr(self._config, setting)
        shown = OFF if value is None else visible(str(value))
        click.echo(f"  {COMMAND}{setting.replace('_', '-')} {shown}", err=True)


def _value(field: Field, text: str) -> Any:
    """Return what was typed as a value of a setting's type; its check names what is wrong."""
    if text == OFF and field.may_be_none:
        return None
    return text if field.kind is str else _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        return number
    return text
