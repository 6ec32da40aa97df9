"""`chargen sample`: write text with a checkpoint."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from chargen.cli.options import (
    Command,
    checkpoint_option,
    complete_file,
    encoding_option,
    field_options,
    find_checkpoint,
    newlines_option,
    option,
    quiet_option,
    reads_pipe,
    records_option,
    refuse_unread,
    text_format,
    threads_option,
    was_given,
)
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
from chargen.errors import OptionError, VocabularyError
from chargen.fields import flag_of
from chargen.plain import harmless, visible

__all__ = ["command"]

TRIES = 100
"""The default of `--tries`: a command gives up if fewer than one text in a hundred is kept."""
UNUSED_ENCODING = (
    "--encoding is for --corpus, --seeds and what is piped in; give one of them with it"
)
NOT_WITH_ENDLESS = ("length", "count", "seeds", "jsonl", "unique", "match", "reject", "beam")
"""Options that do not go with `--endless`."""
NOT_WITH_INTERACTIVE = (
    "seeds", "count", "endless", "jsonl", "beam", "unique", "match", "reject",
)  # fmt: skip
"""Options that do not go with `--interactive`."""
NOT_WITH_BEAM = (
    "temperature", "top_k", "top_p", "min_p", "random_seed", "repetition_guard", "max_copy",
    "unique", "match", "reject",
)  # fmt: skip
"""Options that do not go with `--beam`."""


@click.command(
    "sample",
    cls=Command,
    short_help="Write text.",
    epilog="Example: chargen sample 'Once upon' --length 300",
)
@click.argument("prompt", required=False, metavar="[PROMPT]")
@checkpoint_option
@option(
    "-s",
    "--seed",
    "--prompt",
    "seed",
    group="prompt",
    metavar="PROMPT",
    default_words="what is piped in, else a new line",
    help="What the text begins with: another way to give PROMPT.",
)
@option(
    "--seeds",
    group="prompt",
    metavar="FILE|-",
    shell_complete=complete_file,
    help="Read prompts, one per line, and write a text for each.",
)
@option(
    "-i",
    "--interactive",
    is_flag=True,
    group="prompt",
    help="Ask for prompts on the terminal, one after the other, and answer each; settings can be "
    "changed in between.",
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
@encoding_option("--corpus, --seeds and what is piped in", "constraints")
@newlines_option("--corpus", "constraints", "as the text was read that the model learned from")
@records_option("--corpus", "constraints")
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
    prompt: str | None,
    checkpoint: str | None,
    seed: str | None,
    seeds: str | None,
    interactive: bool,
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
    newlines: str | None,
    field: str | None,
    unique: bool,
    match: str | None,
    reject: str | None,
    tries: int,
    beam: int | None,
    **options: Any,
) -> None:
    """Write text that continues PROMPT.

    Without PROMPT, what is piped in is the prompt, less a newline at its end; give - to wait for a
    slow pipe.
    Text is written as it is made; a newline follows each text. Temperature, top-k, top-p and min-p
    are applied in that order, to the characters that the constraints allow.
    """
    _check(context)
    config = SampleConfig(length=None if endless else length, **options)

    from chargen.data.corpus import encode_blocks, most_bytes
    from chargen.data.directories import expanded
    from chargen.data.lines import Lines
    from chargen.data.standard_input import STANDARD_INPUT
    from chargen.data.text import read_text
    from chargen.model import load
    from chargen.sampling.guards import CopyIndex
    from chargen.sampling.selection import Selector, TextFilter, pattern

    patterns = {"match": pattern("match", match), "reject": pattern("reject", reject)}
    model = load(find_checkpoint(checkpoint, quiet=quiet), threads=threads)
    newlines = newlines or model.checkpoint.newlines
    how = text_format(encoding, newlines, field, quiet=quiet)
    # Read once for both: standard input cannot be read again.
    sources = expanded(corpus, note=how.note)
    blocks = read_text(sources, how)
    lines = Lines()
    if unique:
        blocks = lines.passing(blocks)
    copies = None
    if max_copy is not None:
        ids = encode_blocks(blocks, model.vocabulary, most_bytes(sources) or 0)
        copies = CopyIndex(ids, max_copy, len(model.vocabulary))
        del ids  # as long as the text
    elif unique:
        deque(blocks, maxlen=0)
    text_filter = TextFilter(unique=unique, lines=lines, **patterns)
    shown = harmless if sys.stdout.isatty() and not raw else str
    output = Output(echo=echo, jsonl=jsonl, shown=shown)
    base = draw_random_seed() if random_seed is None else random_seed

    def write(prompts: Sequence[str], count: int, config: SampleConfig, random_seed: int) -> None:
        stream(model, prompts, count, config, random_seed, unknown, copies, output)

    if interactive:
        from chargen.cli.interactive import Conversation

        if not quiet:
            click.echo(f"{model!r}; /help says what can be typed", err=True)
        Conversation(write, config, base).hold(prompt if seed is None else seed)
        return
    if seeds is None:
        if seed is None:
            piped = STANDARD_INPUT not in corpus  # or it would be both
            seed = _settle_prompt(prompt, piped, encoding, quiet)
        if seed is None:
            if was_given(context, "encoding") and not corpus:
                raise OptionError(UNUSED_ENCODING)
            seed = ""
        groups: Iterable[list[str]] = [[seed]]
    else:
        groups = _read_prompts(seeds, encoding)
    if beam is not None:
        for each in chain.from_iterable(groups):
            write_most_likely(model, each, config, beam, count, unknown, output)
        return
    if count > 1 and not quiet and (config.temperature == 0 or config.top_k == 1):
        click.echo(
            f"chargen: the most likely character is always taken, so the {count:,} texts are the "
            "same; give a --temperature above 0, or --beam for other likely texts",
            err=True,
        )
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
    typed = seeds == STANDARD_INPUT and sys.stdin is not None and sys.stdin.isatty()
    for group in groups:
        try:
            write(group, count, config, base)
        except VocabularyError as error:
            if not typed:
                raise
            click.echo(f"chargen: {visible(error.as_typed)}", err=True)
        base += len(group) * count


def _check(context: click.Context) -> None:
    """Refuse options that are out of range or do not go together."""
    from chargen.checkpoint.directory import CONFIG
    from chargen.data.standard_input import STANDARD_INPUT

    given = context.params
    filters = given["unique"] or given["match"] is not None or given["reject"] is not None
    if was_given(context, "tries") and not filters:
        raise OptionError("--tries is for --unique, --match and --reject; give one of them with it")
    typed = given["seed"] is not None or given["prompt"] not in (None, STANDARD_INPUT)
    if was_given(context, "encoding") and typed and not given["corpus"]:
        raise OptionError(UNUSED_ENCODING)
    if given["jsonl"] and not given["echo"]:
        raise OptionError("--jsonl writes the prompt apart from its text; leave out --no-echo")
    if given["interactive"]:
        _check_apart(context, "interactive", "answers what is typed", NOT_WITH_INTERACTIVE)
        if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()):
            raise OptionError(
                "--interactive needs a terminal; to answer prompts from a pipe, give --seeds -"
            )
    if given["endless"]:
        _check_apart(context, "endless", "writes one text without end", NOT_WITH_ENDLESS)
    if given["beam"] is not None:
        _check_apart(context, "beam", "searches for the most likely text", NOT_WITH_BEAM)
    prompts = ["PROMPT"] if given["prompt"] is not None else []
    prompts += [f"--{name}" for name in ("seed", "seeds") if given[name] is not None]
    if len(prompts) > 1:
        raise OptionError(f"{' and '.join(prompts)} both say what to begin with; give one of them")
    if given["prompt"] and (Path(given["prompt"]) / CONFIG).is_file():
        raise OptionError(
            f"{given['prompt']} is a checkpoint, not a prompt; did you mean -c {given['prompt']}? "
            "Give a prompt of that name with --seed"
        )
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
    if not given["corpus"]:
        refuse_unread(context, ("newlines", "field"), "--corpus; give one with it")
    if given["corpus"] and given["max_copy"] is None and not given["unique"]:
        raise OptionError("--corpus is for --max-copy or --unique; give one of them with it")


def _check_apart(context: click.Context, option: str, what: str, others: Sequence[str]) -> None:
    """Refuse options that mean nothing together with another one."""
    for name in others:
        if was_given(context, name):
            raise OptionError(f"{flag_of(option)} {what}; it does not go with {flag_of(name)}")


def _settle_prompt(prompt: str | None, piped: bool, encoding: str, quiet: bool) -> str | None:
    """Return the prompt that was given, else what is piped in, less a newline at its end, or None.

    Args:
        prompt: the argument.
        piped: whether standard input may be the prompt if there is no argument.
        encoding: the encoding of standard input.
        quiet: leave out the note that nothing was piped in.
    """
    from chargen.data.standard_input import STANDARD_INPUT
    from chargen.data.text import TextFormat, read_text

    if prompt not in (None, STANDARD_INPUT):
        return prompt
    if prompt is None and not (
        piped and reads_pipe("the text begins with a new line", quiet=quiet)
    ):
        return None
    text = "".join(read_text([STANDARD_INPUT], TextFormat(encoding)))
    return text.removesuffix("\n").removesuffix("\r")


def _read_prompts(source: str, encoding: str) -> Iterator[list[str]]:
    """Yield the lines of a file or of standard input, in groups of those that have arrived."""
    from chargen.data.text import TextFormat, read_text

    rest = ""
    for block in read_text([source], TextFormat(encoding), pauses=True):
        *lines, rest = (rest + block).split("\n")
        if lines:
            yield [line.removesuffix("\r") for line in lines]
    if rest:
        yield [rest.removesuffix("\r")]
