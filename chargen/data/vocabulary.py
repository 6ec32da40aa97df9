"""Character <-> id. A character is a Unicode code point; ids are positions in sorted order."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chargen.config import UNKNOWNS
from chargen.errors import CorpusError, OptionError, VocabularyError

__all__ = ["REPLACEMENT", "Vocabulary", "code_points", "smallest_dtype"]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LAST_CODE_POINT = 0x10FFFF


def code_points(text: str) -> NDArray[np.uint32]:
    """The text's code points, uint32 (len(text),).

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate, which is no character.
    """
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def smallest_dtype(largest: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned integer type that holds `largest`."""
    return np.min_scalar_type(largest)


class Vocabulary:
    """The distinct characters of a text, sorted; an id is the position in it.

    U+FFFD, where present, stands for every character the model does not know: rare characters
    folded by `--min-count` are trained as it, and it is never generated and never scored.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        if not characters:
            raise ValueError("a vocabulary needs at least one character")
        if any(len(character) != 1 for character in characters):
            raise ValueError("each entry of a vocabulary is one code point")
        if any("\ud800" <= character <= "\udfff" for character in characters):
            raise ValueError("a vocabulary holds a lone surrogate, which is no character")
        if any(a >= b for a, b in pairwise(characters)):
            raise ValueError("a vocabulary is sorted and holds each character once")
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

    def __repr__(self) -> str:
        return f"Vocabulary({''.join(self.characters)!r})"

    def id_of(self, character: str) -> int | None:
        """The character's id, or None where it is not in the vocabulary."""
        return self._ids.get(character)

    @property
    def line_end(self) -> int | None:
        """The id of the line end, after which every text begins, or None."""
        return self._ids.get("\n")

    @property
    def start_of_text(self) -> list[int]:
        """The ids that every text is read after: a line end, or none where there is none."""
        return [] if self.line_end is None else [self.line_end]

    @property
    def replacement(self) -> int | None:
        """The id of U+FFFD, or None."""
        return self._ids.get(REPLACEMENT)

    @property
    def never_written(self) -> int | None:
        """The id of U+FFFD, which stands for characters and is none, where there are others."""
        return self.replacement if len(self) > 1 else None

    @property
    def unknown(self) -> int:
        """The id that `encode` gives an unknown character.

        It is the replacement's where there is one, else one past the last: no input of a network.
        """
        return len(self) if self.replacement is None else self.replacement

    @cached_property
    def _table(self) -> NDArray[np.unsignedinteger]:
        # Indexed by code point; all beyond the largest known one share the last entry.
        points = code_points("".join(self.characters))
        size = min(int(points[-1]) + 2, LAST_CODE_POINT + 1)
        table = np.full(size, self.unknown, dtype=smallest_dtype(max(len(self) - 1, self.unknown)))
        table[points] = np.arange(len(self))
        return table

    def encode(self, text: str) -> NDArray[np.unsignedinteger]:
        """Ids of the text, (len(text),); characters not in the vocabulary get `unknown`.

        Raises:
            CorpusError: the text holds a lone surrogate, which is no character.
        """
        try:
            points = np.minimum(code_points(text), len(self._table) - 1)
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"the text holds the lone surrogate U+{ord(text[error.start]):04X}, which is no "
                "character; decode it with the right encoding"
            ) from None
        ids: NDArray[np.unsignedinteger] = self._table[points]
        return ids

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """The text of ids.

        Raises:
            ValueError: an id is below 0, or not below len(self).
        """
        # Python's numbers: for the few of a chunk, NumPy would take longer than all the rest.
        places = ids.tolist() if isinstance(ids, np.ndarray) else ids
        if places and not (min(places) >= 0 and max(places) < len(self)):
            raise ValueError(f"ids must be from 0 to {len(self) - 1}")
        return "".join([self.characters[place] for place in places])

    def encode_seed(self, seed: str, unknown: str = "error") -> list[int]:
        """Ids of a seed, treating unknown characters as `--unknown` says.

        Args:
            seed: the text.
            unknown: "error" refuses them, "skip" leaves them out, "replace" puts U+FFFD in their
                place where the model knows it, else a space.

        Raises:
            VocabularyError: there is one and `unknown` is "error", or nothing can replace it.
            OptionError: `unknown` is none of these.
        """
        if unknown not in UNKNOWNS:
            raise OptionError(f"--unknown must be one of {', '.join(UNKNOWNS)}; found {unknown!r}")
        stand_in = self.id_of(REPLACEMENT)
        if stand_in is None:
            stand_in = self.id_of(" ")
        ids = []
        for position, character in enumerate(seed):
            index = self._ids.get(character)
            if index is None and unknown == "error":
                raise VocabularyError(
                    f"the model never saw {_shown(character)}, character {position + 1} of the "
                    f"seed {seed!r}; leave it out, or give --unknown skip or --unknown replace"
                )
            if index is None and unknown == "replace":
                if stand_in is None:
                    raise VocabularyError(
                        f"nothing can replace {_shown(character)} in the seed: the model knows "
                        "neither U+FFFD nor a space; give --unknown skip"
                    )
                index = stand_in
            if index is not None:
                ids.append(index)
        return ids


def _shown(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"
