"""`chargen sample`: write text with a checkpoint."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import click

from chargen.cli.options import (
    Command,
    checkpoint_option,
    complete_file,
    encoding_option,
    field_options,
    find_checkpoint,
    option,
    quiet_option,
    threads_option,
    was_given,
)
from chargen.cli.plain import harmless
from chargen.cli.texts import Output, stream, summarise, write_found, write_most_likely
from chargen.config import (
    MAX_COPY,
    SAMPLE_OPTIONS,
    UNKNOWNS,
    SampleConfig,
    check_max_copy,
    check_random_seed,
    draw_random_seed,
)
from chargen.errors import OptionError
from chargen.fields import flag_of

__all__ = ["command"]

TRIES = 100
"""The default of `--tries`: a command gives up if fewer than one text in a hundred is kept."""
NOT_WITH_ENDLESS = ("length", "count", "seeds", "jsonl", "unique", "match", "reject", "beam")
"""Options that do not go with `--endless`."""
NOT_WITH_BEAM = (
    "temperature", "top_k", "top_p", "min_p", "random_seed", "repetition_guard", "max_copy",
    "unique", "match", "reject",
)  # fmt: skip
"""Options that do not go with `--beam`."""


@click.command(
    "sample",
    cls=Command,
    short_help="Write text.",
    epilog="Example: chargen sample --prompt 'Once upon' --length 300",
)
@checkpoint_option
@option(
    "-s",
    "--seed",
    "--prompt",
    "prompt",
    default="",
    group="prompt",
    default_words="a new line",
    help="The prompt: what the text begins with.",
)
@option(
    "--seeds",
    group="prompt",
    metavar="FILE|-",
    shell_complete=complete_file,
    help="Read prompts, one per line, and write a text for each.",
)
@option(
    "--unknown",
    type=click.Choice(UNKNOWNS),
    default="error",
    group="prompt",
    default_words="error",
    help="What to do with characters of a prompt that the model never saw: refuse them, leave them "
    "out, or replace them with U+FFFD, or with a space if the model never saw that either.",
)
@field_options(*SAMPLE_OPTIONS.values(), MAX_COPY)
@option("--endless", is_flag=True, group="amount", help="Write until stopped.")
@option(
    "--count",
    type=int,
    default=1,
    group="amount",
    default_words="1",
    metavar="N",
    help="Number of texts to write for each prompt.",
)
@option(
    "--random-seed",
    type=int,
    group="drawing",
    metavar="N",
    default_words="random",
    help="Seed of the random number generator: the same N gives the same text, and text number i "
    "(from 0) of a run is drawn with N + i.",
)
@option(
    "--beam",
    type=int,
    group="drawing",
    metavar="N",
    help="Search for the most likely text, keeping the N best so far at each character; with "
    "--count M, write the M best, each with its log-probability.",
)
@option(
    "--corpus",
    multiple=True,
    group="constraints",
    metavar="TEXT",
    shell_complete=complete_file,
    help="The text for --max-copy and --unique; may be given several times.",
)
@encoding_option("--corpus and --seeds", "constraints")
@option(
    "--unique",
    is_flag=True,
    group="constraints",
    help="Write no two equal texts, prompt included, and none equal to a line of --corpus.",
)
@option(
    "--match",
    group="constraints",
    metavar="REGEX",
    help="Write only texts that REGEX matches from beginning to end, prompt included.",
)
@option(
    "--reject",
    group="constraints",
    metavar="REGEX",
    help="Write no texts in which REGEX is found, prompt included.",
)
@option(
    "--tries",
    type=int,
    default=TRIES,
    group="constraints",
    default_words=str(TRIES),
    metavar="N",
    help="Number of texts to try for each one wanted, before giving up, if --unique, --match or "
    "--reject refuse the others.",
)
@threads_option
@option(
    "--echo/--no-echo",
    default=True,
    group="output",
    default_words="echo",
    help="Write the prompt before its text, or do not.",
)
@option(
    "--raw",
    is_flag=True,
    group="output",
    help="On a terminal, write the text's control characters as they are, not as escape sequences "
    "such as \\x1b: a model may have learned to move the cursor, or worse. Elsewhere they are "
    "always written as they are.",
)
@option(
    "--jsonl",
    is_flag=True,
    group="output",
    help="Write one JSON object per text, with its bits per character under the model, or with "
    "--beam its log-probability.",
)
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    checkpoint: str | None,
    prompt: str,
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
    """Write text that continues a prompt.

    Text is written as it is made; a newline follows each text. Temperature, top-k, top-p and min-p
    are applied in that order, to the characters that the constraints allow.
    """
    _check(context)
    config = SampleConfig(length=None if endless else length, **options)

    from chargen.data.corpus import read_text
    from chargen.model import load
    from chargen.sampling.guards import CopyIndex
    from chargen.sampling.selection import Selector, TextFilter, pattern

    # Read once for both: standard input cannot be read again.
    text = "".join(read_text(corpus, encoding)) if unique else None
    text_filter = TextFilter(
        unique=unique,
        lines=frozenset() if text is None else frozenset(text.split("\n")),
        match=pattern("match", match),
        reject=pattern("reject", reject),
    )
    model = load(find_checkpoint(checkpoint, quiet=quiet), threads=threads)
    groups = [[prompt]] if seeds is None else _read_prompts(seeds, encoding)
    shown = harmless if sys.stdout.isatty() and not raw else str
    output = Output(echo=echo, jsonl=jsonl, shown=shown)
    if beam is not None:
        for each in chain.from_iterable(groups):
            write_most_likely(model, each, config, beam, count, unknown, output)
        return
    copies = None
    if max_copy is not None:
        copies = (
            model.copy_index(corpus, max_copy, encoding)
            if text is None
            else CopyIndex(model.vocabulary.encode(text), max_copy, len(model.vocabulary))
        )
    base = draw_random_seed() if random_seed is None else random_seed
    if jsonl or not text_filter.is_free:
        selector = Selector(
            model,
            config,
            text_filter,
            tries=tries,
            random_seed=base,
            unknown=unknown,
            copies=copies,
            scored=jsonl,
        )
        for group in groups:
            write_found(selector.write(group, count), output)
        if not (quiet or text_filter.is_free):
            click.echo(summarise(output, selector, text_filter), err=True)
        return
    for group in groups:
        stream(model, group, count, config, base, unknown, copies, output)
        base += len(group) * count


def _check(context: click.Context) -> None:
    """Refuse options that are out of range or do not go together."""
    given = context.params
    filters = given["unique"] or given["match"] is not None or given["reject"] is not None
    if was_given(context, "tries") and not filters:
        raise OptionError("--tries is for --unique, --match and --reject; give one of them with it")
    if was_given(context, "encoding") and not (given["corpus"] or given["seeds"]):
        raise OptionError("--encoding is for --corpus and --seeds; give one of them with it")
    if given["jsonl"] and not given["echo"]:
        raise OptionError("--jsonl writes the prompt apart from its text; leave out --no-echo")
    if given["endless"]:
        _check_apart(context, "endless", "writes one text without end", NOT_WITH_ENDLESS)
    if given["beam"] is not None:
        _check_apart(context, "beam", "searches for the most likely text", NOT_WITH_BEAM)
    if given["seeds"] is not None and was_given(context, "prompt"):
        raise OptionError("--seed and --seeds both say what to begin with; give one of them")
    for name in ("count", "tries"):
        if given[name] < 1:
            raise OptionError(f"--{name} must be 1 or more; found {given[name]}")
    if given["random_seed"] is not None:
        check_random_seed(given["random_seed"])
    if given["max_copy"] is not None:
        if not given["corpus"]:
            raise OptionError(
                "--max-copy needs the text that must not be copied: give --corpus TEXT"
            )
        check_max_copy(given["max_copy"])
    if given["corpus"] and given["max_copy"] is None and not given["unique"]:
        raise OptionError("--corpus is for --max-copy or --unique; give one of them with it")


def _check_apart(context: click.Context, option: str, what: str, others: Sequence[str]) -> None:
    """Refuse options that mean nothing together with another one."""
    for name in others:
        if was_given(context, name):
            raise OptionError(f"{flag_of(option)} {what}; it does not go with {flag_of(name)}")


def _read_prompts(source: str, encoding: str) -> Iterator[list[str]]:
    """Yield the lines of a file or of standard input, in groups of those that have arrived."""
    from chargen.data.corpus import read_text

    rest = ""
    for block in read_text([source], encoding, pauses=True):
        *lines, rest = (rest + block).split("\n")
        if lines:
            yield [line.removesuffix("\r") for line in lines]
    if rest:
        yield [rest.removesuffix("\r")]
