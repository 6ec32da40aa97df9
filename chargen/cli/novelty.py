"""`chargen novelty`: find how much of a text is copied."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chargen.data.vocabulary import Vocabulary

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
    from chargen.data.corpus import read_corpus
    from chargen.data.directories import expanded
    from chargen.data.passages import copied, longest_copy
    from chargen.data.standard_input import STANDARD_INPUT
    from chargen.data.text import read_text
    from chargen.scoring.tally import round_figure

    if not (texts or quiet) and sys.stdin is not None and sys.stdin.isatty():
        click.echo("chargen: reading TEXT from standard input; end it with Ctrl-D", err=True)
    how = text_format(encoding, newlines or "lf", None, quiet=quiet)
    of_corpus = replace(how, field=field)
    text = "".join(read_text(expanded(texts or (STANDARD_INPUT,), note=how.note), how))
    # As ids, a long corpus takes less memory than as code points.
    read = read_corpus(expanded(corpus, note=how.note), of_corpus)
    if not text:
        raise CorpusError("no text to look at: 0 characters; name a TEXT, or pipe one in")
    ids, corpus_ids = _ids_of(text, read.vocabulary), read.ids
    longest = longest_copy(ids, corpus_ids)
    record: dict[str, Any] = {"characters": len(text), "corpus_characters": len(corpus_ids)}
    record["longest"] = longest and {
        "length": longest.length,
        "start": longest.start,
        "corpus_start": longest.corpus_start,
        "text": text[longest.start : longest.start + longest.length],
    }
    for length in LENGTHS:
        share = copied(ids, corpus_ids, length).mean()
        record[f"copied_{length}"] = round_figure(float(share))
    click.echo(json_line(record) if as_json else _sheet(record))


def _ids_of(text: str, vocabulary: "Vocabulary") -> "NDArray[np.uint32]":
    """Return the ids of a text; one beyond the last is that of what the vocabulary lacks."""
    import numpy as np

    from chargen.data.vocabulary import code_points

    ids = vocabulary.encode(text).astype(np.uint32)
    lacking = code_points("".join(c for c in set(text) if c not in vocabulary))
    ids[np.isin(code_points(text), lacking)] = len(vocabulary)
    return ids


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
