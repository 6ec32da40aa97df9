"""What can go wrong because of what a user gave, as a tree of exceptions.

    ChargenError            could not: exit status 1
    ├── CorpusError         a text that cannot be read, decoded or used
    ├── CheckpointError     a checkpoint that is missing, damaged or in the way
    ├── VocabularyError     a character that the model does not know
    ├── GenerationError     texts that were asked for and are not to be found
    ├── NumericalError      a network whose outputs are no longer numbers
    ├── TrainingError       a run that cannot start or go on
    └── OptionError         an option out of range or in a wrong company: exit status 2

Each message is one line that says what was wrong, what was found and what to do. A programmer's
mistake is a `ValueError` or `TypeError` as everywhere else and keeps its traceback.
"""

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
"""Characters of a reason that is shown: it may quote a file."""


class ChargenError(Exception):
    """Anything a user can cause and mend; the message is one line."""

    exit_status = 1

    def __str__(self) -> str:
        # A path may hold surrogates, which no stream takes: an error must not fail to be shown.
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class CorpusError(ChargenError):
    """A text that cannot be read, decoded or used."""


class CheckpointError(ChargenError):
    """A checkpoint that is missing, damaged, of another version, or in the way."""


class VocabularyError(ChargenError):
    """A character that the model does not know."""


class GenerationError(ChargenError):
    """The texts that were asked for are not to be found."""


class NumericalError(ChargenError):
    """A network whose outputs overflowed: its weights exploded in training."""


class TrainingError(ChargenError):
    """A run that cannot start or go on."""


class OptionError(ChargenError):
    """An option out of range, or two that do not go together."""

    exit_status = 2


def reason_of(error: Exception) -> str:
    """What another's exception says, as part of a line of ours."""
    return shortened(" ".join(str(error).split()) or type(error).__name__)


def shortened(text: str) -> str:
    """As much of a text as a line should show."""
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."
