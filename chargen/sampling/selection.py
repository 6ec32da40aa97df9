"""Texts written until as many are found as were asked for that are new and look as they should."""

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chargen.config import SampleConfig, Unknown
from chargen.errors import GenerationError, OptionError
from chargen.network.language_model import LanguageModel
from chargen.sampling.generate import MOST_TOGETHER, write
from chargen.sampling.guards import CopyIndex

__all__ = ["Found", "Selector", "TextFilter", "pattern"]


@dataclass(frozen=True)
class Found:
    """A text that is kept."""

    prompt: str
    text: str
    """What follows the prompt."""
    random_seed: int
    stopped: str | None
    bits_per_character: float | None
    """What it cost the model, where texts are scored and anything in it can be."""


class TextFilter:
    """Which texts are kept: each is looked at as a whole, its seed before it.

    Args:
        unique: none that was kept before, and none of `lines`.
        lines: of the corpus, for `unique`.
        match: only those that it matches as a whole.
        reject: none that it is found in.

    Attributes:
        refused: how many, by what was against them.
    """

    def __init__(
        self,
        *,
        unique: bool = False,
        lines: frozenset[str] = frozenset(),
        match: re.Pattern[str] | None = None,
        reject: re.Pattern[str] | None = None,
    ) -> None:
        self._unique, self._lines = unique, lines
        self._match, self._reject = match, reject
        self._kept: set[str] = set()
        self.refused: Counter[str] = Counter()

    @property
    def is_free(self) -> bool:
        """Whether every text is kept."""
        return not (self._unique or self._match or self._reject)

    def keeps(self, text: str) -> bool:
        """Whether to keep a text; it counts as kept from then on."""
        reason = self._against(text)
        if reason:
            self.refused[reason] += 1
            return False
        if self._unique:
            self._kept.add(text)
        return True

    def _against(self, text: str) -> str:
        if self._match and not self._match.fullmatch(text):
            return "no match"
        if self._reject and self._reject.search(text):
            return "rejected"
        if self._unique and text in self._lines:
            return "lines of the corpus"
        if self._unique and text in self._kept:
            return "said before"
        return ""


def pattern(name: str, expression: str | None) -> re.Pattern[str] | None:
    """A regular expression, compiled.

    Raises:
        OptionError: it is none.
    """
    if expression is None:
        return None
    try:
        return re.compile(expression)
    except re.error as error:
        raise OptionError(
            f"--{name} must be a regular expression: {error}; found {expression!r}"
        ) from None


class Selector:
    """Writes texts side by side, and more where some are not kept.

    Args:
        model: the model.
        config: how characters are drawn.
        choice: which texts are kept.
        tries: texts written at most for each one that is asked for.
        random_seed: of the first text; each one written takes the next.
        unknown: as for `Model.sample`.
        copies: as for `Model.sample`.
        scored: also score what is written.

    Attributes:
        written: how many texts, those that were not kept included.
    """

    def __init__(
        self,
        model: LanguageModel,
        config: SampleConfig,
        choice: TextFilter,
        *,
        tries: int,
        random_seed: int,
        unknown: Unknown = "error",
        copies: CopyIndex | None = None,
        scored: bool = False,
    ) -> None:
        self._model, self._config, self._choice = model, config, choice
        self._tries, self._random_seed = tries, random_seed
        self._unknown, self._copies, self._scored = unknown, copies, scored
        self.written = 0

    def write(self, prompts: Sequence[str], count: int) -> Iterator[Found]:
        """Write so many texts for each seed: those of the first seed come first.

        Raises:
            GenerationError: once all that could be found are handed out, these are not enough.
            VocabularyError: once the texts before it are handed out, a seed holds a character the
                model never saw.
        """
        pending = [_Pending(prompt, count, count * self._tries) for prompt in prompts]
        waiting = deque(pending)  # to be handed out, in this order
        while asked := self._asked([each for each in pending if each.asks]):
            written = write(
                self._model,
                (each.prompt for each in asked),
                self._config,
                self._random_seed + self.written,
                self._unknown,
                self._copies,
                scored=self._scored,
            )
            for each, (record, pieces) in zip(asked, written, strict=True):
                text = "".join(pieces)
                self.written += 1
                each.tries -= 1
                if each.missing and self._choice.keeps(each.prompt + text):
                    each.missing -= 1
                    bits = record.bits_per_character
                    each.found.append(
                        Found(each.prompt, text, record.random_seed, record.stopped, bits)
                    )
                while waiting:
                    yield from waiting[0].hand_out()
                    if waiting[0].asks:
                        break
                    waiting.popleft()
        if missing := sum(each.missing for each in pending):
            refused = ", ".join(f"{n:,} {why}" for why, n in self._choice.refused.most_common())
            raise GenerationError(
                f"found {count * len(prompts) - missing:,} of {count * len(prompts):,} texts in "
                f"{self.written:,} tries ({refused}); ask for fewer or for other ones, write at a "
                "higher --temperature, or raise --tries"
            )

    def _asked(self, pending: Sequence["_Pending"]) -> list["_Pending"]:
        """What to write next: as many as are missing, or more where few of them are kept."""
        room = MOST_TOGETHER // max(1, len(pending))
        return [each for each in pending for _ in range(each.to_write(room))]


class _Pending:
    """What is still to be found for a seed."""

    def __init__(self, prompt: str, missing: int, tries: int) -> None:
        self.prompt, self.missing, self.tries = prompt, missing, tries
        self.found: list[Found] = []
        self._count, self._most = missing, tries

    @property
    def asks(self) -> bool:
        return self.missing > 0 and self.tries > 0

    def to_write(self, room: int) -> int:
        """As many as are missing; where some were not kept, more if there is room."""
        tried, kept = self._most - self.tries, self._count - self.missing
        needed = self.missing * (tried + 1) // (kept + 1) if tried else self.missing
        return min(self.tries, max(self.missing, min(room, needed)))

    def hand_out(self) -> Iterator[Found]:
        found, self.found = self.found, []
        yield from found
