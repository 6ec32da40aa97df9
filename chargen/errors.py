"""The exceptions for mistakes that a user can cause and correct.

    ChargenError            the command failed: exit status 1
    ├── CorpusError         a text cannot be read, decoded or used
    ├── CheckpointError     a checkpoint is missing, damaged or in the way
    ├── VocabularyError     the model does not know a character
    ├── GenerationError     the texts that were asked for cannot be found
    ├── NumericalError      the network's outputs are not finite numbers
    ├── TrainingError       a run cannot start or continue
    └── OptionError         an option is out of range or conflicts with another: exit status 2

Each message is one line that says what was wrong, what was found and what to do. It is written as
for the command line, with options such as --batch-size; `str` names them as in Python, batch_size.
A programmer's mistake is a `ValueError` or `TypeError`, as everywhere else, and keeps its
traceback.
"""

import re

__all__ = [
    "ChargenError",
    "CheckpointError",
    "CorpusError",
    "GenerationError",
    "NumericalError",
    "OptionError",
    "TrainingError",
    "VocabularyError",
    "reason_of",
    "shortened",
]

MOST_SHOWN = 200
"""The most characters of a reason that are shown: it may quote a whole file."""
OPTION = re.compile(r"(?<![^\s(])--(no-)?([a-z][a-z0-9-]*)")
"""An option in a message, but not in what the message quotes."""


class ChargenError(Exception):
    """Anything that a user can cause and correct; its message is one line."""

    exit_status = 1

    def __str__(self) -> str:
        return OPTION.sub(_in_python, self.as_typed)

    @property
    def as_typed(self) -> str:
        """The message for somebody who typed a command."""
        # A path may hold surrogates, which no stream can encode, and an error must always be shown.
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class CorpusError(ChargenError):
    """A text cannot be read, decoded or used."""


class CheckpointError(ChargenError):
    """A checkpoint is missing, damaged, of another version, or in the way."""


class VocabularyError(ChargenError):
    """The model does not know a character."""


class GenerationError(ChargenError):
    """The texts that were asked for cannot be found."""


class NumericalError(ChargenError):
    """The network's outputs overflowed: its weights exploded in training."""


class TrainingError(ChargenError):
    """A run cannot start or continue."""


class OptionError(ChargenError):
    """An option is out of range, or two options conflict."""

    exit_status = 2


def _in_python(option: re.Match[str]) -> str:
    switched_off, name = option.groups()
    return name.replace("-", "_") + (" False" if switched_off else "")


def reason_of(error: Exception) -> str:
    """Return what another library's exception says, as part of a one-line message."""
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def shortened(text: str) -> str:
    """Return as much of a text as one line should show."""
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."
