"""Draw the results of `sampling.py` and `batch.py`, and those of `quality.py`.

python benchmarks/plot.py        # writes benchmarks/speed.svg and benchmarks/quality.svg
"""

import json

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from harness import RESULTS
from matplotlib.ticker import FuncFormatter, LogLocator

RIVALS = {"chargen": "o-", "PyTorch": "s--", "bare products": ".:"}


TEXT = "tinyshakespeare.txt"
NANOGPT = [
    (74, 1.886, "nanoGPT's CPU recipe, measured on two such cores"),
    (180, 1.88, "nanoGPT's CPU recipe, published: about 3 min on a laptop"),
    (180, 1.4697, "nanoGPT's best, published: about 3 min on an A100 GPU"),
]
"""Seconds and nats of what its README gives for tinyshakespeare, and of its CPU recipe here."""


def rows(name: str) -> dict[str, dict[str, float]]:
    """The rows of a result by model."""
    return {row["model"]: row for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"]}


def main() -> None:
    """Draw and write."""
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "chargen"})
    draw_speed()
    draw_quality()


def draw_quality() -> None:
    """Validation loss against seconds, a curve a budget and cell, from the seed that came first."""
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    runs = json.loads((RESULTS / "quality.json").read_text())["rows"]
    shown = [run for run in runs if run["text"] == TEXT and run["seed"] == 1 and run["budget"]]
    for run in sorted(shown, key=lambda run: (run["seconds"], run["nats"])):
        label = f"chargen, {run['network']}, --budget {run['budget']}: {run['nats']:.3f}"
        axes.plot(*zip(*run["curve"], strict=True), "o-", markersize=2.5, label=label)
    for (seconds, nats, label), marker in zip(NANOGPT, "sDv", strict=True):
        axes.plot(seconds, nats, marker, color="black", label=f"{label}: {nats:.3f}")
    axes.set(
        xscale="log", xlabel="seconds of the whole command", ylabel="nats per held-out character"
    )
    axes.set(title=f"{TEXT}, the last tenth held out", ylim=(1.35, 2.4))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(RESULTS.parent / "quality.svg", metadata={"Date": None})


def draw_speed() -> None:
    """Sampling: characters a second against units, and against streams."""
    figure, (by_units, by_streams) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    sampling, batch = rows("sampling"), rows("batch")
    units = [u for u in (128, 256, 512) if f"lstm 1x{u}" in sampling]
    for name, style in RIVALS.items():
        speeds = [sampling[f"lstm 1x{u}"][name] for u in units]
        by_units.plot(units, speeds, style, label=name)
    by_units.set(title="One text, LSTM of one layer", xlabel="units", xticks=units)
    for model, row in batch.items():
        speeds = {int(key): value for key, value in row.items() if key.isdigit()}
        by_streams.plot(list(speeds), list(speeds.values()), "o-", markersize=3, label=model)
    by_streams.set(title="Many texts side by side", xlabel="streams", xscale="log")
    by_streams.set_xticks(list(speeds), list(map(str, speeds)))
    for axes in (by_units, by_streams):
        axes.set(ylabel="characters a second", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(RESULTS.parent / "speed.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
