"""`chargen novelty`: find how much of a text is copied."""

import sys
from dataclasses import replace
from typing import Any

import click

from chargen.cli.options import (
    Command,
    complete_file,
    encoding_option,
    json_option,
    newlines_option,
    option,
    quiet_option,
    records_option,
    text_format,
)
from chargen.errors import CorpusError
from chargen.plain import figure, json_line, table, visible

__all__ = ["command"]

LENGTHS = (10, 20, 40)
"""The lengths from which a passage counts as a copy, in characters."""
SHOWN = 60
"""Characters of the longest copy that are shown."""


@click.command(
    "novelty",
    cls=Command,
    short_help="Find what a text has copied.",
    epilog="Example: chargen novelty draft.txt --corpus poems.txt",
)
@click.argument("texts", nargs=-1, metavar="[TEXT]...", shell_complete=complete_file)
@option(
    "--corpus",
    multiple=True,
    required=True,
    group="text",
    metavar="TEXT",
    shell_complete=complete_file,
    help="The text that may have been copied; may be given several times.",
)
@encoding_option("the texts", "text")
@newlines_option("the texts", "text", "lf")
@records_option("--corpus", "text")
@json_option
@quiet_option
def command(
    texts: tuple[str, ...],
    corpus: tuple[str, ...],
    as_json: bool,
    encoding: str,
    newlines: str | None,
    field: str | None,
    quiet: bool,
) -> None:
    """Find the longest passage of TEXT that is also in the corpus, and how much is copied.

    TEXT is a file, a directory or - for standard input, the default; several are joined. Copies are
    passages of at least 10, 20 and 40 characters that are the same in both.
    """
    import numpy as np

    from chargen.data.directories import expanded
    from chargen.data.passages import copied, longest_copy
    from chargen.data.standard_input import STANDARD_INPUT
    from chargen.data.text import read_text
    from chargen.data.vocabulary import code_points
    from chargen.scoring.tally import round_figure

    if not (texts or quiet) and sys.stdin is not None and sys.stdin.isatty():
        click.echo("chargen: reading TEXT from standard input; end it with Ctrl-D", err=True)
    how = text_format(encoding, newlines or "lf", None, quiet=quiet)
    of_corpus = replace(how, field=field)
    text = "".join(read_text(expanded(texts or (STANDARD_INPUT,), note=how.note), how))
    points = code_points(text)
    corpus_points = np.concatenate(
        [code_points(block) for block in read_text(expanded(corpus, note=how.note), of_corpus)]
        or [points[:0]]
    )
    if not text:
        raise CorpusError("no text to look at: 0 characters; name a TEXT, or pipe one in")
    longest = longest_copy(points, corpus_points)
    record: dict[str, Any] = {"characters": len(text), "corpus_characters": len(corpus_points)}
    record["longest"] = longest and {
        "length": longest.length,
        "start": longest.start,
        "corpus_start": longest.corpus_start,
        "text": text[longest.start : longest.start + longest.length],
    }
    for length in LENGTHS:
        share = copied(points, corpus_points, length).mean()
        record[f"copied_{length}"] = round_figure(float(share))
    click.echo(json_line(record) if as_json else _sheet(record))


def _sheet(record: dict[str, Any]) -> str:
    longest = record["longest"]
    rows = [("characters", figure(record["characters"]))]
    if longest:
        rows += [
            ("longest copy", f"{figure(longest['length'])} characters"),
            ("where in the text", figure(longest["start"])),
            ("where in the corpus", figure(longest["corpus_start"])),
        ]
    for length in LENGTHS:
        rows.append((f"in copies of {length} or more", f"{100 * record[f'copied_{length}']:.2f} %"))
    sheet = table(rows, right=[1])
    if not longest:
        return sheet
    passage = longest["text"]
    cut = "..." if len(passage) > SHOWN else ""
    return f"{sheet}\n\n{visible(passage[:SHOWN])}{cut}"
