"""The panel that a terminal shows below a run's lines."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_checkpoint
from rich.console import Console

from chargen.training.events import Evaluated, Progressed, Recovered, Started
from chargen.training.panel import LEAST_LINES, Panel

EPOCHS, EPOCH_STEPS = 10, 100
SGR = re.compile(r"\x1b\[[\d;]*m")
BRAILLE = re.compile("[\u2801-\u28ff]")

MakePanel = Callable[..., Panel]


@pytest.fixture
def panel(tmp_path: Path) -> MakePanel:
    """Make the panel of a run that has been evaluated so often, earlier or in this session."""

    def make(evaluations: int, earlier: int = 0, after: int = 0, **figures: Any) -> Panel:
        checkpoint = make_checkpoint(tmp_path / "ck")
        run = Started(
            replace(checkpoint, training=replace(checkpoint.training, epochs=EPOCHS)),
            9,
            earlier * EPOCH_STEPS,
            EPOCH_STEPS,
            EPOCHS * EPOCH_STEPS,
            unigram_bits=4.25,
            sixgram_bits=2.0,
        )
        history = [record(number, **figures) for number in range(1, earlier + after + 1)]
        made = Panel(run, history)
        for number in range(earlier + 1, evaluations + 1):
            made.progressed(progressed(number * EPOCH_STEPS - 1))
            line = record(number, **figures)
            made.evaluated(Evaluated(line, line["sample"], 1e5, 10.0))
        return made

    return make


def record(number: int, sample: str = "the heron", **figures: Any) -> dict[str, Any]:
    """A line of the history; the third is the best."""
    return {
        "step": number * EPOCH_STEPS,
        "epoch": float(number),
        "train_nats": 3 / number,
        "validation_bits": 5 - number if number < 4 else number,
        "sample": f"{number}: {sample}",
    } | figures


def progressed(step: int, seconds_left: float = 26.0) -> Progressed:
    fraction = step / EPOCHS / EPOCH_STEPS
    return Progressed(step, step / EPOCH_STEPS, fraction, 1.5, 0.82, 104_191.0, seconds_left)


def shown(panel: Panel, width: int = 80, height: int = 30) -> list[str]:
    """The lines on a terminal of that size, with their escape sequences."""
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, force_terminal=True)
    console.print(panel)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_each_line_fits_the_terminal(panel: MakePanel, width: int):
    made = panel(5, sample="\N{GREEK SMALL LETTER ALPHA}" * 100)
    made.progressed(progressed(550))
    lines = [SGR.sub("", line) for line in shown(made, width)]
    assert max(map(len, lines)) <= width
    assert len(lines) <= LEAST_LINES


def test_the_figures_are_those_of_the_run(panel: MakePanel):
    made = panel(5)
    made.progressed(progressed(550))
    page = SGR.sub("", "\n".join(shown(made)))
    for part in (
        "epoch 5.5/10",
        "55 %",
        "0:26 left",
        "104,191 char/s",
        "2.164 bits",
        "0.82, clipped at 1",
        "5.000 bits",
        "2.000 at step 300",
        "6-grams  2.000 bits",
    ):
        assert part in page
    assert BRAILLE.search(page)


def test_the_text_of_the_start_stands_beside_that_of_now(panel: MakePanel):
    first, now = [SGR.sub("", line) for line in shown(panel(4))[-2:]]
    assert first == "at first 1: the heron"
    assert now == "now      4: the heron"


def test_a_text_of_wide_characters_is_cut_between_them(panel: MakePanel):
    lines = [SGR.sub("", line) for line in shown(panel(1, sample="\u6c34" * 60))[-2:]]
    assert lines[0] == "at first 1: " + "\u6c34" * 33
    assert lines[1].split() == ["\u6c34" * 27]


def test_a_text_is_shown_as_it_is(panel: MakePanel):
    sample = "[bold]x[/bold] <b>\x1b[31m\n\u05d0"
    page = "\n".join(shown(panel(1, sample=sample)))
    assert "[bold]x[/bold] <b>\\x1b[31m\N{RETURN SYMBOL}\u05d0" in page


def test_lines_that_a_killed_run_will_write_again_are_not_shown(panel: MakePanel):
    made, again = panel(3, earlier=3), panel(3, earlier=3, after=2)
    for each in (made, again):
        each.progressed(progressed(301))
    assert shown(made) == shown(again)


def test_a_run_that_goes_back_loses_what_came_after(panel: MakePanel):
    made = panel(5)
    made.recovered(Recovered(550, 350, 350, 0.5))
    made.progressed(progressed(350))
    again = panel(3)
    again.progressed(progressed(350))
    assert shown(made) == shown(again)


def test_a_resumed_run_has_the_curve_of_before(panel: MakePanel):
    pages = []
    for earlier in (0, 3):
        made = panel(4, earlier=earlier)
        made.progressed(progressed(450))
        pages.append(shown(made))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(("width", "height"), [(80, LEAST_LINES - 1), (50, 40)])
def test_a_small_terminal_has_the_bar_alone(panel: MakePanel, width: int, height: int):
    made = panel(2)
    (line,) = shown(made, width, height)
    assert line.startswith("epoch 2.0/10")


def test_before_the_first_step_there_is_a_line(panel: MakePanel):
    assert shown(panel(0)) == ["epoch 0.0/10  compiling"]


def test_where_nothing_is_held_out_only_the_training_is_shown(panel: MakePanel):
    page = SGR.sub("", "\n".join(shown(panel(3, validation_bits=None))))
    assert "held out" not in page
    assert "best" not in page
    assert BRAILLE.search(page)
