"""What a terminal shows below a run's lines: curves, figures, and text then and now."""

from collections.abc import Sequence
from typing import Any

from rich.cells import chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from chargen.plain import NATS_PER_BIT, clock, visible
from chargen.plot import COLOURS, Curve, draw
from chargen.training.events import Evaluated, Progressed, Recovered, Started

__all__ = ["Panel", "progress_bar"]

BAR_WIDTH = 30
"""The most columns of the bar, beside which its figures have room on 80 columns."""
BAR_STYLE = f"color({COLOURS[0]})"
SPEED_WIDTH = 76
"""Columns of a terminal on which the speed fits beside the bar."""
PLOT_HEIGHT = 7
"""Lines of the plot, beside which the figures have room."""
AXIS_WIDTH = 15
"""Columns that the vertical axis and its labels take, and the space beside the plot."""
LABEL_WIDTH = 9
"""Columns of the names of figures and texts."""
FIGURES_WIDTH = 30
"""Columns of the figures, such as "best     1.802 at step 99,500"."""
LEAST_PLOT, MOST_PLOT = 20, 60
"""Columns that the curves may have. A narrower plot says nothing, a wider one no more."""
LEAST_LINES = 22
"""Lines of a terminal on which the panel leaves room for the lines above it; below that, and where
the plot would be too narrow, there is only the bar."""
TEXT_LINES = 2
"""Lines for each text, which on 80 columns hold all that an evaluation writes, unless its
characters are two columns wide."""
RUNNING_POINTS = 100
"""The most points that a run adds to the curve between evaluations: for each the plot is drawn,
which takes 5 ms."""


def progress_bar(fraction: float, width: int) -> list[tuple[str, str]]:
    """Return a bar for a terminal of some columns, as texts with their styles."""
    size = min(BAR_WIDTH, width // 3)
    done = round(size * fraction)
    return [
        ("\N{BOX DRAWINGS HEAVY HORIZONTAL}" * done, BAR_STYLE),
        ("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (size - done), "dim"),
    ]


class Panel:
    """Keeps what a run has reported, and draws it in as many columns and lines as there are.

    Args:
        run: the event that opened the session.
        history: the lines of the history from earlier sessions.
    """

    def __init__(self, run: Started, history: Sequence[dict[str, Any]] = ()) -> None:
        self._run = run
        # A run that was killed may have written lines that it will write again.
        earlier = [line for line in history if line["step"] <= run.first_step]
        self._lines = [line for line in earlier if line["train_nats"] is not None]
        self._running: list[tuple[float, float]] = []  # train bits since the last evaluation
        self._added_at = 0.0  # the fraction of the run at which the last of these was added
        self._progress: Progressed | None = None
        self._drawn: tuple[tuple[int, int, int], list[Text]] | None = (
            None  # the plot, which takes longest
        )

    def progressed(self, event: Progressed) -> None:
        """Take in how far the run is."""
        self._progress = event
        if not self._running or event.fraction >= self._added_at + 1 / RUNNING_POINTS:
            point = _train_point(self._last_epoch, event.epoch, event.train_nats)
            self._running.append(point)
            self._added_at = event.fraction

    def evaluated(self, event: Evaluated) -> None:
        """Take in an evaluation."""
        self._lines.append(event.record)
        self._running.clear()

    def recovered(self, event: Recovered) -> None:
        """Forget what came after the state that the run has gone back to."""
        self._lines = [line for line in self._lines if line["step"] <= event.back_to]
        self._running.clear()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the panel for the terminal as it is now."""
        width, height = console.size
        lines = [self._bar(width)]
        columns = width - AXIS_WIDTH - FIGURES_WIDTH
        if height >= LEAST_LINES and columns >= LEAST_PLOT and self._progress is not None:
            columns = min(columns, MOST_PLOT)
            plot, figures = self._plot(columns), self._figures()
            for row in range(max(len(plot), len(figures))):
                line = plot[row].copy() if row < len(plot) else Text()
                if row < len(figures):
                    line.pad_right(AXIS_WIDTH + columns - line.cell_len)
                    line.append_text(figures[row])
                lines.append(line)
            lines += self._texts(width)
        # One text: grids of Rich's would be laid out several times as long.
        yield Text("\n", no_wrap=True, overflow="crop").join(lines)

    def _bar(self, width: int) -> Text:
        run, event = self._run, self._progress
        training = run.checkpoint.training
        # With a budget the epochs are only a limit, mostly a far one.
        of_all = "" if training.budget else f"/{training.epochs}"
        if event is None:
            return Text(f"epoch {run.first_step / run.epoch_steps:.1f}{of_all}  compiling")
        speed = f"  {event.characters_per_second:,.0f} char/s" if width >= SPEED_WIDTH else ""
        return Text.assemble(
            f"epoch {event.epoch:.1f}{of_all}  ",
            *progress_bar(event.fraction, width),
            f"  {100 * event.fraction:.0f} %  {clock(event.seconds_left)} left{speed}",
        )

    @property
    def _last_epoch(self) -> float:
        """Where the last evaluation was, or the session began."""
        if self._lines:
            return float(self._lines[-1]["epoch"])
        return self._run.first_step / self._run.epoch_steps

    def _plot(self, width: int) -> list[Text]:
        key = (width, len(self._lines), len(self._running))
        if self._drawn is not None and self._drawn[0] == key:
            return self._drawn[1]
        starts = [0.0, *(line["epoch"] for line in self._lines)]
        train = [
            _train_point(start, line["epoch"], line["train_nats"])
            for start, line in zip(starts, self._lines, strict=False)
        ]
        held_out = [
            (line["epoch"], line["validation_bits"])
            for line in self._lines
            if line["validation_bits"] is not None
        ]
        curves = [
            Curve(name, *zip(*points, strict=True))
            for name, points in (("train", train + self._running), ("held out", held_out))
            if len(points) > 1
        ]
        if not curves:
            return [Text("the curves come with the first steps", "dim")]
        page = draw(curves, "", "bits by epoch", width=width, height=PLOT_HEIGHT)
        lines = [Text.from_ansi(line) for line in page.splitlines()]
        self._drawn = key, lines
        return lines

    def _figures(self) -> list[Text]:
        event, clip_norm = self._progress, self._run.checkpoint.training.clip_norm
        assert event is not None
        clipped = f", clipped at {clip_norm:g}" if clip_norm else ""
        rows = [
            ("train", f"{event.train_nats / NATS_PER_BIT:.3f} bits"),
            ("gradient", f"{event.gradient_norm:.3g}{clipped}"),
        ]
        held_out = [line for line in self._lines if line["validation_bits"] is not None]
        if held_out:
            best = min(held_out, key=lambda line: line["validation_bits"])
            rows += [
                ("held out", f"{held_out[-1]['validation_bits']:.3f} bits"),
                ("best", f"{best['validation_bits']:.3f} at step {best['step']:,}"),
            ]
        if self._run.sixgram_bits is not None:
            rows.append(("6-grams", f"{self._run.sixgram_bits:.3f} bits"))
        return [
            Text(),  # beside the name of the axis
            *(Text.assemble((name.ljust(LABEL_WIDTH), "dim"), figure) for name, figure in rows),
        ]

    def _texts(self, width: int) -> list[Text]:
        """Return the lines of the first text and of the newest one, if there are two."""
        samples = [line["sample"] for line in self._lines if line.get("sample")]
        chosen = [("at first", samples[0])] if samples else []
        chosen += [("now", samples[-1])] if len(samples) > 1 else []
        room = width - LABEL_WIDTH - 1  # the last column is left free, or some terminals wrap
        lines = []
        for name, sample in chosen:
            for row, piece in enumerate(chop_cells(visible(sample), room)[:TEXT_LINES]):
                label = "" if row else name
                lines.append(Text.assemble((label.ljust(LABEL_WIDTH), "dim"), piece))
        return lines


def _train_point(start: float, end: float, nats: float) -> tuple[float, float]:
    """Return the middle of a stretch of epochs, and the mean loss there in bits."""
    return (start + end) / 2, nats / NATS_PER_BIT
