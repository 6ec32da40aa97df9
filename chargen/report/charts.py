"""Charts as SVG elements for a page, whose text is text and whose colours are the page's.

Matplotlib draws with marker colours, which are then replaced by CSS variables, so that a page can
show a chart on a light and on a dark ground. Each chart's ids begin with its name, so that several
can be in one page.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["character_chart", "gradient_chart", "training_chart"]

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
POINTS_PER_INCH = 72
"""Matplotlib's unit of length in a file of SVG is a point."""
WIDTH = 560
"""In points. A chart is shown as wide as the page's column, 672 CSS pixels or a fifth more."""
FONT_SIZE = 12
"""In points, so that it is shown at 14 pixels, the size of the page's captions."""
TRAINING_HEIGHT, GRADIENT_HEIGHT, CHARACTER_HEIGHT = 350, 290, 470
"""In points: room for two charts above each other; half of the width, as curves over steps need;
and nearly a square beside its legend, as a map has no direction that counts more."""
MOST_TICKS = 6
"""Ticks whose labels, of up to seven digits, stand side by side in the width."""
MOST_RATE_TICKS = 2
"""Ticks on the learning rate's axis, which is only a fifth as high as the whole."""
MAP_MARGIN = 0.06
"""The share of the map that is left at its edges, so that no label is cut off."""
INK, QUIET, FAINT = "#0a0a01", "#0a0a02", "#0a0a03"
SERIES = ("#0a0a11", "#0a0a12", "#0a0a13", "#0a0a14", "#0a0a15", "#0a0a16")
VARIABLES = {INK: "--ink", QUIET: "--quiet", FAINT: "--faint"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, 1)
}
"""The marker colours and the variables that they become."""
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (9, 3)), (0, (3, 3)))
"""What tells curves apart in print without colours, and for eyes that see few."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": QUIET,
    "axes.labelsize": FONT_SIZE,
    "axes.titlecolor": QUIET,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "xtick.color": FAINT,
    "xtick.labelcolor": QUIET,
    "ytick.color": FAINT,
    "ytick.labelcolor": QUIET,
}
LETTERS_APART = 15
"""The least distance between the labels of two characters, in points: about a letter's size."""
SUPERSCRIPTS = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")
GOLDEN_ANGLE = 2.4
"""In radians, nearly: turned by it again and again, no two of many directions are alike."""
NUDGE = 0.01
"""In points: too little to see, and enough to give a direction."""
PUSHES = 60
"""Rounds in which labels that are too close are pushed apart."""


def training_chart(
    steps: Sequence[float],
    train_bits: Sequence[float | None],
    held_out_bits: Sequence[float | None],
    learning_rates: Sequence[float | None],
    best_step: float | None,
    label: str,
) -> str:
    """Return the curves of a run: bits per character, and below them the learning rate.

    Args:
        steps: of the evaluations, two or more.
        train_bits: on the text that is learned from, since the evaluation before; None where there
            is no figure.
        held_out_bits: on the text that is held out.
        learning_rates: at each evaluation.
        best_step: the evaluation to mark, or None.
        label: what a screen reader says of the chart.
    """
    with _figure(TRAINING_HEIGHT) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        x = np.array(steps, np.float64)
        curves = [("learned from", train_bits), ("held out", held_out_bits)]
        for index, (name, bits) in enumerate(curves):
            y = np.array([np.nan if each is None else each for each in bits], np.float64)
            if np.isfinite(y).any():
                upper.plot(x, y, color=SERIES[index], linestyle=DASHES[index], label=name)
                if index == len(curves) - 1 and best_step is not None:
                    at = x == best_step
                    upper.plot(x[at], y[at], "o", color=SERIES[index], markersize=6, label="best")
        upper.set_title("bits per character")
        upper.legend(loc="upper right")
        rates = [np.nan if rate is None else rate for rate in learning_rates]
        lower.plot(x, np.array(rates, np.float64), color=SERIES[2])
        lower.set_title("learning rate")
        lower.set_ylim(bottom=0)
        lower.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        lower.set_xlabel("steps")
        lower.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _limit_ticks(upper, MOST_TICKS, MOST_TICKS)
        _limit_ticks(lower, MOST_TICKS, MOST_RATE_TICKS)
        return _drawn(figure, "curves", label)


def gradient_chart(
    names: Sequence[str],
    distances: NDArray[np.integer],
    norms: Sequence[NDArray[np.floating]],
    label: str,
) -> str:
    """Return how far gradients reach: their norms over the distance, on a logarithmic axis.

    Args:
        names: of the curves, at most as many as there are colours.
        distances: (K,), how many characters back.
        norms: (K,) for each curve; what is 0 or not finite is left out.
        label: what a screen reader says of the chart.
    """
    with _figure(GRADIENT_HEIGHT) as figure:
        axes = figure.subplots()
        for index, (name, values) in enumerate(zip(names, norms, strict=True)):
            y = np.where(np.isfinite(values) & (np.asarray(values) > 0), values, np.nan)
            axes.plot(distances, y, color=SERIES[index], linestyle=DASHES[index], label=name)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: _power_of_ten(value))
        axes.set_xlabel("characters back")
        axes.set_title("norm of the derivative")
        if len(names) > 1:
            axes.legend(loc="upper right")
        return _drawn(figure, "gradients", label)


def character_chart(
    labels: Sequence[str],
    points: NDArray[np.floating],
    kinds: Sequence[str],
    every_kind: Sequence[str],
    shares: tuple[float, float],
    label: str,
) -> str:
    """Return a map of characters, each at its point, in the colour of its kind.

    Labels that would lie on each other are pushed apart a little.

    Args:
        labels: how each of the n characters is shown.
        points: (n, 2).
        kinds: the kind of each.
        every_kind: all kinds that there may be, at most as many as there are colours; a kind has
            the same colour on every map.
        shares: the share of the variance along each axis, from 0 to 1.
        label: what a screen reader says of the chart.
    """
    colours = dict(zip(every_kind, SERIES, strict=False))
    with _figure(CHARACTER_HEIGHT) as figure:
        axes = figure.subplots()
        axes.set_aspect("equal", adjustable="datalim")
        axes.plot(points[:, 0], points[:, 1], linestyle="none")  # so that the limits hold them all
        axes.margins(MAP_MARGIN)
        axes.set_xlabel(f"first axis, {100 * shares[0]:.0f} % of the variance")
        axes.set_ylabel(f"second axis, {100 * shares[1]:.0f} %")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        axes.grid(False)
        figure.draw_without_rendering()  # settles the axes, and so where points are
        places = _apart(axes.transData.transform(points))
        places = axes.transData.inverted().transform(places)
        for name, (x, y), kind in zip(labels, places, kinds, strict=True):
            colour = colours[kind]
            axes.text(x, y, name, color=colour, ha="center", va="center", parse_math=False)
        for kind, colour in colours.items():
            if kind in kinds:
                axes.plot([], [], "o", color=colour, label=kind, markersize=5)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, handletextpad=0.1)
        return _drawn(figure, "characters", label)


def _power_of_ten(value: float) -> str:
    """Return a number of a logarithmic axis as text; Matplotlib's own would be a formula."""
    return "10" + str(round(math.log10(value))).translate(SUPERSCRIPTS)


def _limit_ticks(axes: "Axes", most_x: int, most_y: int) -> None:
    axes.locator_params(axis="x", nbins=most_x)
    axes.locator_params(axis="y", nbins=most_y)


def _apart(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Push points (n, 2) apart that are closer than `LETTERS_APART`."""
    points = np.array(points, np.float64)
    # A little of a spiral, so that points in one place have a direction to part in.
    angles = GOLDEN_ANGLE * np.arange(len(points))
    points += NUDGE * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for _ in range(PUSHES):
        between = points[:, None] - points
        distances = np.hypot(between[..., 0], between[..., 1])
        np.fill_diagonal(distances, np.inf)
        push = np.maximum(LETTERS_APART - distances, 0) / 2 / distances
        if not push.any():
            break
        points += (push[..., None] * between).sum(axis=1) / 2
    return points


@contextmanager
def _figure(height: int) -> "Iterator[Figure]":
    """Make a figure in our style, so many points high."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own style is
        matplotlib.rcParams.update(STYLE)
        size = (WIDTH / POINTS_PER_INCH, height / POINTS_PER_INCH)
        figure = Figure(size, dpi=POINTS_PER_INCH, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def _drawn(figure: "Figure", name: str, label: str) -> str:
    """Return a figure as an element of SVG for a page of HTML."""
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = name  # or ids would differ each time
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The browser's fonts have what Matplotlib's own does not, and draw the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _element(file.getvalue(), name, label)


def _element(file: bytes, name: str, label: str) -> str:
    """Return a file of SVG as an element of HTML."""
    root = ElementTree.fromstring(file)
    for parent in list(root.iter()):
        for child in list(parent):
            # A style in a page would apply to all of it.
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    for element in root.iter():
        if (found := element.get("id")) is not None:
            if found in used:
                element.set("id", f"{name}-{found}")
            else:
                del element.attrib["id"]
        for key, value in element.attrib.items():
            if key == f"{{{XLINK}}}href":
                element.set(key, value.replace("#", f"#{name}-"))
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", f"chart {name}")
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
