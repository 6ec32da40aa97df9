"""Texts that are written until enough of them pass a filter."""

import re
from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from chargen.config import SampleConfig, Unknown
from chargen.errors import GenerationError, OptionError
from chargen.network.language_model import LanguageModel
from chargen.sampling.generate import MOST_TOGETHER, write
from chargen.sampling.guards import CopyIndex

__all__ = ["Found", "Selector", "TextFilter", "pattern"]


@dataclass(frozen=True)
class Found:
    """A text that passed the filter."""

    prompt: str
    text: str
    """What follows the prompt."""
    random_seed: int
    stopped: str | None
    bits_per_character: float | None
    """What the text cost the model; None if texts are not scored, or nothing in this one can be."""


class TextFilter:
    """Decides which texts are kept; it looks at each text as a whole, including its prompt.

    Args:
        unique: keep no text that was kept before or that is one of `lines`.
        lines: the lines of the corpus, for `unique`.
        match: keep only texts that this expression matches from beginning to end.
        reject: keep no text in which this expression is found.

    Attributes:
        refused: how many texts were refused, by reason.
    """

    def __init__(
        self,
        *,
        unique: bool = False,
        lines: Container[str] = frozenset(),
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
        """Decide whether to keep a text, and remember it if so."""
        reason = self._objection(text)
        if reason:
            self.refused[reason] += 1
            return False
        if self._unique:
            self._kept.add(text)
        return True

    def reasons(self, before: Counter[str] | None = None) -> str:
        """Return how many texts were refused for which reason, in words.

        Args:
            before: what `refused` was at the point to count from; None counts from the beginning.
        """
        refused = self.refused - (before or Counter())
        return ", ".join(f"{count:,} {why}" for why, count in refused.most_common())

    def _objection(self, text: str) -> str:
        """Return why a text is refused, or ""."""
        if self._match and not self._match.fullmatch(text):
            return "did not match"
        if self._reject and self._reject.search(text):
            return "rejected"
        if self._unique and text in self._lines:
            return "in the corpus"
        if self._unique and text in self._kept:
            return "repeated"
        return ""


def pattern(name: str, expression: str | None) -> re.Pattern[str] | None:
    """Compile the regular expression that an option gives, if it is given.

    Raises:
        OptionError: the expression is not valid.
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
    """Writes texts side by side, and more of them while too few pass the filter.

    Args:
        model: the model.
        config: how characters are drawn.
        text_filter: which texts are kept.
        tries: the most texts to write for each one that is asked for.
        random_seed: of the first text; each further text takes the next number.
        unknown: as for `Model.sample`.
        copies: as for `Model.sample`.
        scored: whether to score what is written.

    Attributes:
        written: how many texts were written, including those that were not kept.
    """

    def __init__(
        self,
        model: LanguageModel,
        config: SampleConfig,
        text_filter: TextFilter,
        *,
        tries: int,
        random_seed: int,
        unknown: Unknown = "error",
        copies: CopyIndex | None = None,
        scored: bool = False,
    ) -> None:
        self._model, self._config, self._filter = model, config, text_filter
        self._tries, self._random_seed = tries, random_seed
        self._unknown, self._copies, self._scored = unknown, copies, scored
        self.written = 0

    def write(self, prompts: Sequence[str], count: int) -> Iterator[Found]:
        """Yield `count` texts for each prompt, in the order of the prompts.

        Raises:
            GenerationError: too few texts were found; those that were found are yielded first.
            VocabularyError: a prompt contains a character that the model never saw; the texts
                before it are yielded first.
        """
        written, refused = self.written, self._filter.refused.copy()
        pending = [_Pending(prompt, count, count * self._tries) for prompt in prompts]
        waiting = deque(pending)  # whose texts are to be yielded, in this order
        while batch := self._next_prompts([each for each in pending if each.is_incomplete]):
            texts = write(
                self._model,
                (each.prompt for each in batch),
                self._config,
                self._random_seed + self.written,
                self._unknown,
                self._copies,
                scored=self._scored,
            )
            for each, (record, pieces) in zip(batch, texts, strict=True):
                text = "".join(pieces)
                self.written += 1
                each.tries -= 1
                if each.missing and self._filter.keeps(each.prompt + text):
                    each.missing -= 1
                    bits = record.bits_per_character
                    each.found.append(
                        Found(each.prompt, text, record.random_seed, record.stopped, bits)
                    )
                while waiting:
                    yield from waiting[0].hand_out()
                    if waiting[0].is_incomplete:
                        break
                    waiting.popleft()
        if missing := sum(each.missing for each in pending):
            raise GenerationError(
                f"found {count * len(prompts) - missing:,} of {count * len(prompts):,} texts in "
                f"{self.written - written:,} tries ({self._filter.reasons(refused)}); ask for "
                "fewer or for other texts, give a higher --temperature, or raise --tries"
            )

    def _next_prompts(self, pending: Sequence["_Pending"]) -> list["_Pending"]:
        """Return what to write next: all that is missing, or more if few texts are kept."""
        room = MOST_TOGETHER // max(1, len(pending))
        return [each for each in pending for _ in range(each.to_write(room))]


class _Pending:
    """What is still to be found for one prompt."""

    def __init__(self, prompt: str, missing: int, tries: int) -> None:
        self.prompt, self.missing, self.tries = prompt, missing, tries
        self.found: list[Found] = []
        self._count, self._most = missing, tries

    @property
    def is_incomplete(self) -> bool:
        return self.missing > 0 and self.tries > 0

    def to_write(self, room: int) -> int:
        """Return how many to write: all that is missing, and more if some were not kept."""
        tried, kept = self._most - self.tries, self._count - self.missing
        needed = self.missing * (tried + 1) // (kept + 1) if tried else self.missing
        return min(self.tries, max(self.missing, min(room, needed)))

    def hand_out(self) -> Iterator[Found]:
        found, self.found = self.found, []
        yield from found
