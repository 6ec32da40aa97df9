"""`chargen report`: write a page that shows what a checkpoint learned."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    complete_file,
    encoding_option,
    find_checkpoint,
    option,
    quiet_option,
    refuse_unread,
    text_format,
    threads_option,
)
from chargen.cli.outputs import check_output, output_options
from chargen.config import check_random_seed
from chargen.errors import CorpusError, OptionError
from chargen.plain import visible

if TYPE_CHECKING:
    from chargen.checkpoint.sources import Sources
    from chargen.data.text import TextFormat
    from chargen.model import Model

__all__ = ["command"]

LIBRARIES = ("jinja2", "matplotlib")
"""What the extra `report` adds."""
PAGE = "report.html"
LENGTH = 2_000
"""Characters shown unless another number is asked for: about a page of a book."""
FAR_ENOUGH = 200
"""Characters in which a line end is looked for, from which on a text that is cut out of another can
be shown: longer than a line of most texts."""


@click.command(
    "report",
    cls=Command,
    short_help="Write a page about a checkpoint.",
    epilog="Example: chargen report checkpoints/poems -o poems.html",
)
@click.argument("checkpoint", required=False, metavar="[DIR]", shell_complete=complete_checkpoint)
@output_options("The file to write.", default=PAGE, default_words=PAGE)
@option(
    "--text",
    group="text",
    metavar="FILE",
    default_words="the text that was held out, else the text that was learned from",
    shell_complete=complete_file,
    help="The text to look at.",
)
@encoding_option("--text", "text")
@option(
    "--length",
    type=int,
    default=LENGTH,
    group="amount",
    metavar="N",
    default_words=f"{LENGTH}",
    help="Number of characters of the text to show.",
)
@option(
    "--random-seed",
    type=int,
    default=0,
    group="drawing",
    metavar="N",
    default_words="0",
    help="Seed of the random number generator for the texts that are written.",
)
@threads_option
@option(
    "--baselines",
    is_flag=True,
    group="output",
    help="Also show the bits of the text without a network, as `evaluate --baselines` does.",
)
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    checkpoint: str | None,
    output: str,
    force: bool,
    text: str | None,
    encoding: str,
    length: int,
    random_seed: int,
    threads: int | None,
    baselines: bool,
    quiet: bool,
) -> None:
    """Write a page of HTML that shows what a checkpoint is and what it learned; print its path.

    DIR is the checkpoint; by default $CHARGEN_CHECKPOINT, else the newest under ./checkpoints. The
    page holds the curves of the run, texts that the model writes, a text coloured by how much each
    character surprised it, what single units follow, and a map of the characters. It needs no
    other file and no network.
    """
    from chargen.checkpoint.atomic import write_file
    from chargen.installation import require

    require("a report", LIBRARIES, "report")
    if text is None:
        refuse_unread(context, ("encoding",), "--text; give one with it")
    random_seed = check_random_seed(random_seed)
    path = check_output(output, force=force)

    from chargen.analysis.units import FEWEST_CHARACTERS
    from chargen.checkpoint.sources import Sources
    from chargen.model import load
    from chargen.report.excerpt import MOST_SHOWN
    from chargen.report.page import Material, to_html, wanted_characters

    if not 1 <= length <= MOST_SHOWN:
        raise OptionError(f"--length must be from 1 to {MOST_SHOWN:,}; found {length:,}")
    model = load(find_checkpoint(checkpoint, quiet=quiet), threads=threads)

    def note(what: str) -> None:
        if not quiet:
            click.echo(f"chargen: {visible(what)}", err=True)

    most = None if baselines else wanted_characters(model, length) + FAR_ENOUGH
    how = text_format(encoding, model.checkpoint.newlines, None, quiet=quiet)
    sources = Sources(model.checkpoint)
    found = _own_text(model, sources, most, note) if text is None else _given_text(text, how, most)
    if baselines:
        note("computing the baselines")
        found["baselines"] = _baselines(model, sources, found)
    if found["origin"] == "held out" and not isinstance(model.checkpoint.training.validation, str):
        found["text"] = _from_a_line(found["text"])  # it is cut out of another
    if len(found["text"]) < length + FEWEST_CHARACTERS and found["origin"] != "training":
        found["elsewhere"] = _end_of_training(model, sources)
    history = model.checkpoint.history_if_any()
    material = Material(history=history, length=length, random_seed=random_seed, **found)
    page = to_html(model, material, note)
    # The name of a file may hold bytes that are not text.
    write_file(path, page.encode("utf-8", "backslashreplace"))
    click.echo(output)


def _given_text(name: str, how: "TextFormat", most: int | None) -> dict[str, Any]:
    """Return the text in a file, or its beginning, as fields of `Material`."""
    from chargen.data.text import read_text

    text = _joined(read_text([name], how), most)
    if not text:
        raise CorpusError(f"no text in {name}: 0 characters; name another file with --text")
    return {"text": text, "origin": "given", "name": name}


def _own_text(
    model: "Model", sources: "Sources", most: int | None, note: Callable[[str], None]
) -> dict[str, Any]:
    """Return the text that was held out, or else that of the training, as fields of `Material`."""
    from chargen.scoring.score import PART

    held_out = model.checkpoint.corpus.validation_characters > 0
    try:
        if not held_out:
            text = model.vocabulary.decode(sources.train_ids()[:most])
            return {"text": text, "origin": "training"}
        text = _joined(sources.held_out_parts(PART), most)
    except CorpusError as error:
        note(f"the page will be without a text: {error.as_typed}")
        return {"text": "", "origin": "held out" if held_out else "training"}
    return {"text": text, "origin": "held out"}


def _joined(parts: Iterable[str], most: int | None) -> str:
    """Return a text, or at most so many characters of it, and read no further than that."""
    found: list[str] = []
    for part in parts:
        found.append(part)
        if most is not None and sum(map(len, found)) >= most:
            break
    return "".join(found)[:most]


def _from_a_line(text: str) -> str:
    """Return a text as it is shown: from where a line begins, if one does soon."""
    end = text.find("\n", 0, FAR_ENOUGH)
    return text[end + 1 :].lstrip("\n") or text


def _end_of_training(model: "Model", sources: "Sources") -> str:
    """Return the end of the text that was learned from, or nothing if that is gone."""
    from chargen.analysis.units import characters_read

    try:
        ids = sources.train_ids()
    except CorpusError:
        return ""
    return model.vocabulary.decode(ids[-characters_read(model.config) :])


def _baselines(
    model: "Model", sources: "Sources", found: Mapping[str, Any]
) -> list[tuple[str, float]]:
    """Return the model and the baselines, with their bits per character of the text."""
    from chargen.checkpoint.architecture import title
    from chargen.scoring.baselines import MOST_TRAINING, baseline_bits, compared
    from chargen.scoring.score import score_ids

    if found["origin"] == "training" or not found["text"]:
        raise CorpusError(
            "--baselines needs a text that the model did not learn from, and there is none; name "
            "one with --text"
        )
    train = sources.train_ids()[-MOST_TRAINING:]
    others = baseline_bits(train, found["text"], model.vocabulary)
    bits = score_ids(model, model.vocabulary.encode(found["text"])).bits_per_character
    return compared(others, f"this model: {title(model.config)}", bits)
