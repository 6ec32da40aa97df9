"""Character <-> id. A character is a Unicode code point; ids are positions in sorted order."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.config import UNKNOWNS
from chargen.errors import CorpusError, OptionError, VocabularyError

__all__ = [
    "REPLACEMENT",
    "Ids",
    "Vocabulary",
    "code_points",
    "refuse_surrogates",
    "smallest_dtype",
]

Ids = NDArray[np.integer]
"""Ids of characters, in any integer type."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LAST_CODE_POINT = 0x10FFFF
PROMPT_SHOWN = 60
"""Characters of a prompt that an error quotes: it has to fit on a line."""


def refuse_surrogates(text: str, name: str, remedy: str) -> None:
    r"""Refuse halves of characters, which some encodings and JSON can express, as \ud800.

    Raises:
        CorpusError: the text has one; `name` says where, and `remedy` what to do.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        point = ord(error.object[error.start])
        raise CorpusError(
            f"{name} contains the lone surrogate U+{point:04X}, which is not a character; {remedy}"
        ) from None


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the text's code points, uint32 (len(text),).

    Raises:
        UnicodeEncodeError: the text contains a lone surrogate, which is not a character.
    """
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def smallest_dtype(largest: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest unsigned integer type that holds `largest`."""
    return np.min_scalar_type(largest)


class Vocabulary:
    """The distinct characters of a text, sorted; a character's id is its position.

    U+FFFD, if present, stands for every character that the model does not know. The rare characters
    that `--min-count` replaces with it are trained as U+FFFD, which is never generated or scored.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        if not characters:
            raise ValueError("a vocabulary needs at least one character")
        if any(len(character) != 1 for character in characters):
            raise ValueError("each entry of a vocabulary must be one code point")
        if any("\ud800" <= character <= "\udfff" for character in characters):
            raise ValueError("a vocabulary holds a lone surrogate, which is not a character")
        if any(a >= b for a, b in pairwise(characters)):
            raise ValueError("a vocabulary must be sorted and hold each character once")
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __contains__(self, character: object) -> bool:
        return character in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __reduce__(self) -> tuple[Any, ...]:
        return Vocabulary, ("".join(self.characters),)

    def __repr__(self) -> str:
        return f"Vocabulary({''.join(self.characters)!r})"

    def id_of(self, character: str) -> int | None:
        """Return the character's id, or None if it is not in the vocabulary."""
        return self._ids.get(character)

    @property
    def newline(self) -> int | None:
        """The id of the newline, after which every text begins, or None if there is none."""
        return self._ids.get("\n")

    @property
    def start_of_text(self) -> list[int]:
        """The ids that are read before every text: a newline, or none if the model knows none."""
        return [] if self.newline is None else [self.newline]

    @property
    def replacement(self) -> int | None:
        """The id of U+FFFD, or None if it is not in the vocabulary."""
        return self._ids.get(REPLACEMENT)

    @property
    def never_written(self) -> int | None:
        """The id that is never generated: that of U+FFFD, which is a stand-in and not a character.

        It is None if the vocabulary lacks U+FFFD, or has nothing else that could be generated.
        """
        return self.replacement if len(self) > 1 else None

    @property
    def unknown(self) -> int:
        """The id that `encode` gives an unknown character.

        This is the id of U+FFFD if the vocabulary has it, and otherwise one past the last id, which
        is not a valid input of the network.
        """
        return len(self) if self.replacement is None else self.replacement

    @cached_property
    def _table(self) -> NDArray[np.unsignedinteger]:
        # Indexed by code point; all code points beyond the largest known one share the last entry.
        points = code_points("".join(self.characters))
        size = min(int(points[-1]) + 2, LAST_CODE_POINT + 1)
        table = np.full(size, self.unknown, dtype=smallest_dtype(max(len(self) - 1, self.unknown)))
        table[points] = np.arange(len(self))
        return table

    def encode(self, text: str) -> Ids:
        """Return the ids of the text, unsigned (len(text),); unknown characters get `unknown`.

        Raises:
            CorpusError: the text contains a lone surrogate, which is not a character.
        """
        try:
            points = np.minimum(code_points(text), len(self._table) - 1)
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"the text contains the lone surrogate U+{ord(text[error.start]):04X}, which is "
                "not a character; decode the text with the right encoding"
            ) from None
        ids: Ids = self._table[points]
        return ids

    def decode(self, ids: Sequence[int] | Ids) -> str:
        """Return the text that the ids (N,) stand for.

        Raises:
            ValueError: an id is below 0, or not below len(self).
        """
        # As Python integers: a chunk holds so few that calling NumPy would take longer.
        indices = ids.tolist() if isinstance(ids, np.ndarray) else ids
        if indices and not (min(indices) >= 0 and max(indices) < len(self)):
            raise ValueError(f"ids must be from 0 to {len(self) - 1}")
        return "".join([self.characters[index] for index in indices])

    def encode_prompt(self, prompt: str, unknown: str = "error") -> list[int]:
        """Return the ids of a prompt, treating unknown characters as `--unknown` says.

        Args:
            prompt: the text.
            unknown: "error" refuses unknown characters, "skip" leaves them out, and "replace" puts
                U+FFFD in their place if the model knows it, and otherwise a space.

        Raises:
            VocabularyError: a character is unknown and `unknown` is "error", or nothing can
                replace it.
            OptionError: `unknown` is none of these.
        """
        if unknown not in UNKNOWNS:
            raise OptionError(f"--unknown must be one of {', '.join(UNKNOWNS)}; found {unknown!r}")
        stand_in = self.id_of(REPLACEMENT)
        if stand_in is None:
            stand_in = self.id_of(" ")
        ids = []
        for position, character in enumerate(prompt):
            index = self._ids.get(character)
            if index is None and unknown == "error":
                raise VocabularyError(
                    f"the model never saw {_shown(character)}, character {position + 1} of the "
                    f"prompt {_beginning(prompt)!r}; leave it out, or give --unknown skip or "
                    "--unknown replace"
                )
            if index is None and unknown == "replace":
                if stand_in is None:
                    raise VocabularyError(
                        f"nothing can replace {_shown(character)} in the prompt: the model knows "
                        "neither U+FFFD nor a space; give --unknown skip"
                    )
                index = stand_in
            if index is not None:
                ids.append(index)
        return ids


def _beginning(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT_SHOWN else prompt[:PROMPT_SHOWN] + "..."


def _shown(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"
