"""Draw a picture of each claim from the results on file: benchmarks/pictures/*.svg.

    python benchmarks/plot.py [--only sampling batch ...] [--png FOLDER]

Every machine that has results for a picture gets a panel of its own. The ground is white, so that
pictures can be read on light and on dark pages; colours are Okabe and Ito's, which colour-blind
readers tell apart, and each comes with a marker or a hatching of its own.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from harness import results
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from page import short_name

PICTURES = Path(__file__).parent / "pictures"
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
MARKERS = "osD^vP"
HATCHES = ["", "///", "xx"]
TEXT = "tinyshakespeare.txt"
NANOGPT = [
    (74, 1.886, "nanoGPT's CPU recipe, measured on two cores of an Intel Xeon"),
    (180, 1.88, "nanoGPT's CPU recipe, published: about 3 min on a laptop"),
    (180, 1.4697, "nanoGPT's best, published: about 3 min on an A100 GPU"),
]
"""Seconds and nats of what its README gives for tinyshakespeare, and of its CPU recipe here."""

Row = Mapping[str, Any]
Draw = Callable[[Axes, Sequence[Row]], None]


def main() -> None:
    """Draw and write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--only", nargs="+", choices=[*CLAIMS], default=[*CLAIMS])
    options.add_argument("--png", type=Path, help="also write them there as PNG, to look at")
    chosen = options.parse_args()
    mpl.rcParams.update(
        {
            "font.size": 9,
            "svg.fonttype": "none",
            "svg.hashsalt": "chargen",
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    PICTURES.mkdir(exist_ok=True)
    for name in chosen.only:
        figure = CLAIMS[name]()
        if figure is None:
            print(f"{name}: no results on file")
            continue
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
        if chosen.png:
            figure.savefig(chosen.png / f"{name}.png", dpi=110)
        plt.close(figure)


def panels(
    parts: Sequence[tuple[str, str, Draw]], *, height: Callable[[Sequence[Row]], float]
) -> Figure | None:
    """A panel for each part and each machine that has results for it.

    Args:
        parts: the name of a result, a title, and what draws its rows.
        height: of a panel with such rows, in inches.
    """
    shown = [
        (title, short_name(content["machine"]), draw, content["rows"])
        for name, title, draw in parts
        for content in results(name).values()
    ]
    if not shown:
        return None
    heights = [height(rows) for *_, rows in shown]
    figure, grid = plt.subplots(
        len(shown),
        1,
        figsize=(8, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for axes, (title, machine, draw, rows) in zip(grid[:, 0], shown, strict=True):
        draw(axes, rows)
        axes.set_title(f"{title}: {machine}", fontsize=9)
    return figure


def by_row(rows: Sequence[Row]) -> float:
    """Inches for a line of each row."""
    return 1.0 + 0.24 * len(rows)


def fixed(_: Sequence[Row]) -> float:
    """Inches for curves."""
    return 3.8


def dots(columns: Mapping[str, str], unit: str, key: str = "model") -> Draw:
    """Draws a line for each row, with a dot for each column: `columns` are keys and labels."""

    def draw(axes: Axes, rows: Sequence[Row]) -> None:
        places = range(len(rows))
        for k, (column, label) in enumerate(columns.items()):
            points = [
                (row[column], place)
                for place, row in zip(places, rows, strict=True)
                if isinstance(row.get(column), int | float)
            ]
            hollow = {"markerfacecolor": "white"} if k else {}
            axes.plot(
                *zip(*points, strict=True),
                MARKERS[k],
                color=COLOURS[k],
                label=label,
                zorder=4 - k / 10,
                **hollow,
            )
        axes.set_yticks(list(places), [str(row[key]) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        logarithmic(axes.xaxis, axes.set_xscale)
        axes.set_xlabel(unit)
        axes.grid(visible=True, axis="x", alpha=0.3)
        axes.grid(visible=True, axis="y", alpha=0.15)
        beside(axes)

    return draw


def beside(axes: Axes) -> None:
    """The legend, where it covers nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def logarithmic(axis: Any, set_scale: Callable[[str], None]) -> None:
    """A scale of powers with ticks at 1, 2 and 5, written out."""
    set_scale("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axis.set_minor_locator(mpl.ticker.NullLocator())


def written(value: float) -> str:
    """A number as people write it."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def draw_batch(axes: Axes, rows: Sequence[Row]) -> None:
    """Characters a second against texts."""
    for k, row in enumerate(rows):
        speeds = {int(key): value for key, value in row.items() if key.isdigit()}
        axes.plot(
            list(speeds),
            list(speeds.values()),
            f"{MARKERS[k % 6]}-",
            color=COLOURS[k % 6],
            markersize=4,
            label=row["model"],
        )
    axes.set_xscale("log")
    axes.set_xticks(list(speeds), list(map(str, speeds)))
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    logarithmic(axes.yaxis, axes.set_yscale)
    axes.set(xlabel="texts side by side", ylabel="characters a second")
    axes.grid(visible=True, alpha=0.3)
    beside(axes)


def draw_exactness(axes: Axes, rows: Sequence[Row]) -> None:
    """How far the two ways of computing are apart."""
    dots(
        {
            "largest difference of a logit": "the largest of 64 texts",
            "median over texts of the largest": "of the median text",
        },
        "largest difference of a logit, together and alone",
        "checkpoint",
    )(axes, rows)


def draw_same_text(axes: Axes, rows: Sequence[Row]) -> None:
    """The share of texts that differ, by what they differ from."""
    columns = {
        "differ with other threads": "with other threads",
        "differ from the same text alone": "from the same text alone",
        "not explained by rounding": "not explained by rounding",
    }
    for k, (column, label) in enumerate(columns.items()):
        places = [place + 0.25 * (k - 1) for place in range(len(rows))]
        shares = [100 * row[column] / row["texts"] for row in rows]
        style = {"color": COLOURS[k], "hatch": HATCHES[k], "edgecolor": "white"}
        axes.barh(places, shares, height=0.22, label=label, **style)
        for place, share, row in zip(places, shares, rows, strict=True):
            axes.text(share, place, f" {row[column]:,}", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [row["BLAS kernels"] for row in rows])
    axes.set(xlabel="% of all texts", ylim=(len(rows) - 0.4, -0.6))
    beside(axes)


def draw_overhead(axes: Axes, rows: Sequence[Row]) -> None:
    """What surrounds a step."""
    named = [row | {"model": f"{row['model']}, batch {row['batch']}"} for row in rows]
    columns = {"bare step, ms": "bare step", "in a run, ms": "in a run"}
    dots(columns, "milliseconds a step")(axes, named)


def draw_quality() -> Figure | None:
    """Validation loss against seconds, a curve per budget and cell, of the first random seed."""
    measured = results("quality_runs")
    if not measured:
        return None
    figure, grid = plt.subplots(
        len(measured), 1, figsize=(9, 4.4 * len(measured)), layout="constrained", squeeze=False
    )
    for axes, content in zip(grid[:, 0], measured.values(), strict=True):
        runs = [run for run in content["rows"] if run["text"] == TEXT and run["budget"]]
        first = min((run["seed"] for run in runs), default=1)
        shown = sorted(
            (run for run in runs if run["seed"] == first),
            key=lambda run: (round(run["seconds"] / 20), run["nats"]),
        )
        for k, run in enumerate(shown):
            label = f"chargen, {run['network']}, --budget {run['budget']}: {run['nats']:.3f}"
            curve = list(zip(*run["curve"], strict=True))
            style = f"{MARKERS[k % 6]}-"
            axes.plot(*curve, style, color=COLOURS[k % 6], markersize=3, label=label)
        for (seconds, nats, label), marker in zip(NANOGPT, "X*p", strict=True):
            axes.plot(seconds, nats, marker, color="black", label=f"{label}: {nats:.3f}", ls="none")
        logarithmic(axes.xaxis, axes.set_xscale)
        axes.set(xlabel="seconds of the whole command", ylabel="nats per held-out character")
        axes.set(ylim=(1.35, 2.4))
        machine = short_name(content["machine"])
        axes.set_title(f"{TEXT}, the last tenth held out: {machine}", fontsize=9)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def draw_kinds(axes: Axes, rows: Sequence[Row]) -> None:
    """Validation loss of each text in 74 seconds, of the first random seed."""
    first = min(row["seed"] for row in rows)
    shown = [row for row in rows if (row["budget"], row["seed"]) == ("74s", first)]
    named = [
        row | {"text": f"{row['text']} ({row['kind']}, {row['script']})"}
        for row in sorted(shown, key=lambda row: row["nats"])
        if not row["options"]
    ]
    columns = {"nats": "chargen", "GPT nats": "small GPT", "best n-grams": "n-grams"}
    dots(columns, "nats per held-out character", "text")(axes, named)


def draw_memory(axes: Axes, rows: Sequence[Row]) -> None:
    """Peak memory against the length of the text, a line for each kind of text."""
    size, unit = ("text, MB", "MB") if "text, MB" in rows[0] else ("MB", "GB")
    peak = f"peak memory, {unit}"
    kinds = dict.fromkeys(row.get("text") for row in rows)
    for kind, colour, marker in zip(kinds, COLOURS, MARKERS, strict=False):
        points = [(row[size], row[peak]) for row in rows if row.get("text") == kind]
        axes.plot(*zip(*points, strict=True), f"{marker}-", color=colour, label=kind)
        for point in points:
            label = f"{point[1]:,.3g}"
            axes.annotate(label, point, (0, 7), textcoords="offset points", ha="center")
    if len(kinds) > 1:
        axes.legend(loc="lower right")
    axes.set(xlabel="text, MB", ylabel=peak, ylim=(0, max(row[peak] for row in rows) * 1.25))
    logarithmic(axes.xaxis, axes.set_xscale)
    axes.margins(x=0.12)
    axes.grid(visible=True, alpha=0.3)


def draw_saving(axes: Axes, rows: Sequence[Row]) -> None:
    """Shares of a run's time."""
    left = [0.0] * len(rows)
    for k, part in enumerate(("state", "best weights", "history")):
        seconds = [float(row[f"{part} (times)"].split()[0]) for row in rows]
        share = [100 * value / row["seconds"] for value, row in zip(seconds, rows, strict=True)]
        axes.barh(
            range(len(rows)),
            share,
            left=left,
            color=COLOURS[k],
            hatch=HATCHES[k],
            edgecolor="white",
            height=0.5,
            label=part,
        )
        left = [a + b for a, b in zip(left, share, strict=True)]
    axes.set_yticks(range(len(rows)), [row["network"] for row in rows])
    axes.set(xlabel="% of the run's time", ylim=(len(rows) - 0.4, -0.6))
    beside(axes)


def bars(column: str, key: str, unit: str) -> Draw:
    """Draws a bar for each row, with its number."""

    def draw(axes: Axes, rows: Sequence[Row]) -> None:
        values = [row[column] for row in rows]
        places = list(range(len(rows)))
        axes.barh(places, values, color=COLOURS[0], height=0.55)
        for place, value in zip(places, values, strict=True):
            text = f" {value:,.0f}" if value >= 100 else f" {value:,.3g}"
            axes.text(value, place, text, va="center")
        axes.set_yticks(places, [str(row[key]).replace(" (", "\n(") for row in rows])
        axes.set(xlabel=unit, xlim=(0, max(values) * 1.25), ylim=(len(rows) - 0.4, -0.6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))

    return draw


RIVALS = {"chargen": "chargen", "PyTorch": "PyTorch"}
BARE = {"bare products": "bare products"}
LEARNING = {
    "chargen bfloat16": "chargen bfloat16",
    "float32": "chargen float32",
    "PyTorch bfloat16": "PyTorch bfloat16",
    "PyTorch float32": "PyTorch float32",
    "Keras": "Keras' layers",
}
CLAIMS: dict[str, Callable[[], Figure | None]] = {
    "sampling": lambda: panels(
        [("sampling", "One text", dots(RIVALS | BARE, "characters a second"))], height=by_row
    ),
    "batch": lambda: panels([("batch", "Many texts", draw_batch)], height=fixed),
    "same_text": lambda: panels(
        [
            ("same_text", "Texts that differ", draw_same_text),
            ("batch_exactness", "Rounding, together and alone", draw_exactness),
        ],
        height=by_row,
    ),
    "scoring": lambda: panels(
        [
            ("scoring", "In the midst of a text", dots(RIVALS, "characters a second")),
            (
                "scoring_whole",
                "A whole process, 111,540 characters",
                dots({f"{k}, seconds": k for k in ("chargen", "PyTorch", "Keras")}, "seconds"),
            ),
        ],
        height=by_row,
    ),
    "startup": lambda: panels(
        [
            (
                "startup",
                "Start-up",
                dots({"ms": "chargen", "its ms": "imports, or the file"}, "ms", "command"),
            )
        ],
        height=by_row,
    ),
    "training": lambda: panels(
        [("training", "Learning", dots(LEARNING, "characters a second"))], height=by_row
    ),
    "training_overhead": lambda: panels(
        [("training_overhead", "Around the steps", draw_overhead)], height=by_row
    ),
    "quality": draw_quality,
    "kinds": lambda: panels([("kinds_runs", "In 74 seconds", draw_kinds)], height=by_row),
    "memory": lambda: panels(
        [
            ("scoring_memory", "chargen evaluate on a pipe", draw_memory),
            ("memory", "chargen train", draw_memory),
        ],
        height=fixed,
    ),
    "saving": lambda: panels([("saving", "Saving", draw_saving)], height=by_row),
    "bulk": lambda: panels(
        [
            (
                "bulk_names",
                "10,000 names, the whole command",
                bars("seconds", "10,000 names", "seconds"),
            ),
            (
                "bulk_guards",
                "One text with guards",
                bars("characters/s", "guard", "characters a second"),
            ),
            (
                "bulk_copies",
                "Longest copy in a million characters",
                bars("longest copy", "guard", "characters"),
            ),
        ],
        height=by_row,
    ),
}

if __name__ == "__main__":
    main()
