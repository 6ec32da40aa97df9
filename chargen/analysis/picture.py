"""A picture of how far learning reaches, as a file."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chargen.analysis.reach import LayerReach
from chargen.checkpoint.atomic import replace_file
from chargen.errors import OptionError
from chargen.installation import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FORMATS", "ReachCurve", "check_picture", "draw_reach"]

FORMATS = (".png", ".svg", ".pdf")
"""What the name of a picture may end with."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that also colour-blind readers tell apart: Okabe and Ito 2008, the lightest left out."""
INCHES, DOTS_PER_INCH = (8.0, 5.0), 150
"""The size at which text of 10 points is well read, and 1,200 dots in width, which is sharp on a
page and on a screen."""
LEGEND_COLUMNS = 3
"""So many names of usual length stand side by side in the width."""
BAND = 0.15
"""How strong the colour is between the quartiles, through which the other curves must show."""


@dataclass(frozen=True)
class ReachCurve:
    """A curve of the picture.

    Attributes:
        name: what the legend calls it.
        layer: the norms.
        network: the number of the network, which has one colour.
        trained: whether the line is solid; otherwise it is dashed.
        clip_factor: what clipping multiplies the norms by; if it is below 1, they are drawn with
            clipping too, as a dotted line.
    """

    name: str
    layer: LayerReach
    network: int
    trained: bool
    clip_factor: float | None


def check_picture(path: Path) -> None:
    """Refuse a picture that cannot be drawn, before minutes of computing find that out.

    Raises:
        ChargenError: matplotlib is not installed.
        OptionError: the name does not say which kind of picture it is to be.
    """
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"--output must end in {', '.join(FORMATS)}; found {str(path)!r}")
    require("drawing a picture", ["matplotlib"], "report")


def draw_reach(curves: Sequence[ReachCurve], path: Path) -> None:
    """Draw the norms over the steps back, on a logarithmic axis, with bands between the quartiles.

    Args:
        curves: one or more.
        path: the file to write, of one of `FORMATS`.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    # What a user has set for plots of their own might not suit this one, or not even be there.
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "chargen"  # the same picture is the same file
        # Names are data, and may hold characters that no installed font has.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(INCHES, DOTS_PER_INCH, layout="constrained")
        axes = figure.add_subplot()
        lines = [line for curve in curves for line in _draw(axes, curve)]
        axes.set_yscale("log")
        axes.set_xlabel("steps back")
        axes.set_ylabel("norm of the derivative")
        axes.set_title("The derivative of the loss by the state so many steps before")
        axes.grid(visible=True, alpha=0.3)
        legend = figure.legend(
            [line for line, _ in lines],
            [name for _, name in lines],
            loc="outside lower center",
            ncols=LEGEND_COLUMNS,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # a name may hold dollar signs
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        metadata: Any = dates.get(path.suffix.lower())
        replace_file(path, lambda file: figure.savefig(file, metadata=metadata))


def _draw(axes: "Axes", curve: ReachCurve) -> list[tuple[Any, str]]:
    """Draw a curve; return its lines, each with its name."""
    layer, colour = curve.layer, COLOURS[curve.network % len(COLOURS)]
    steps = np.arange(len(layer.norms))
    lower, middle, upper = (_drawn(each) for each in (layer.lower, layer.norms, layer.upper))
    axes.fill_between(steps, lower, upper, color=colour, alpha=BAND, linewidth=0)
    (line,) = axes.plot(steps, middle, color=colour, linestyle="-" if curve.trained else "--")
    lines = [(line, curve.name)]
    if curve.clip_factor is not None and curve.clip_factor < 1:
        (line,) = axes.plot(steps, middle * curve.clip_factor, color=colour, linestyle=":")
        lines.append((line, f"{curve.name}, clipped"))
    return lines


def _drawn(norms: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """Return norms with NaN for what a logarithmic axis has no place for."""
    return np.where((norms > 0) & np.isfinite(norms), norms, np.nan)
