"""Curves drawn with characters, for a terminal or a file of plain text."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotille

__all__ = ["COLOURS", "FEWEST_POINTS", "Curve", "draw", "plot_width"]

HEIGHT = 10
"""Lines of a plot, unless others are asked for: half of a small terminal."""
AXIS_WIDTH = 24
"""Columns that the axes take beside the plot."""
LEAST_WIDTH, MOST_WIDTH = 20, 80
"""Columns that a plot may have; on a wider terminal it would only be flatter."""
FEWEST_POINTS = 2
"""The fewest points that make a curve."""
MARGIN, LEAST_RANGE = 0.05, 0.01
"""What is left free above and below the curves: a share of their range, or so much."""
FINE = 1
"""The range of an axis below which its labels have a second decimal."""
COLOURS = (32, 166, 133, 64, 30, 124)
"""The colours of the first curves: blue, orange, purple, olive, teal and red, of the 256 that
terminals have, dark enough for a white ground and light enough for a black one."""
MARKERS = "ox+*#@"
"""What tells the curves apart where there are no colours."""
LINE = "\N{BRAILLE PATTERN DOTS-36}" * 2
"""A piece of a line, as plots have it, for the legend."""
LEGEND_INDENT = 13
"""Columns before the legend, which stands below the plot and not below its labels."""
MARKED = 8
"""How many places of a curve are marked: more would hide its line."""


@dataclass(frozen=True)
class Curve:
    """A line through points.

    Attributes:
        name: what the legend calls it.
        x: the points' places along the horizontal axis, at least two.
        y: their heights, as many.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


def plot_width() -> int:
    """Return how many columns a plot has on this terminal, or where there is none."""
    columns = min(shutil.get_terminal_size().columns, MOST_WIDTH)
    return max(LEAST_WIDTH, columns - AXIS_WIDTH)


def draw(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    width: int,
    height: int = HEIGHT,
) -> str:
    """Return a plot as lines of text, with a legend if there are several curves.

    If standard output is a terminal and NO_COLOR is not set, several curves are coloured.

    Args:
        curves: one or more; each point is a number that is finite.
        x_label: what the horizontal axis shows; an empty one leaves more room.
        y_label: what the vertical axis shows.
        width: columns of the plot, beside its axis.
        height: lines of the plot, beside its axis.
    """
    import plotille

    heights = [y for curve in curves for y in curve.y]
    places = [x for curve in curves for x in curve.x]
    margin = max(MARGIN * (max(heights) - min(heights)), LEAST_RANGE)
    figure = plotille.Figure()
    figure.color_mode = "byte"
    figure.width, figure.height = width, height
    figure.x_label, figure.y_label = x_label, y_label
    figure.set_x_limits(min(0, *places), max(places))
    figure.set_y_limits(min(heights) - margin, max(heights) + margin)
    figure.register_label_formatter(float, _axis_label)
    page = _shown(figure, curves, marked=False)
    if len(curves) > 1 and "\x1b" not in page:  # plotille has seen no terminal for colours
        figure.clear()
        page = _shown(figure, curves, marked=True)
    return page


def _shown(figure: "plotille.Figure", curves: Sequence[Curve], *, marked: bool) -> str:
    import plotille

    legend = []
    several = len(curves) > 1
    figure.with_colors = several  # one alone would be white, which a light ground hides
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)] if several else None
        marker = MARKERS[index % len(MARKERS)] if marked else LINE
        figure.plot(curve.x, curve.y, lc=colour)
        if marked:
            apart = max(1, len(curve.x) // MARKED)
            figure.scatter(curve.x[::apart], curve.y[::apart], marker=marker)
        legend.append(plotille.color(marker, fg=colour, mode="byte") + " " + curve.name)
    lines = [line.removesuffix(" ()").rstrip() for line in figure.show().splitlines()]
    if several:
        lines.append(" " * LEGEND_INDENT + "   ".join(legend))
    return "\n".join(lines)


def _axis_label(value: float, chars: int, delta: float, left: bool = False) -> str:
    label = f"{value:.2f}" if delta < FINE else f"{value:.1f}"
    return label.ljust(chars) if left else label.rjust(chars)
