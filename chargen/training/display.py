"""What a person sees of a training run on standard error. With `panel`, the only user of Rich."""

import shlex
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from chargen.checkpoint.architecture import title
from chargen.plain import NATS_PER_BIT, clock, counted, visible
from chargen.training.defaults import SMALLEST_SPLIT
from chargen.training.events import (
    COPIED_LENGTH,
    Evaluated,
    Event,
    Noted,
    Progressed,
    Recovered,
    Started,
    Stopped,
    TextRead,
)
from chargen.training.panel import Panel, progress_bar

__all__ = ["TrainingDisplay", "steps_of"]

SAMPLE_SHOWN = 80
"""Characters shown of an evaluation's sample: what fits on a line."""
MUCH_COPIED = 0.25
"""The share of copied characters from which on a person would see that the text repeats another."""
MORE_COPIED = 1.5
"""How many times the share of the held-out text that must be. Passages of prose hardly ever recur,
while those of music, tables and source code do."""
REFRESH_SECONDS = 1.0
"""The time between two drawings of the panel, which take some milliseconds of the run's time."""
REPEATED = 8
"""Evaluations shown again when the terminal has changed its size, and all is drawn anew."""
LONGER = {
    "finished": "more --epochs",
    "budget": "a larger --budget",
    "patience": "a larger --patience",
}
"""What makes a run that ended for a reason go on."""
ROW = "{epoch:>6} {step:>9} {throughput:>8}  {train:>6} {validation:>8}  {accuracy:>8} {left:>7}"
HEADER = ROW.format(
    epoch="epoch",
    step="step",
    throughput="char/s",
    train="train",
    validation="held out",
    accuracy="accuracy",
    left="left",
)


class TrainingDisplay:
    """Shows a run: one line per evaluation, with a short sample, and a panel on a terminal."""

    def __init__(self) -> None:
        terminal = sys.stderr.isatty()
        # Rich would take FORCE_COLOR for a terminal, and a pipe would get its control codes.
        self._console = Console(stderr=True, force_terminal=terminal, soft_wrap=not terminal)
        self._live: Live | None = None
        self._panel: Panel | None = None
        self._size = self._console.size
        self._drawn_at = 0.0
        self._rows: list[Text] = []  # the newest evaluations
        self._run: Started | None = None
        self._told_of_reading = False

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._show_live(Text("starting"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        if kind in (KeyboardInterrupt, SystemExit) and self._run is None:
            self._print("stopped before the first step: nothing was saved")

    def report(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Noted():
                self._print(visible(event.sentence))
            case TextRead():
                self._show_reading(event)
            case Started():
                self._run = event
                self._show_start(event)
            case Progressed():
                if self._panel:
                    self._panel.progressed(event)
                    self._redraw()
            case Evaluated():
                self._show_evaluation(event)
            case Recovered():
                if self._panel:
                    self._panel.recovered(event)
                older = event.weights_of < event.back_to
                weights = f"the weights of step {event.weights_of:,} and " if older else ""
                self._print(
                    f"diverged at step {event.step:,}: continuing from step {event.back_to:,} with "
                    f"{weights}{event.rate_factor:g} of the learning rate",
                    "yellow",
                )
            case Stopped():
                self._show_end(event)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), highlight=False)

    def _show_reading(self, event: TextRead) -> None:
        read = f"{event.read / 1e6:,.0f}"
        if self._live is None:
            if not self._told_of_reading:
                self._told_of_reading = True
                size = "a long" if event.size is None else f"{event.size / 1e6:,.0f} MB of"
                self._print(f"reading {size} text")
        elif event.read == event.size:
            self._live.update(Text("starting"), refresh=True)
        elif event.size is None:
            self._live.update(Text(f"reading the text  {read} MB"), refresh=True)
        else:
            bar = progress_bar(event.read / event.size, self._console.size.width)
            figures = (
                f"  {100 * event.read / event.size:.0f} %  {read} of {event.size / 1e6:,.0f} MB"
            )
            self._live.update(Text.assemble("reading the text  ", *bar, figures), refresh=True)

    def _show_start(self, event: Started) -> None:
        checkpoint, training = event.checkpoint, event.checkpoint.training
        corpus = checkpoint.corpus
        held_out = f"{corpus.validation_characters:,} held out"
        self._print(
            f"{corpus.characters:,} characters, {len(checkpoint.vocabulary):,} distinct; "
            f"{corpus.train_characters:,} to learn from, {held_out}"
        )
        if corpus.characters < SMALLEST_SPLIT and not corpus.validation_characters:
            self._print(
                "so short a text is memorised, and samples will repeat it: add more text; with "
                f"{SMALLEST_SPLIT:,} characters a tenth is held out to judge by",
                "yellow",
            )
        self._print(f"{title(checkpoint.model)}, {event.parameters:,} parameters")
        if training.budget is None:
            self._print(steps_of(event))
        else:  # the epochs are only a limit, mostly a far one
            steps = counted(event.epoch_steps, "step")
            self._print(f"{clock(training.budget)} in all; {steps} an epoch, {_windows_of(event)}")
        if event.first_step:
            self._print(f"resuming at step {event.first_step:,} of {event.total_steps:,}")
        if corpus.validation_characters:
            which = "on the held-out text\n* marks the best so far, whose weights are kept"
        else:
            which = "on the training text"
        self._print(f"train and held out are bits per character; accuracy is {which}", "dim")
        self._print(HEADER, "dim")
        if self._live:
            self._panel = Panel(event, checkpoint.history() if event.first_step else ())
            self._live.update(self._panel, refresh=True)

    def _show_live(self, shown: Panel | Text) -> None:
        # Its own refreshing, in a thread, would take time from the steps. In the place of standard
        # output, Rich would put a file that some of its versions say is no terminal.
        self._live = Live(
            shown,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            transient=True,
        )
        self._live.start(refresh=True)

    def _redraw(self) -> None:
        """Draw the panel, if it is time to."""
        assert self._live is not None
        assert self._panel is not None
        now = time.monotonic()
        if now - self._drawn_at < REFRESH_SECONDS:
            return
        self._drawn_at = now
        if self._console.size != self._size:  # lines now break elsewhere, and cannot be taken back
            self._size = self._console.size
            self._live.stop()
            self._console.control(Control.home(), Control(ControlType.CLEAR))
            self._print(HEADER, "dim")
            for row in self._rows:
                self._console.print(row, highlight=False, no_wrap=True, overflow="crop")
            self._show_live(self._panel)
        self._live.refresh()

    def _show_evaluation(self, event: Evaluated) -> None:
        record = event.record
        validation = record["validation_bits"]
        accuracy = record["train_accuracy"] if validation is None else record["validation_accuracy"]
        row = ROW.format(
            epoch=f"{record['epoch']:.1f}",
            step=f"{record['step']:,}",
            throughput=f"{event.characters_per_second:,.0f}",
            train=f"{record['train_nats'] / NATS_PER_BIT:.3f}",
            validation="-" if validation is None else f"{validation:.3f}",
            accuracy=f"{accuracy:.3f}",
            left=clock(event.seconds_left),
        )
        line = Text(row)
        line.append(" * " if record["best"] and validation is not None else "   ", "bold green")
        line.append(visible(event.sample)[:SAMPLE_SHOWN], "dim italic")
        if self._console.is_terminal:
            self._rows = [*self._rows, line][-REPEATED:]
            if self._panel:
                self._panel.evaluated(event)
            self._console.print(line, highlight=False, no_wrap=True, overflow="crop")
        else:
            self._console.print(line, highlight=False)  # a file's lines have no edge to end at

    def _show_end(self, event: Stopped) -> None:
        if event.best and event.best["validation_bits"] is not None:
            best = (
                f"; best: {event.best['validation_bits']:.3f} bits per character at step "
                f"{event.best['step']:,}"
            )
        else:
            best = ""
        path = shlex.quote(str(event.path))
        match event.reason:
            case "finished":
                self._print(f"finished in {clock(event.seconds)}{best}")
            case "budget" if event.step == 0:
                self._print("time was up before the first step, so nothing was learned")
            case "budget":
                self._print(
                    f"time is up after {clock(event.seconds)}, at step {event.step:,}{best}"
                )
            case "patience":
                self._print(f"stopped at step {event.step:,}: no longer improving{best}")
            case "interrupted":
                self._print(
                    f"stopped at step {event.step:,} and saved{best}; resume with: "
                    f"chargen train --resume -o {path}"
                )
        # A run with nothing left to do may end without a start.
        first_step = event.step if self._run is None else self._run.first_step
        if event.step == first_step and event.reason in LONGER:
            why = "nothing was left to do" if event.step else "starting took all of it"
            again = "to train on" if event.step else "to train"
            self._print(f"{why}; {again}, give {LONGER[event.reason]}", "yellow")
        self._show_comparison(event)
        self._show_copying(event)
        if event.reason != "interrupted":
            self._print(f"write text with: chargen sample -c {path}")

    def _show_comparison(self, event: Stopped) -> None:
        """Say what the model has learned beyond what a count of the text knows."""
        run, best = self._run, event.best
        if run is None or best is None or best["validation_bits"] is None:
            return
        if run.unigram_bits is None or run.sixgram_bits is None:
            return
        bits = best["validation_bits"]
        self._print(
            f"bits per held-out character: this model {bits:.3f}, 6-grams {run.sixgram_bits:.3f}, "
            f"frequencies alone {run.unigram_bits:.3f}"
        )
        if bits >= run.sixgram_bits:
            more = (
                f"{run.checkpoint.corpus.train_characters:,} characters are little to learn from: "
                "add more text"
                if event.reason in ("finished", "patience")
                else "train longer"
            )
            self._print(f"6-grams, which only count, predict the text better: {more}", "yellow")

    def _show_copying(self, event: Stopped) -> None:
        """Say so if the model repeats its text more than the held-out part does."""
        share, usual = event.copied, event.usual
        if (
            self._run is None
            or share is None
            or share < max(MUCH_COPIED, MORE_COPIED * (usual or 0))
        ):
            return
        beside = "" if usual is None else f" (of the held-out text {usual:.0%})"
        self._print(
            f"memorised: {share:.0%} of what it writes stands word for word in the text learned "
            f"from{beside}; more text helps, and sample --max-copy {COPIED_LENGTH} avoids it",
            "yellow",
        )


def steps_of(run: Started) -> str:
    """Return how many steps a run takes, and what each learns from."""
    epochs = counted(run.checkpoint.training.epochs, "epoch")
    return f"{epochs} of {counted(run.epoch_steps, 'step')}, {_windows_of(run)}"


def _windows_of(run: Started) -> str:
    model, training = run.checkpoint.model, run.checkpoint.training
    windows = counted(training.batch_size, "window")
    return f"each of {windows} of {counted(model.window, 'character')}"
