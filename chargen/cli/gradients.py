"""`chargen gradients`: show how far back learning reaches."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    complete_file,
    encoding_option,
    field_options,
    find_checkpoint,
    json_option,
    newlines_option,
    option,
    quiet_option,
    records_option,
    refuse_unread,
    text_format,
    threads_option,
    was_given,
)
from chargen.cli.outputs import check_output, output_options
from chargen.cli.reach_page import Found, of_layer, page
from chargen.cli.subjects import NamedText, Subject, of_checkpoint, untrained
from chargen.config import (
    STEPS_BACK,
    TRAIN_OPTIONS,
    ModelConfig,
    check_steps_back,
    check_threads,
)
from chargen.errors import NumericalError, OptionError
from chargen.fields import flag_of
from chargen.plain import counted, json_line, visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from chargen.analysis.reach import Reach

__all__ = ["command", "complete_network"]

OF_A_TEXT = ("units", "layers", "window", "activation", "random_seed")
"""Options that say which networks are made for a TEXT."""
HOW_TO_READ = ("encoding", "newlines", "field")
"""Options that say how to read a text."""


def complete_network(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Return the checkpoints under ./checkpoints for the shell to offer, or else files."""
    offered = complete_checkpoint(context, parameter, incomplete)
    found = [each for each in offered if each.type == "plain"]
    return found or complete_file(context, parameter, incomplete)


@click.command(
    "gradients",
    cls=Command,
    short_help="Show how far back learning reaches.",
    epilog="Example: chargen gradients checkpoints/poems --output reach.png",
)
@click.argument("sources", nargs=-1, metavar="[DIR|TEXT]...", shell_complete=complete_network)
@option(
    "--text",
    group="text",
    metavar="FILE",
    shell_complete=complete_file,
    default_words="what the run of DIR held out, else what it learned from",
    help="The text that the networks of DIR read.",
)
@encoding_option("the texts", "text")
@newlines_option("the texts", "text", "lf, or as DIR was trained")
@records_option("the texts", "text")
@field_options(*(TRAIN_OPTIONS[name] for name in OF_A_TEXT), STEPS_BACK)
@option(
    "--layer",
    type=int,
    group="output",
    metavar="N",
    default_words="1",
    help="Which layer to show, from 1, the lowest; --json has all of them.",
)
@output_options("Draw a picture too: a file that ends in .png, .svg or .pdf.")
@json_option
@quiet_option
@threads_option
@click.pass_context
def command(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    text: str | None,
    encoding: str,
    newlines: Any,
    field: str | None,
    steps: int,
    layer: int | None,
    output: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    threads: int | None,
    **options: Any,
) -> None:
    """Show how far back learning reaches: vanishing and exploding gradients as a plot.

    DIR is a checkpoint, whose network is shown before and after training; by default the one that
    `sample` would use. TEXT is a file: the networks that `train` would make for it, one with each
    cell, are shown before they learn anything.

    The plot has the derivative of the loss at one character with respect to the network's state k
    steps before: its norm, the median over 64 places in the text.
    """
    from chargen.checkpoint.directory import Checkpoint

    steps, threads = check_steps_back(steps), check_threads(threads)
    texts = [source for source in sources if _is_text(source)]
    _check(context, sources, texts, text)
    picture: Path | None = None
    if output is not None:
        from chargen.analysis.picture import check_picture

        picture = check_output(output, force=force)
        check_picture(picture)

    how = text_format(encoding, newlines or "lf", field, quiet=quiet)
    notes = _Notes(quiet)
    to_read = None if text is None else NamedText(text)
    given = {name: options[name] for name in OF_A_TEXT if was_given(context, name)}
    # All that can be refused at once comes before what takes seconds.
    opened = [
        str(source) if source in texts else Checkpoint.open(find_checkpoint(source, quiet=quiet))
        for source in sources or (None,)
    ]
    names = _names([each if isinstance(each, str) else each.path for each in opened])
    for each, name in zip(opened, names, strict=True):
        in_text = given.get("layers", ModelConfig.layers)
        _check_layer(layer, in_text if isinstance(each, str) else each.model.layers, name)
    found: list[Found] = []
    overflow: NumericalError | None = None
    for each, name in zip(opened, names, strict=True):
        if isinstance(each, str):
            subjects = untrained(each, f"{name} " if len(opened) > 1 else "", how, given)
        else:
            its_own = how if newlines else replace(how, newlines=each.newlines)
            subjects = of_checkpoint(each, name, to_read, its_own, notes.add)
        for subject in subjects:
            try:
                reach = _reach(subject, steps, threads, notes)
            except NumericalError as error:
                overflow = error
                notes.add(f"{subject.name} is left out: {error.as_typed}")
            else:
                found.append((subject, reach))
    if overflow and not found:
        raise overflow
    if picture is not None:
        _draw(found, layer or 1, picture)
    if as_json:
        click.echo(json_line({"networks": [_json(*each) for each in found]}))
    else:
        click.echo(page(found, layer or 1))


class _Notes:
    """What is said on standard error, each sentence once."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._said: set[str] = set()

    def add(self, sentence: str) -> None:
        """Say something, unless it was said or nothing is to be."""
        if not (self._quiet or sentence in self._said):
            click.echo(f"chargen: {visible(sentence)}", err=True)
        self._said.add(sentence)


def _check(
    context: click.Context, sources: Sequence[str], texts: Sequence[str], text: str | None
) -> None:
    """Refuse options that have nothing to apply to."""
    for name in OF_A_TEXT:
        if was_given(context, name) and not texts:
            raise OptionError(
                f"{flag_of(name)} says which networks to make for a TEXT; name a file"
            )
    if text is not None and sources and len(texts) == len(sources):
        raise OptionError("--text is what the networks of DIR read; leave it out, or name a DIR")
    if text is None and not texts:
        refuse_unread(context, HOW_TO_READ, "a TEXT or --text; give one of them")


def _check_layer(layer: int | None, layers: int, name: str) -> None:
    if layer is not None and not 1 <= layer <= layers:
        raise OptionError(
            f"--layer must be from 1 to {layers}, the number of layers of {name}; found {layer}"
        )


def _is_text(source: str) -> bool:
    """Return whether a source is standard input or a file, also one that another process writes."""
    path = Path(source)
    return source == "-" or (path.exists() and not path.is_dir())


def _names(places: Sequence[str | Path]) -> list[str]:
    """Return what each source is called: its name alone, or its path if others have that name."""
    paths = [Path(place).resolve() for place in places]
    short = [path.name if path.is_dir() else path.stem for path in paths]
    return [
        visible(name if short.count(name) == 1 else str(place))
        for name, place in zip(short, places, strict=True)
    ]


def _reach(subject: Subject, steps: int, threads: int | None, notes: _Notes) -> "Reach":
    from chargen.analysis.reach import gradient_reach, most_steps

    model = subject.model
    most = most_steps(model, len(subject.ids))
    if most < steps:
        by_window = model.predict == "last" and most == model.window - 1
        why = (
            f"the network predicts from windows of {model.window:,} characters"
            if by_window
            else f"the text has {counted(len(subject.ids), 'character')}"
        )
        notes.add(f"{counted(most, 'step')} back instead of {steps:,}, as {why}")
    return gradient_reach(
        model, subject.training, subject.weights, subject.ids, steps=steps, threads=threads
    )


def _draw(found: "Sequence[Found]", layer: int, path: Path) -> None:
    from chargen.analysis.picture import ReachCurve, draw_reach

    networks = list(dict.fromkeys((each.source, each.model) for each, _ in found))
    draw_reach(
        [
            ReachCurve(
                name,
                each,
                networks.index((subject.source, subject.model)),
                subject.trained,
                reach.clip_factor,
            )
            for name, each, (subject, reach) in of_layer(found, layer)
        ],
        path,
    )


def _json(subject: Subject, reach: "Reach") -> dict[str, Any]:
    from chargen.checkpoint.architecture import parameter_count

    return {
        "name": subject.name,
        "source": subject.source,
        "trained": subject.trained,
        "random_seed": subject.training.random_seed,
        "model": subject.model.to_json(),
        "parameters": parameter_count(subject.model),
        **reach.to_json(),
    }
