"""Writes texts to standard output: as they are made, or whole if they are chosen or scored."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import click

from chargen.config import SampleConfig, Unknown
from chargen.plain import counted, json_line, visible

if TYPE_CHECKING:
    from chargen.model import Model
    from chargen.sampling.guards import CopyIndex
    from chargen.sampling.selection import Found, Selector, TextFilter

__all__ = ["Output", "stream", "summarise", "write_found", "write_most_likely"]

FLUSH_SECONDS = 0.02
"""Pieces of text that come within this time are passed on together: sooner than an eye notices, and
far cheaper than a system call for each character."""


class Output:
    """Writes texts to standard output, and counts them.

    Args:
        echo: write the prompt before its text.
        jsonl: write a JSON object for each text; the prompt is then always part of it.
        shown: turns a text into what is written of it.
    """

    def __init__(self, *, echo: bool, jsonl: bool, shown: Callable[[str], str]) -> None:
        self._echo, self.jsonl, self._shown = echo, jsonl, shown
        self._flushed_at = 0.0
        self.count = 0

    def write(self, prompt: str, text: str, **more: object) -> None:
        """Write one text."""
        if self.jsonl:
            line = json_line({"seed": prompt, "text": text, "index": self.count, **more})
        else:
            line = self.joined(prompt, text)
        sys.stdout.write(self._shown(line) + "\n")
        self.count += 1

    def joined(self, prompt: str, text: str) -> str:
        """Return a text after its prompt, or alone if prompts are not written."""
        return prompt + text if self._echo else text

    def stream(self, prompt: str, pieces: Iterable[str]) -> None:
        """Write one text as it is made."""
        for piece in chain([prompt] if self._echo else [], pieces, ["\n"]):
            sys.stdout.write(self._shown(piece))
            now = time.monotonic()
            if now - self._flushed_at >= FLUSH_SECONDS:
                sys.stdout.flush()
                self._flushed_at = now
        self.count += 1


def stream(
    model: "Model",
    prompts: Sequence[str],
    count: int,
    config: SampleConfig,
    random_seed: int,
    unknown: Unknown,
    copies: "CopyIndex | None",
    output: Output,
) -> None:
    """Write `count` texts for each prompt as they are made."""
    from chargen.sampling.generate import write

    def repeated() -> Iterator[str]:
        return (prompt for prompt in prompts for _ in range(count))

    texts = write(model, repeated(), config, random_seed, unknown, copies)
    for prompt, (_, pieces) in zip(repeated(), texts, strict=True):
        output.stream(prompt, pieces)
    sys.stdout.flush()


def write_found(texts: "Iterator[Found]", output: Output) -> None:
    """Write texts as they are found."""
    from chargen.scoring.tally import round_figure

    for each in texts:
        bits = each.bits_per_character
        output.write(
            each.prompt,
            each.text,
            random_seed=each.random_seed,
            stopped=each.stopped,
            bits_per_character=None if bits is None else round_figure(bits),
        )
        sys.stdout.flush()


def write_most_likely(
    model: "Model",
    prompt: str,
    config: SampleConfig,
    beam: int,
    count: int,
    unknown: Unknown,
    output: Output,
) -> None:
    """Write the most likely texts."""
    from chargen.sampling.beam import most_likely
    from chargen.scoring.tally import round_figure

    prompt_ids = model.vocabulary.encode_prompt(prompt, unknown)
    found = most_likely(
        model, prompt_ids, length=config.length or 0, beam=beam, count=count, stop=config.stop or ""
    )
    for each in found:
        if count > 1 and not output.jsonl:
            row = f"{each.log_probability:.4f}\t{visible(output.joined(prompt, each.text))}"
            click.echo(row)
            continue
        total = round_figure(each.log_probability)
        output.write(prompt, each.text, stopped=each.stopped, log_probability=total)
    sys.stdout.flush()


def summarise(output: Output, selector: "Selector", text_filter: "TextFilter") -> str:
    """Return how many texts were kept, and why the others were not."""
    reasons = [each for each in [text_filter.reasons()] if each]
    # Texts are written together, so that some come after enough are found.
    if more := selector.written - output.count - text_filter.refused.total():
        reasons.append(f"{more:,} more than needed")
    kept = f"{counted(output.count, 'text')} out of {selector.written:,}"
    return f"{kept}: {', '.join(reasons)}" if reasons else kept
