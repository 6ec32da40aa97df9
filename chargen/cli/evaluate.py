"""`chargen evaluate`: a checkpoint and a text in, figures out."""

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import (
    checkpoint_option,
    find_checkpoint,
    json_option,
    quiet_option,
    threads_option,
)
from chargen.cli.plain import figure, table, visible
from chargen.config import TrainConfig

if TYPE_CHECKING:
    from chargen.inference.score import CharacterScores, Score

__all__ = ["command"]


@click.command(
    "evaluate",
    short_help="Score a text in bits per character.",
    epilog="Example: chargen evaluate letters.txt --json",
)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@checkpoint_option
@click.option(
    "--per",
    type=click.Choice(["text", "line", "char"]),
    default="text",
    help="One record for the text, a line, or a character. A line's record is: line number, "
    "bits per character, nats per character, characters, unknown characters, the line; a "
    "character's: position, bits, the character; parted by tabs.  [default: text]",
)
@json_option
@click.option(
    "--encoding",
    default=TrainConfig.encoding,
    metavar="NAME",
    help=f"Of the texts.  [default: {TrainConfig.encoding}]",
)
@threads_option
@quiet_option
def command(
    texts: tuple[str, ...],
    checkpoint: str | None,
    per: str,
    as_json: bool,
    encoding: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Score TEXT: how many bits the model needs for each character; fewer is better.

    TEXT is a file or - for standard input; several are joined. With none, the text that the
    training run held out is scored. State is carried from the first character to the last.
    """
    from chargen.data.corpus import in_parts, read_text
    from chargen.inference.model import load
    from chargen.inference.score import PART, Tally

    model = load(find_checkpoint(checkpoint), threads=threads)
    parts = (
        in_parts(read_text(texts, encoding), PART)
        if texts
        else model.checkpoint.held_out_parts(PART)
    )
    scorer = model.scorer()
    scored = ((part, scorer.score(model.vocabulary.encode(part))) for part in parts)
    if per == "text":
        score = sum((scores.tally() for _, scores in scored), Tally()).score()
        click.echo(json.dumps(_json(score)) if as_json else _sheet(score))
        return
    for record in _lines(scored) if per == "line" else _characters(scored):
        row = json.dumps(record, ensure_ascii=False) if as_json else _row(record)
        sys.stdout.write(row + "\n")


def _lines(scored: "Iterable[tuple[str, CharacterScores]]") -> Iterator[dict[str, Any]]:
    """A record a line; its line end is counted with it and left out of its text."""
    from chargen.inference.score import Tally

    number, line, tally = 0, "", Tally()
    for text, scores in scored:
        start = 0
        # Lines end at "\n" alone: splitlines would also cut at characters that are text here.
        for piece in text.split("\n"):
            end = min(start + len(piece) + 1, len(text))
            line, tally = line + piece, tally + scores.tally(start, end)
            if start + len(piece) < len(text):
                number += 1
                yield _json(tally.score()) | {"line": number, "text": line}
                line, tally = "", Tally()
            start = end
    if line:
        yield _json(tally.score()) | {"line": number + 1, "text": line}


def _characters(scored: "Iterable[tuple[str, CharacterScores]]") -> Iterator[dict[str, Any]]:
    position = 0
    for text, scores in scored:
        bits = (scores.nats.astype(float) / math.log(2)).tolist()
        for character, value, known in zip(text, bits, scores.scored.tolist(), strict=True):
            yield {"position": position, "character": character, "bits": value if known else None}
            position += 1


def _json(score: "Score") -> dict[str, Any]:
    """The score's fields; JSON has no NaN and no infinity, so they become null."""
    values = dataclasses.asdict(score)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
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


def _sheet(score: "Score") -> str:
    rows = [("characters", figure(score.characters))]
    if score.unknown_characters:
        rows.append(("unknown characters", figure(score.unknown_characters)))
    rows += [
        ("nats per character", figure(score.nats_per_character)),
        ("bits per character", figure(score.bits_per_character)),
        ("perplexity", figure(score.perplexity)),
        ("accuracy", figure(score.accuracy)),
        ("characters per second", figure(score.characters_per_second, 0)),
    ]
    return table(rows, right=[1])
