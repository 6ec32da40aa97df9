"""Texts that are whole before they are written: chosen ones, scored ones, the most likely ones."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from chargen.cli.plain import visible
from chargen.config import SampleConfig, Unknown

if TYPE_CHECKING:
    from chargen.model import Model
    from chargen.sampling.selection import Found, Selector, TextFilter

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


def write_chosen(texts: "Iterator[Found]", output: Output) -> None:
    """Write texts as they are found."""
    from chargen.scoring.tally import rounded

    for each in texts:
        bits = each.bits_per_character
        output.write(
            each.prompt,
            each.text,
            random_seed=each.random_seed,
            stopped=each.stopped,
            bits_per_character=None if bits is None else rounded(bits),
        )
        sys.stdout.flush()


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
    from chargen.sampling.beam import most_likely
    from chargen.scoring.tally import rounded

    seed_ids = model.vocabulary.encode_prompt(seed, unknown)
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


def report(output: Output, selector: "Selector", choice: "TextFilter") -> str:
    """What became of the texts."""
    reasons = ", ".join(f"{n:,} {why}" for why, n in choice.refused.most_common())
    kept = f"{output.count:,} texts out of {selector.written:,}"
    return f"{kept}: {reasons}" if reasons else kept
