"""Texts that are whole before they are written: chosen ones, scored ones, the most likely ones."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from chargen.cli.plain import visible
from chargen.config import SampleConfig, Unknown
from chargen.errors import ChargenError

if TYPE_CHECKING:
    from chargen.inference.model import Model
    from chargen.inference.selection import Choice, Text, Writer

__all__ = ["Output", "report", "search", "write_chosen"]


class Output:
    """Writes whole texts to standard output, and counts them."""

    def __init__(self, *, echo: bool, jsonl: bool, shown: Callable[[str], str]) -> None:
        self._echo, self.jsonl, self._shown = echo, jsonl, shown
        self.count = 0

    def write(self, seed: str, text: str, **more: object) -> None:
        """Write one text."""
        if self.jsonl:
            record = {"seed": seed, "text": text, "index": self.count, **more}
            line = json.dumps(record, ensure_ascii=False)
        else:
            line = seed + text if self._echo else text
        sys.stdout.write(self._shown(line) + "\n")
        self.count += 1


def write_chosen(writer: "Writer", texts: "Iterator[Text]", output: Output) -> None:
    """Write texts as they are found; those with their score several at a time."""
    from chargen.inference.generate import TOGETHER

    failure: ChargenError | None = None
    while failure is None:
        found: list[Text] = []
        try:
            for text in islice(texts, TOGETHER if output.jsonl else 1):
                found.append(text)
        except ChargenError as error:
            failure = error
        if not found:
            break
        scores = writer.bits_per_character(found) if output.jsonl else [None] * len(found)
        for each, bits in zip(found, scores, strict=True):
            output.write(
                each.seed,
                each.text,
                random_seed=each.random_seed,
                stopped=each.stopped,
                bits_per_character=bits,
            )
        sys.stdout.flush()
    if failure is not None:
        raise failure


def search(
    model: "Model",
    seed: str,
    config: SampleConfig,
    beam: int,
    count: int,
    unknown: Unknown,
    output: Output,
) -> None:
    """Write the most likely texts."""
    from chargen.inference.beam import most_likely
    from chargen.inference.tally import rounded

    seed_ids = model.vocabulary.encode_seed(seed, unknown)
    found = most_likely(
        model, seed_ids, length=config.length or 0, beam=beam, count=count, stop=config.stop or ""
    )
    for each in found:
        if count > 1 and not output.jsonl:
            row = f"{each.log_probability:.4f}\t{visible(seed + each.text)}"
            click.echo(row)
            continue
        total = rounded(each.log_probability)
        output.write(seed, each.text, stopped=each.stopped, log_probability=total)
    sys.stdout.flush()


def report(output: Output, writer: "Writer", choice: "Choice") -> str:
    """What became of the texts."""
    reasons = ", ".join(f"{n:,} {why}" for why, n in choice.refused.most_common())
    return f"{output.count:,} texts out of {writer.written:,}" + (f": {reasons}" if reasons else "")
