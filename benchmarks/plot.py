"""Draw the results of `sampling.py` and `batch.py`: speed against units, and against streams.

python benchmarks/plot.py        # writes benchmarks/speed.svg
"""

import json

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from harness import RESULTS
from matplotlib.ticker import FuncFormatter, LogLocator

RIVALS = {"chargen": "o-", "PyTorch": "s--", "bare products": ".:"}


def rows(name: str) -> dict[str, dict[str, float]]:
    """The rows of a result by model."""
    return {row["model"]: row for row in json.loads((RESULTS / f"{name}.json").read_text())["rows"]}


def main() -> None:
    """Draw and write."""
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "chargen"})
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
