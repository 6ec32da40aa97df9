"""`chargen sample`: a checkpoint in, text out."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any, cast

import click

from chargen.cli.options import (
    checkpoint_option,
    chosen,
    complete_file,
    encoding_option,
    find_checkpoint,
    quiet_option,
    threads_option,
)
from chargen.cli.plain import harmless
from chargen.cli.texts import Output, report, search, write_chosen
from chargen.config import UNKNOWNS, SampleConfig, check_max_copy, check_random_seed
from chargen.errors import CorpusError, OptionError

__all__ = ["command"]

FLUSH_SECONDS = 0.02
"""Text waits this long at most before it is passed on: sooner than an eye notices, and far
cheaper than a system call for each character."""
REPETITION_GUARD = 24
"""Where no number is given: in prose and plays, fewer than 3 places in 1,000 end a passage of this
length that came in the 10,000 characters before."""
TRIES = 100
WITHOUT_END = ("length", "count", "seeds", "jsonl", "unique", "match", "reject", "beam")
WITHOUT_CHANCE = (
    "temperature", "top_k", "top_p", "min_p", "random_seed", "repetition_guard", "max_copy",
    "unique", "match", "reject",
)  # fmt: skip
"""What does not go with `--endless`, and with `--beam`."""
SEED_BYTES = 1 << 16
"""Read of the seeds at a time, at most: what a pipe holds."""


@click.command(
    "sample",
    short_help="Write text.",
    epilog="Example: chargen sample --seed 'Once upon' --length 300",
)
@checkpoint_option
@click.option("-s", "--seed", default="", help="What the text begins with.  [default: a new line]")
@click.option(
    "--seeds",
    metavar="FILE|-",
    shell_complete=complete_file,
    help="Read seeds, one a line, and write for each.",
)
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
    "--repetition-guard",
    type=int,
    is_flag=False,
    flag_value=REPETITION_GUARD,
    metavar="[N]",
    help="Never write N characters in a row a second time: ends the loops that low temperatures "
    f"fall into.  [N: {REPETITION_GUARD}]",
)
@click.option(
    "--max-copy",
    type=int,
    metavar="N",
    help="Never write N characters or more in a row as they stand in --corpus: no copies of what "
    "the model has learnt by heart.",
)
@click.option(
    "--corpus",
    multiple=True,
    metavar="TEXT",
    shell_complete=complete_file,
    help="The text for --max-copy and --unique; may be given several times.",
)
@encoding_option("Of --corpus.")
@click.option(
    "--unique",
    is_flag=True,
    help="No two equal texts, seed included, and none equal to a line of --corpus.",
)
@click.option(
    "--match",
    metavar="REGEX",
    help="Only texts, seed included, that REGEX matches from their beginning to their end.",
)
@click.option("--reject", metavar="REGEX", help="No texts, seed included, in which REGEX is found.")
@click.option(
    "--tries",
    type=int,
    default=TRIES,
    metavar="N",
    help="Texts to write for each one that --unique, --match and --reject should leave, before "
    f"giving up.  [default: {TRIES}]",
)
@click.option(
    "--beam",
    type=int,
    metavar="N",
    help="Search for the most likely text, keeping the N best so far at each character; with "
    "--count M the M best, each with its log-probability.",
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
@click.option(
    "--jsonl",
    is_flag=True,
    help="Write one JSON object a text, with its bits per character under the model.",
)
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
    max_copy: int | None,
    corpus: tuple[str, ...],
    encoding: str,
    unique: bool,
    match: str | None,
    reject: str | None,
    tries: int,
    beam: int | None,
    **options: Any,
) -> None:
    """Write text that goes on from a seed.

    Text is written as it is made; each text is followed by a line end. Temperature, top-k, top-p
    and min-p are applied in that order, to what the guards allow.
    """
    if endless:
        _check_apart(context, "endless", "writes one text without end", WITHOUT_END)
        length = None
    if beam is not None:
        _check_apart(context, "beam", "searches for the most likely text", WITHOUT_CHANCE)
    if seeds is not None and chosen(context, "seed"):
        raise OptionError("--seed and --seeds both say what to begin with; give one of them")
    if count < 1:
        raise OptionError(f"--count must be 1 or more; found {count}")
    if tries < 1:
        raise OptionError(f"--tries must be 1 or more; found {tries}")
    if random_seed is not None:
        check_random_seed(random_seed)
    if max_copy is not None:
        if not corpus:
            raise OptionError(
                "--max-copy needs the text that must not be copied: give --corpus TEXT"
            )
        check_max_copy(max_copy)
    if corpus and max_copy is None and not unique:
        raise OptionError("--corpus is for --max-copy or --unique; give one of them with it")
    config = SampleConfig(length=length, **options)

    from chargen.data.corpus import read_text
    from chargen.model import load
    from chargen.sampling.generate import draw_random_seed, write
    from chargen.sampling.guards import CopyIndex
    from chargen.sampling.selection import Selector, TextFilter, pattern

    # Read once for both: standard input cannot be read again.
    text = "".join(read_text(corpus, encoding)) if unique else None
    choice = TextFilter(
        unique=unique,
        lines=frozenset() if text is None else frozenset(text.split("\n")),
        match=pattern("match", match),
        reject=pattern("reject", reject),
    )
    model = load(find_checkpoint(checkpoint), threads=threads)
    groups = [[seed]] if seeds is None else _read_seeds(seeds)
    shown = harmless if sys.stdout.isatty() and not raw else str
    output = Output(echo=echo, jsonl=jsonl, shown=shown)
    if beam is not None:
        for each in chain.from_iterable(groups):
            search(model, each, config, beam, count, unknown, output)
        return
    copies = None
    if max_copy is not None:
        copies = (
            model.copy_index(corpus, max_copy, encoding)
            if text is None
            else CopyIndex(model.vocabulary.encode(text), max_copy)
        )
    base = draw_random_seed() if random_seed is None else random_seed
    if jsonl or not choice.is_free:
        selector = Selector(
            model,
            config,
            choice,
            tries=tries,
            random_seed=base,
            unknown=unknown,
            copies=copies,
            scored=jsonl,
        )
        for group in groups:
            write_chosen(selector.write(group, count), output)
        if not (quiet or choice.is_free):
            click.echo(report(output, selector, choice), err=True)
        return
    index = 0
    for group in groups:
        texts = write(model, _each(group, count), config, base + index, unknown, copies)
        for text_seed, (_, pieces) in zip(_each(group, count), texts, strict=True):
            _write([shown(text_seed)] if echo else [])
            _write(map(shown, pieces))
            _write(["\n"])
            sys.stdout.flush()
            index += 1


def _each(seeds: Sequence[str], count: int) -> Iterator[str]:
    return (seed for seed in seeds for _ in range(count))


def _check_apart(context: click.Context, option: str, what: str, others: Sequence[str]) -> None:
    """Refuse options that mean nothing beside another one."""
    for name in others:
        if chosen(context, name):
            raise OptionError(f"--{option} {what}; it does not go with --{name.replace('_', '-')}")


def _read_seeds(source: str) -> Iterator[list[str]]:
    """The lines of a file or of standard input, in groups: at each time those that are there."""
    from chargen.data.corpus import BYTE_ORDER_MARK

    name = "standard input" if source == "-" else source
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
        from chargen.data.corpus import standard_input

        return nullcontext(cast("BufferedReader", standard_input()))  # not ours to close
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
