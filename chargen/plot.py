"""Curves drawn with characters, for a terminal or a file of plain text."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Curve", "draw", "plot_width"]

HEIGHT = 10
"""Lines of a plot."""
AXIS_WIDTH = 24
"""Columns that the axes take beside the plot."""
LEAST_WIDTH, MOST_WIDTH = 20, 80
"""Columns that a plot may have; on a wider terminal it would only be flatter."""
MARGIN, LEAST_RANGE = 0.05, 0.01
"""What is left free above and below the curves: a share of their range, or so much."""
FINE = 1
"""The range of an axis below which its labels have a second decimal."""
COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
"""The colours of the first curves, of the sixteen that each terminal sets for its own ground."""
MARKERS = "ox+*#@"
"""What tells the curves apart where there are no colours, and for eyes that see few."""


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
        x_label: what the horizontal axis shows.
        y_label: what the vertical axis shows.
        width: columns of the plot, beside its axis.
        height: lines of the plot, beside its axis.
    """
    import plotille

    heights = [y for curve in curves for y in curve.y]
    places = [x for curve in curves for x in curve.x]
    margin = max(MARGIN * (max(heights) - min(heights)), LEAST_RANGE)
    figure = plotille.Figure()
    figure.width, figure.height = width, height
    figure.x_label, figure.y_label = x_label, y_label
    figure.set_x_limits(min(0, *places), max(places))
    figure.set_y_limits(min(heights) - margin, max(heights) + margin)
    figure.register_label_formatter(float, _axis_label)
    several = len(curves) > 1
    figure.with_colors = several  # one alone would be white, which a light ground hides
    for index, curve in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)] if several else None
        marker = MARKERS[index % len(MARKERS)] if several else None
        figure.plot(curve.x, curve.y, lc=colour, label=curve.name, marker=marker)
    return "\n".join(line.rstrip() for line in figure.show(legend=several).splitlines())


def _axis_label(value: float, chars: int, delta: float, left: bool = False) -> str:
    label = f"{value:.2f}" if delta < FINE else f"{value:.1f}"
    return label.ljust(chars) if left else label.rjust(chars)
