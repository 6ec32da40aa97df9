"""`chargen sample`: a checkpoint in, text out."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import click

from chargen.cli.options import (
    checkpoint_option,
    chosen,
    find_checkpoint,
    quiet_option,
    threads_option,
)
from chargen.cli.plain import harmless
from chargen.config import MAX_SEED, UNKNOWNS, SampleConfig
from chargen.errors import CorpusError, OptionError

__all__ = ["command"]

FLUSH_SECONDS = 0.02
"""Text waits this long at most before it is passed on: sooner than an eye notices, and far
cheaper than a system call for each character."""
SEED_BYTES = 1 << 16
"""Read of the seeds at a time, at most: what a pipe holds."""


@click.command(
    "sample",
    short_help="Write text.",
    epilog="Example: chargen sample --seed 'Once upon' --length 300",
)
@checkpoint_option
@click.option("-s", "--seed", default="", help="What the text begins with.  [default: a new line]")
@click.option("--seeds", metavar="FILE|-", help="Read seeds, one a line, and write for each.")
@click.option(
    "-n",
    "--length",
    type=int,
    default=SampleConfig.length,
    metavar="N",
    help=f"Characters to write after the seed.  [default: {SampleConfig.length}]",
)
@click.option("--endless", is_flag=True, help="Go on until stopped.")
@click.option("--stop", metavar="STRING", help="End a text before STRING, however short it is.")
@click.option(
    "--count", type=int, default=1, metavar="N", help="Texts to write for each seed.  [default: 1]"
)
@click.option(
    "-t",
    "--temperature",
    type=float,
    default=SampleConfig.temperature,
    metavar="F",
    help="Below 1 plays safe, above 1 dares, 0 always takes the most likely character.  "
    f"[default: {SampleConfig.temperature}]",
)
@click.option("--top-k", type=int, metavar="N", help="Draw from the N most likely characters.")
@click.option(
    "--top-p",
    type=float,
    metavar="F",
    help="Draw from the most likely characters that together have probability F.",
)
@click.option(
    "--min-p",
    type=float,
    metavar="F",
    help="Draw from characters at least F times as likely as the most likely one.",
)
@click.option(
    "--random-seed",
    type=int,
    metavar="N",
    help="The same N gives the same text; text number i (from 0) of a run is drawn with N + i.  "
    "[default: random]",
)
@click.option(
    "--echo/--no-echo",
    default=True,
    help="Write the seed before its text.  [default: echo]",
)
@click.option(
    "--raw",
    is_flag=True,
    help="On a terminal, write control characters of the text as they are, not as signs such as "
    "\\x1b: a model may have learnt to move the cursor, or worse. Elsewhere they always are.",
)
@click.option("--jsonl", is_flag=True, help="Write one JSON object a text.")
@click.option(
    "--unknown",
    type=click.Choice(UNKNOWNS),
    default="error",
    help="Characters of a seed that the model never saw: refuse them, leave them out, or put "
    "U+FFFD in their place, a space where the model never saw that.  [default: error]",
)
@threads_option
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    checkpoint: str | None,
    seed: str,
    seeds: str | None,
    length: int | None,
    endless: bool,
    count: int,
    random_seed: int | None,
    echo: bool,
    raw: bool,
    jsonl: bool,
    unknown: Any,
    threads: int | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Write text that goes on from a seed.

    Text is written as it is made; each text is followed by a line end. Temperature, top-k, top-p
    and min-p are applied in that order.
    """
    if endless:
        _check_endless(context)
        length = None
    if seeds is not None and chosen(context, "seed"):
        raise OptionError("--seed and --seeds both say what to begin with; give one of them")
    if count < 1:
        raise OptionError(f"--count must be 1 or more; found {count}")
    if random_seed is not None and not 0 <= random_seed <= MAX_SEED:
        raise OptionError(f"--random-seed must be from 0 to {MAX_SEED}; found {random_seed}")
    config = SampleConfig(length=length, **options)

    from chargen.inference.generate import draw_random_seed
    from chargen.inference.model import load

    model = load(find_checkpoint(checkpoint), threads=threads)
    shown = harmless if sys.stdout.isatty() and not raw else str
    base = draw_random_seed() if random_seed is None else random_seed
    index = 0
    for group in [[seed]] if seeds is None else _read_seeds(seeds):
        texts = model.generate_many(_each(group, count), config, base + index, unknown)
        for text_seed, generation in zip(_each(group, count), texts, strict=True):
            if jsonl:
                text = "".join(generation)
                record = {
                    "seed": text_seed,
                    "text": text,
                    "index": index,
                    "random_seed": generation.random_seed,
                    "stopped": generation.stopped,
                }
                click.echo(shown(json.dumps(record, ensure_ascii=False)))
            else:
                _write([shown(text_seed)] if echo else [])
                _write(map(shown, generation))
                _write(["\n"])
                sys.stdout.flush()
            index += 1


def _each(seeds: Sequence[str], count: int) -> Iterator[str]:
    return (seed for seed in seeds for _ in range(count))


def _check_endless(context: click.Context) -> None:
    for name in ("length", "count", "seeds", "jsonl"):
        if chosen(context, name):
            raise OptionError(
                f"--endless writes one text without end; it does not go with --{name}"
            )


def _read_seeds(source: str) -> Iterator[list[str]]:
    """The lines of a file or of standard input, in groups: at each time those that are there."""
    from chargen.data.corpus import BYTE_ORDER_MARK

    name = "standard input" if source == "-" else source
    if source == "-" and sys.stdin is None:
        raise CorpusError("standard input is closed; pipe the seeds in, or name a file")
    number, rest, ended = 0, b"", False
    try:
        with _open_seeds(source) as stream:
            while not ended:
                block = stream.read1(SEED_BYTES)
                ended = not block
                *lines, rest = (rest + block).split(b"\n")
                if ended and rest:
                    lines.append(rest)
                group: list[str] = []
                for line in lines:
                    number += 1
                    try:
                        text = line.removesuffix(b"\r").decode()
                    except UnicodeDecodeError:
                        if group:
                            yield group
                        raise CorpusError(
                            f"line {number} of {name} is not UTF-8; convert the seeds"
                        ) from None
                    group.append(text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text)
                if group:
                    yield group
    except OSError as error:
        raise CorpusError(
            f"cannot read the seeds from {name}: {error.strerror}; check the path"
        ) from None


def _open_seeds(source: str) -> AbstractContextManager[BufferedReader]:
    if source == "-":
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))  # not ours to close
    return Path(source).open("rb")


def _write(pieces: Iterable[str]) -> None:
    """Pass pieces on as they come, several at a time where they come fast."""
    flushed = 0.0
    for piece in pieces:
        sys.stdout.write(piece)
        now = time.monotonic()
        if now - flushed >= FLUSH_SECONDS:
            sys.stdout.flush()
            flushed = now
