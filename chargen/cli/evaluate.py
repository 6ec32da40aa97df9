"""`chargen evaluate`: a checkpoint and a text in, figures out."""

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import checkpoint_option, find_checkpoint, json_option, quiet_option
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
@quiet_option
def command(
    texts: tuple[str, ...],
    checkpoint: str | None,
    per: str,
    as_json: bool,
    encoding: str,
    quiet: bool,
) -> None:
    """Score TEXT: how many bits the model needs for each character; fewer is better.

    TEXT is a file or - for standard input; several are joined. With none, the text that the
    training run held out is scored. State is carried from the first character to the last.
    """
    from chargen.data.corpus import read_ids, read_text
    from chargen.inference.model import load
    from chargen.inference.score import score_ids

    model = load(find_checkpoint(checkpoint))
    if per == "text":
        ids = (
            read_ids(texts, model.vocabulary, encoding)
            if texts
            else model.checkpoint.held_out_ids()
        )
        score = score_ids(model.network, model.vocabulary, ids).total()
        click.echo(json.dumps(_json(score)) if as_json else _sheet(score))
        return
    text = "".join(read_text(texts, encoding)) if texts else model.checkpoint.held_out_text()
    scores = score_ids(model.network, model.vocabulary, model.vocabulary.encode(text))
    records = _lines(text, scores) if per == "line" else _characters(text, scores)
    for record in records:
        click.echo(json.dumps(record, ensure_ascii=False) if as_json else _row(record))


def _lines(text: str, scores: "CharacterScores") -> Iterator[dict[str, Any]]:
    """A record a line; its line end is counted with it and left out of its text."""
    if not text:
        return
    start = 0
    # Lines end at "\n" alone: splitlines would also cut at characters that are text here.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        end = min(start + len(line) + 1, len(text))
        yield _json(scores.total(start, end)) | {"line": number, "text": line}
        start = end


def _characters(text: str, scores: "CharacterScores") -> Iterator[dict[str, Any]]:
    for position, character in enumerate(text):
        scored = scores.scored[position]
        bits = float(scores.nats[position]) / math.log(2) if scored else None
        yield {"position": position, "character": character, "bits": bits}


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
