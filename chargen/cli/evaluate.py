"""`chargen evaluate`: score a text with a checkpoint."""

import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from chargen.cli.options import (
    Command,
    checkpoint_option,
    complete_file,
    encoding_option,
    find_checkpoint,
    glob_option,
    json_option,
    newlines_option,
    option,
    quiet_option,
    reads_pipe,
    records_option,
    refuse_unread,
    text_format,
    threads_option,
)
from chargen.errors import OptionError
from chargen.plain import NATS_PER_BIT, figure, json_line, table, visible

if TYPE_CHECKING:
    from chargen.data.vocabulary import Ids
    from chargen.model import Model
    from chargen.scoring.tally import CharacterScores, Score, Tally

__all__ = ["command"]

MOST_RECORDS = 1 << 14
"""The most records in a group: a part of a text has millions of characters, and their records would
take a gigabyte."""
LINE_HEADING = ("line", "bits", "nats", "length", "unknown", "text")
CHARACTER_HEADING = ("place", "bits", "text")
"""Above the columns on a terminal, whose tab stops are eight columns apart."""
NOT_OF_A_LINE = ("seconds", "characters_per_second")
"""Figures of a text that a line has only a share of, as lines are scored together."""
OF_A_TEXT = ("encoding", "newlines", "field", "glob")
"""Options that say how to read the texts."""
Records: TypeAlias = Iterator[list[dict[str, Any]]]
"""Records, in groups, each as soon as it is ready."""


@click.command(
    "evaluate",
    cls=Command,
    short_help="Score a text in bits per character.",
    epilog="Example: chargen evaluate mail.txt --per line --rank",
)
@click.argument("texts", nargs=-1, metavar="[TEXT]...", shell_complete=complete_file)
@checkpoint_option
@encoding_option("the texts", "text")
@newlines_option("the texts", "text", "as the text was read that the model learned from")
@records_option("the texts", "text")
@glob_option("the texts", "text")
@option(
    "--per",
    type=click.Choice(["text", "line", "char"]),
    default="text",
    group="records",
    default_words="text",
    help="Write one record for the text, or one per line or per character, tab-separated. A line's "
    "record holds the line number, bits per character, nats per character, characters, unknown "
    "characters and the line; a character's record holds the position, bits and the character.",
)
@option(
    "--reset",
    type=click.Choice(["none", "line"]),
    default="none",
    group="records",
    default_words="none",
    help="When the model forgets what it has read: never, or at the start of each line, so that a "
    "line's score does not depend on the lines before it.",
)
@option(
    "--threshold",
    type=float,
    group="records",
    metavar="B",
    help="Write only lines of more than B bits per character: those that are unlike the text the "
    "model learned. Lines in which the model knows no character are included, empty lines are not.",
)
@option(
    "--rank",
    is_flag=True,
    group="records",
    help="Sort the lines, most bits per character first, once all are read. Empty lines come last.",
)
@option(
    "--invert",
    is_flag=True,
    group="records",
    help="With --threshold, write the other lines; with --rank, put the fewest bits first.",
)
@option(
    "--baselines",
    is_flag=True,
    group="records",
    help="Also score the text without a network: by n-grams counted in the run's training text, "
    "and by compressors that have seen that text.",
)
@option(
    "--heatmap",
    is_flag=True,
    group="output",
    help="Write the text, with each character coloured by its bits. Where there are no colours, a "
    "line of digits below each line shows them, rounded; the last is that of the newline.",
)
@json_option
@threads_option
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    texts: tuple[str, ...],
    checkpoint: str | None,
    per: str,
    reset: str,
    threshold: float | None,
    rank: bool,
    invert: bool,
    baselines: bool,
    heatmap: bool,
    as_json: bool,
    encoding: str,
    newlines: str | None,
    field: str | None,
    glob: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Score TEXT: how many bits the model needs for each character; fewer is better.

    TEXT is a file, a directory or - for standard input; several are joined. With none, what is
    piped in is scored, or else the text that the training run held out. The state is carried from
    the first character to the last. Lines and characters are scored as they come: each line before
    the next one is sent.
    """
    if heatmap:
        _check_heatmap(per, threshold, rank, invert, baselines, as_json)
    _check(per, threshold, rank, invert, baselines)

    from chargen.checkpoint.sources import Sources
    from chargen.data.directories import expanded
    from chargen.data.standard_input import STANDARD_INPUT
    from chargen.data.text import read_text, split_into_parts
    from chargen.model import load
    from chargen.scoring.score import PART
    from chargen.scoring.tally import Tally

    model = load(find_checkpoint(checkpoint, quiet=quiet), threads=threads)
    if not texts and reads_pipe("the held-out text is scored", quiet=quiet):
        texts = (STANDARD_INPUT,)
    if not texts:
        refuse_unread(context, OF_A_TEXT, "a TEXT; name one, or pipe it in")
    # With one record for the whole text, nothing is gained by reading a pipe in the small pieces in
    # which it arrives.
    pauses = per != "text" or heatmap
    newlines = newlines or model.checkpoint.newlines
    how = text_format(encoding, newlines, field, quiet=quiet)
    parts = (
        split_into_parts(read_text(expanded(texts, glob, how.note), how, pauses=pauses), PART)
        if texts
        else Sources(model.checkpoint).held_out_parts(PART)
    )
    # Read first: the training text may be gone, which is not to be found out after an hour.
    train = _training_text(model) if baselines else None
    scored = _scored(model, parts, reset)
    if heatmap:
        from chargen.cli.heatmap import show_heatmap

        show_heatmap(scored, quiet=quiet)
        return
    if per == "text":
        read: list[str] = []  # the text, which the baselines need again
        tally = Tally()
        for part, scores in scored:
            tally += scores.tally()
            read += [part] if baselines else []
        score = tally.score()
        others = {}
        if train is not None:
            from chargen.scoring.baselines import baseline_bits

            others = baseline_bits(train, "".join(read), model.vocabulary)
        if as_json:
            click.echo(json.dumps(_json(score) | ({"baselines": others} if others else {})))
        else:
            click.echo(table(score.rows(), right=[1]))
            if others:
                click.echo("\n" + _comparison(model, score, others))
        return
    records = _lines(scored) if per == "line" else _characters(scored)
    if threshold is not None:
        records = _beyond(records, threshold, invert)
    if rank:
        lines = itertools.chain.from_iterable(records)
        records = iter([sorted(lines, key=partial(_rank, invert=invert))])
    if not as_json and sys.stdout.isatty():
        click.echo("\t".join(LINE_HEADING if per == "line" else CHARACTER_HEADING))
    for group in records:
        for record in group:
            row = json_line(record) if as_json else _row(record)
            sys.stdout.write(row + "\n")
        sys.stdout.flush()


def _check(per: str, threshold: float | None, rank: bool, invert: bool, baselines: bool) -> None:
    if per != "line" and (threshold is not None or rank):
        name = "--rank" if threshold is None else "--threshold"
        raise OptionError(f"{name} is for lines: give --per line with it")
    if threshold is not None and not math.isfinite(threshold):
        raise OptionError(f"--threshold must be a number of bits; found {threshold}")
    if invert and threshold is None and not rank:
        raise OptionError("--invert turns --threshold or --rank round; give one of them with it")
    if baselines and per != "text":
        raise OptionError("--baselines is for a whole text; it does not go with --per " + per)


def _check_heatmap(
    per: str, threshold: float | None, rank: bool, invert: bool, baselines: bool, as_json: bool
) -> None:
    others = {
        f"--per {per}": per != "text",
        "--threshold": threshold is not None,
        "--rank": rank,
        "--invert": invert,
        "--baselines": baselines,
        "--json": as_json,
    }
    if given := [name for name, is_given in others.items() if is_given]:
        raise OptionError(f"--heatmap writes the text itself; it does not go with {given[0]}")


def _scored(
    model: "Model", parts: Iterable[str], reset: str
) -> "Iterator[tuple[str, CharacterScores]]":
    """Return an iterator over the parts of the text, each with its scores."""
    if reset == "line":
        lines = model.line_scorer()
        return ((part, lines.score(part)) for part in parts)
    scorer = model.scorer()
    return ((part, scorer.score(model.vocabulary.encode(part))) for part in parts)


def _training_text(model: "Model") -> "Ids":
    """Return the end of the text that the model learned from, as much as the baselines use."""
    from chargen.checkpoint.sources import Sources
    from chargen.scoring.baselines import MOST_TRAINING

    return Sources(model.checkpoint).train_ids()[-MOST_TRAINING:]


def _comparison(model: "Model", score: "Score", others: dict[str, float]) -> str:
    """Return a table of bits per character, the fewest first."""
    from chargen.checkpoint.architecture import title
    from chargen.scoring.baselines import compared

    rows = compared(others, f"this model: {title(model.config)}", score.bits_per_character)
    cells = [(name, figure(bits)) for name, bits in rows]
    return table([("", "bits per character"), *cells], right=[1])


def _lines(scored: "Iterable[tuple[str, CharacterScores]]") -> Records:
    """Yield one record per line; its newline is counted with it and left out of its text."""
    from chargen.scoring.tally import Tally

    number, line, tally = 0, "", Tally()
    for text, scores in scored:
        start, group = 0, []
        # Lines end at "\n" alone: splitlines would also cut at characters that are text here.
        for piece in text.split("\n"):
            end = min(start + len(piece) + 1, len(text))
            line, tally = line + piece, tally + scores.tally(start, end)
            if start + len(piece) < len(text):
                number += 1
                group.append(_line(number, line, tally))
                line, tally = "", Tally()
            start = end
            if len(group) == MOST_RECORDS:
                yield group
                group = []
        yield group
    if line:
        yield [_line(number + 1, line, tally)]


def _line(number: int, text: str, tally: "Tally") -> dict[str, Any]:
    score = _json(tally.score())
    figures = {name: value for name, value in score.items() if name not in NOT_OF_A_LINE}
    return figures | {"line": number, "text": text}


def _characters(scored: "Iterable[tuple[str, CharacterScores]]") -> Records:
    """Yield one record per character."""
    from chargen.scoring.tally import round_figure

    position = 0
    for text, scores in scored:
        for start in range(0, len(text), MOST_RECORDS):
            part = slice(start, start + MOST_RECORDS)
            bits = (scores.nats[part].astype(float) / NATS_PER_BIT).tolist()
            known = scores.scored[part].tolist()
            yield [
                {
                    "position": position + k,
                    "character": character,
                    "bits": round_figure(bits[k]) if known[k] else None,
                }
                for k, character in enumerate(text[part])
            ]
            position += len(bits)


def _beyond(records: Records, threshold: float, invert: bool) -> Records:
    """Yield the lines above the threshold, or the others."""
    for group in records:
        yield [
            record
            for record in group
            if (bool(record["text"]) and _bits(record) > threshold) != invert
        ]


def _bits(record: dict[str, Any]) -> float:
    """Return a line's bits per character; infinite if the model knows none of its characters."""
    bits: float | None = record["bits_per_character"]
    if bits is None:
        return math.inf if record["unknown_characters"] else -math.inf
    return bits


def _rank(record: dict[str, Any], invert: bool) -> tuple[bool, float]:
    """Return what lines are sorted by; an empty line has nothing to be judged by, and is last."""
    return not record["text"], _bits(record) if invert else -_bits(record)


def _json(score: "Score") -> dict[str, Any]:
    """Return the score's fields; JSON has no NaN and no infinity, so they become null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(score).items()
    }


def _row(record: dict[str, Any]) -> str:
    if "line" in record:
        cells = [
            str(record["line"]),
            _number(record["bits_per_character"]),
            _number(record["nats_per_character"]),
            str(record["characters"]),
            str(record["unknown_characters"]),
            visible(record["text"]),
        ]
    else:
        cells = [str(record["position"]), _number(record["bits"]), visible(record["character"])]
    return "\t".join(cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
