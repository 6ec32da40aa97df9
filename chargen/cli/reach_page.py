"""How far learning reaches, as a page of text: a plot, tables, and a sentence for each network."""

import itertools
import math
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from chargen.cli.subjects import Subject
from chargen.plain import figure, table

if TYPE_CHECKING:
    from chargen.analysis.reach import LayerReach, Reach
    from chargen.plot import Curve

__all__ = ["Found", "of_layer", "page"]

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
"""A network with its reach."""


def of_layer(found: "Sequence[Found]", layer: int) -> "Iterator[tuple[str, LayerReach, Found]]":
    """Yield what is shown of the networks: a layer, or each of its directions, with its name."""
    for subject, reach in found:
        for each in reach.layers:
            if each.layer == layer:
                backward = " backward" if each.direction == "backward" else ""
                yield subject.name + backward, each, (subject, reach)


def page(found: "Sequence[Found]", layer: int) -> str:
    """Return the page for a layer of each network, counted from 1."""
    from chargen.analysis.reach import summary

    shown = list(of_layer(found, layer))
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
