"""`chargen gradients`: show how far back learning reaches."""

import itertools
import math
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

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
from chargen.config import (
    STEPS_BACK,
    TRAIN_OPTIONS,
    Activation,
    Cell,
    ModelConfig,
    TrainConfig,
    check_steps_back,
    check_threads,
)
from chargen.errors import CorpusError, NumericalError, OptionError, TrainingError
from chargen.fields import flag_of
from chargen.plain import counted, figure, json_line, table, visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from chargen.analysis.backpropagation import Floats
    from chargen.analysis.reach import LayerReach, Reach
    from chargen.checkpoint.directory import Checkpoint
    from chargen.data.text import TextFormat
    from chargen.data.vocabulary import Ids
    from chargen.plot import Curve

__all__ = ["Subject", "command", "complete_network"]

CELLS: tuple[Cell, ...] = get_args(Cell)
"""The cells of the networks that are made for a TEXT."""
OF_A_TEXT = ("units", "layers", "window", "activation", "random_seed")
"""Options that say which networks are made for a TEXT."""
HOW_TO_READ = ("encoding", "newlines", "field")
"""Options that say how to read a text."""
COLUMNS = (0, 10, 50, 100)
"""The steps back whose norms the table has, besides the last one."""
LINE = 80
"""The most characters of a line of prose."""
NAME_WIDTH = 22
"""The most characters of a name: beside it, a line of 80 has room for five norms and the reach."""
FLOOR = 1e-16
"""The share of the largest norm below which no curve is drawn in the terminal, where it would
flatten the others: so little is lost to rounding when gradients are added up."""
POINTS = 20
"""Points of a curve in the terminal: with one for each step, the markers of a curve would hide the
others."""


Found: TypeAlias = "tuple[Subject, Reach]"


@dataclass(frozen=True)
class Subject:
    """A network whose reach is to be found.

    Attributes:
        name: what the plot and the tables call it.
        source: its checkpoint, or the text that it was made for.
        trained: whether it has learned.
    """

    name: str
    source: str
    trained: bool
    model: ModelConfig
    training: TrainConfig
    weights: "Sequence[Floats]"
    ids: "Ids"


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
@option(
    "-o",
    "--output",
    group="output",
    metavar="FILE",
    shell_complete=complete_file,
    help="Draw a picture too: a file that ends in .png, .svg or .pdf.",
)
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
    if output is not None:
        from chargen.analysis.picture import check_picture

        check_picture(output)

    how = text_format(encoding, newlines or "lf", field, quiet=quiet)
    notes = _Notes(quiet)
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
            subjects = _untrained(each, f"{name} " if len(opened) > 1 else "", how, given)
        else:
            its_own = how if newlines else replace(how, newlines=each.newlines)
            subjects = _of_checkpoint(each, name, text, its_own, notes)
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
    if output is not None:
        _draw(found, layer or 1, Path(output))
    if as_json:
        click.echo(json_line({"networks": [_json(*each) for each in found]}))
    else:
        click.echo(_page(found, layer or 1))


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


def _untrained(
    source: str, prefix: str, how: "TextFormat", options: dict[str, Any]
) -> Iterator[Subject]:
    """Yield a network of each cell, as `train` would make it for a text."""
    from chargen.training.defaults import check_options
    from chargen.training.plan import plan_new
    from chargen.training.start import draw_weights
    from chargen.training.support import check_libraries

    check_libraries(("tensorflow", "keras"), "making networks for a TEXT")
    # The sizes do not depend on the cell, so the text is read, and the run planned, only once. The
    # folder is not looked at.
    reading = {"encoding": how.encoding, "newlines": how.newlines, "field": how.field}
    of_all = {name: value for name, value in options.items() if name != "activation"}
    plan = plan_new(Path(), [source], check_options(cast("Any", reading | of_all)), note=how.note)
    training = plan.checkpoint.training
    for cell in CELLS:
        chosen = options.get("activation", ModelConfig.activation)
        activation: Activation = chosen if cell == "rnn" else ModelConfig.activation
        model = replace(plan.checkpoint.model, cell=cell, activation=activation)
        weights = draw_weights(model, training.random_seed, plan.output_bias, plan.embeddings)
        name = f"{prefix}{cell} untrained"
        yield Subject(name, source, False, model, training, weights, plan.train_ids)


def _of_checkpoint(
    checkpoint: "Checkpoint", name: str, text: str | None, how: "TextFormat", notes: _Notes
) -> Iterator[Subject]:
    """Yield the network of a checkpoint before it was trained, if that is known, and after."""
    from chargen.analysis.reach import most_steps
    from chargen.checkpoint.sources import Sources
    from chargen.training.start import initial_weights

    weights = checkpoint.weights()
    ids = _known(_ids(checkpoint, text, how), checkpoint, notes)
    most_steps(checkpoint.model, len(ids))  # refuses a text, before drawing weights takes seconds
    after = Subject(
        f"{name} after",
        str(checkpoint.path),
        True,
        checkpoint.model,
        checkpoint.training,
        weights,
        ids,
    )
    try:
        train_ids = Sources(checkpoint).train_ids()
    except CorpusError:
        train_ids = None
    before = None
    try:
        before = initial_weights(checkpoint, train_ids)
    except TrainingError as error:
        notes.add(f"{name} before training is left out: {error.as_typed}")
    if before is not None:
        yield replace(after, name=f"{name} before", trained=False, weights=before)
    yield after


def _ids(checkpoint: "Checkpoint", text: str | None, how: "TextFormat") -> "Ids":
    """Return the text that a network reads: the one that was named, or one of its run."""
    from chargen.checkpoint.sources import Sources

    if text is not None:
        return checkpoint.vocabulary.encode(_read(text, how))
    sources = Sources(checkpoint)
    try:
        held_out = checkpoint.corpus.validation_characters
        return sources.held_out_ids() if held_out else sources.train_ids()
    except CorpusError as error:
        reason = error.as_typed.rpartition(";")[0] or error.as_typed
        raise CorpusError(f"{reason}; give a text with --text") from None


@cache  # several networks read it, and a pipe can be read only once
def _read(text: str, how: "TextFormat") -> str:
    from chargen.data.text import read_text

    return "".join(read_text([text], how))


def _known(ids: "Ids", checkpoint: "Checkpoint", notes: _Notes) -> "Ids":
    """Return the ids without those of characters that the network cannot read."""
    known = ids < len(checkpoint.vocabulary)
    if not known.all():
        count = counted(int((~known).sum()), "character")
        notes.add(f"{count} of the text that {checkpoint.path} does not know: left out")
    return ids[known]


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


def _of_layer(found: "Sequence[Found]", layer: int) -> "Iterator[tuple[str, LayerReach, Found]]":
    """Yield what is shown of the networks: a layer, or each of its directions, with its name."""
    for subject, reach in found:
        for each in reach.layers:
            if each.layer == layer:
                backward = " backward" if each.direction == "backward" else ""
                yield subject.name + backward, each, (subject, reach)


def _draw(found: "Sequence[Found]", layer: int, path: Path) -> None:
    from chargen.analysis.picture import ReachCurve, draw_reach

    networks = list(dict.fromkeys((each.source, each.model) for each, _ in found))
    draw_reach(
        [
            ReachCurve(
                name,
                of_layer,
                networks.index((subject.source, subject.model)),
                subject.trained,
                reach.clip_factor,
            )
            for name, of_layer, (subject, reach) in _of_layer(found, layer)
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


def _page(found: "Sequence[Found]", layer: int) -> str:
    from chargen.analysis.reach import summary

    shown = list(_of_layer(found, layer))
    width = min(shutil.get_terminal_size().columns, LINE)
    sentences = [
        textwrap.fill(f"{name}: {summary(each, reach.window)}", width, subsequent_indent="  ")
        for name, each, (_, reach) in shown
    ]
    captions = (
        f"The derivative of the loss by the state of layer {layer}, so many steps before:",
        "The derivative of a batch's loss by all weights, and what clipping makes of it:",
    )
    by_state, by_weights = (textwrap.fill(each, width) for each in captions)
    parts = [by_state, _plot(shown), _norms(shown), f"{by_weights}\n{_sizes(found)}"]
    return "\n\n".join([part for part in parts if part] + ["\n".join(sentences)])


def _plot(shown: "Sequence[tuple[str, LayerReach, Found]]") -> str:
    """Return a plot of the norms, with clipping where that makes a line of its own."""
    from chargen.plot import HEIGHT, draw, plot_width

    floor = FLOOR * max(each.norms[0] for _, each, _ in shown)
    curves = [_curve(name, each, 1.0, floor) for name, each, _ in shown]
    heights = [height for curve in curves for height in curve.y]
    if not heights:
        return ""
    line = (max(heights) - min(heights)) / HEIGHT
    for name, each, (_, reach) in shown:
        factor = reach.clip_factor
        if factor and -math.log10(factor) > line:
            curves.append(_curve(f"{name}, clipped", each, factor, floor))
    drawn = [curve for curve in curves if len(curve.x) > 1]
    return draw(drawn, "steps", "log10 of the norm", width=plot_width()) if drawn else ""


def _curve(name: str, layer: "LayerReach", factor: float, floor: float) -> "Curve":
    """Return a curve of those norms that have a logarithm, up to the first below the floor."""
    from chargen.plot import Curve

    last = len(layer.norms) - 1
    steps = sorted({round(k * last / POINTS) for k in range(POINTS + 1)})
    norms = [(k, factor * float(layer.norms[k])) for k in steps]
    drawn = itertools.takewhile(lambda point: 0 < point[1] >= floor, norms)
    points = [(k, math.log10(norm)) for k, norm in drawn if norm < math.inf]
    return Curve(name, [k for k, _ in points], [height for _, height in points])


def _norms(shown: "Sequence[tuple[str, LayerReach, Found]]") -> str:
    """Return a table of the norms at some of the steps."""
    last = max(reach.steps for _, _, (_, reach) in shown)
    columns = [k for k in COLUMNS if k < last] + [last]
    rows = [("steps back", *(f"{k:,}" for k in columns), "< 1 %")]
    for name, each, (_, reach) in shown:
        norms = [_number(float(each.norms[k])) if k <= reach.steps else "" for k in columns]
        rows.append((_shortened(name), *norms, figure(each.reach)))
    return table(rows, right=range(1, len(rows[0])))


def _sizes(found: "Sequence[Found]") -> str:
    """Return a table of the networks and the gradients of all their weights."""
    from chargen.checkpoint.architecture import parameter_count

    rows = [("network", "parameters", "all weights", "clipped", "factor")]
    for subject, reach in found:
        factor = reach.clip_factor
        rows.append(
            (
                _shortened(subject.name),
                figure(parameter_count(subject.model)),
                _number(reach.gradient_norm),
                "-" if factor is None else _number(factor * reach.gradient_norm),
                "-" if factor is None else _number(factor),
            )
        )
    return table(rows, right=range(1, 5))


def _number(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "overflow"


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else "..." + name[3 - NAME_WIDTH :]
