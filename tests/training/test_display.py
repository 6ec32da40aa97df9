"""What a person sees of a training run on a terminal."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cli.conftest import on_terminal, read_to_end
from conftest import HANG, ROOT, make_checkpoint

from chargen.training.display import TrainingDisplay
from chargen.training.events import Reason, Recovered, Started, Stopped, TextRead


@pytest.mark.slow
def test_a_terminal_shows_a_bar_and_colours_unless_told_otherwise(tmp_path: Path):
    text = str(ROOT / "corpora" / "tunes.abc")
    arguments = ["train", text, "-o", "ck", "--units", "8", "--epochs", "3", "--force"]
    output, shown = on_terminal(arguments, tmp_path)
    assert output == b"ck\n"
    assert b"\x1b[?25l" in shown, "no bar: the cursor was not hidden"
    assert b"\x1b[1;32m" in shown
    plain = on_terminal(arguments, tmp_path, NO_COLOR="1")[1]
    assert b"\x1b[1;32m" not in plain


@pytest.mark.parametrize(("characters", "warned"), [(999, True), (1_000, False)])
def test_a_text_that_will_be_memorised_is_called_too_short(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], characters: int, warned: bool
):
    checkpoint = make_checkpoint(tmp_path / "ck")
    corpus = replace(checkpoint.corpus, characters=characters)
    with TrainingDisplay() as display:
        display.report(
            Started(
                replace(checkpoint, corpus=corpus),
                9,
                0,
                5,
                10,
                unigram_bits=None,
                sixgram_bits=None,
            )
        )
    assert ("so short a text is memorised" in capfd.readouterr().err) == warned


@pytest.mark.parametrize(
    ("budget", "shown"),
    [
        (None, "4,651 epochs of 5 steps, each of 2 windows of 16 characters"),
        (60.0, "1:00 in all; 5 steps an epoch, each of 2 windows of 16 characters"),
    ],
)
def test_where_time_ends_a_run_its_epochs_are_not_promised(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], budget: float | None, shown: str
):
    checkpoint = make_checkpoint(tmp_path / "ck", window=16)
    training = replace(checkpoint.training, epochs=4651, batch_size=2, budget=budget)
    checkpoint = replace(checkpoint, training=training)
    with TrainingDisplay() as display:
        display.report(Started(checkpoint, 9, 0, 5, 10, unigram_bits=None, sixgram_bits=None))
    assert shown in capfd.readouterr().err.splitlines()


def closing_lines(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    reason: Reason,
    bits: float,
    *shares: float | None,
    first_step: int = 0,
    step: int = 10,
) -> list[str]:
    """What is shown when a run has ended whose 6-grams need 2 bits."""
    checkpoint = make_checkpoint(folder / "ck")
    with TrainingDisplay() as display:
        display.report(
            Started(checkpoint, 9, first_step, 5, 10, unigram_bits=4.25, sixgram_bits=2.0)
        )
        capfd.readouterr()
        best = {"validation_bits": bits, "step": step} if step else None
        display.report(Stopped(reason, checkpoint.path, step, 60.0, best, *shares))
    return capfd.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("weights_of", "weights"), [(1000, ""), (400, "the weights of step 400 and ")]
)
def test_a_run_that_diverges_says_what_it_continues_with(
    capfd: pytest.CaptureFixture[str], weights_of: int, weights: str
):
    with TrainingDisplay() as display:
        display.report(Recovered(1200, 1000, weights_of, 0.5))
    assert capfd.readouterr().err == (
        "diverged at step 1,200: continuing from step 1,000 with "
        f"{weights}0.5 of the learning rate\n"
    )


def test_a_run_ends_with_its_figure_beside_those_of_counting(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    ended, compared, following = closing_lines(tmp_path, capfd, "finished", 1.5)
    assert ended == "finished in 1:00; best: 1.500 bits per character at step 10"
    assert compared == (
        "bits per held-out character: this model 1.500, 6-grams 2.000, frequencies alone 4.250"
    )
    assert following == f"write text with: chargen sample -c {tmp_path}/ck"
    *_, advice = closing_lines(tmp_path, capfd, "interrupted", 1.5)
    assert not advice.startswith("write text with")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [("finished", "more --epochs"), ("budget", "a larger --budget"), ("patience", "--patience")],
)
def test_resuming_a_run_that_has_ended_says_what_continues_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], reason: Reason, remedy: str
):
    lines = closing_lines(tmp_path, capfd, reason, 1.5, first_step=10)
    assert lines[1].startswith("nothing was left to do; to train on, give ")
    assert lines[1].endswith(remedy)


def test_a_budget_that_the_start_uses_up_is_said_to_be_too_short(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    ended, advice, _ = closing_lines(tmp_path, capfd, "budget", 1.5, step=0)
    assert ended == "time was up before the first step, so nothing was learned"
    assert advice == "starting took all of it; to train, give a larger --budget"


@pytest.mark.parametrize(
    ("reason", "remedy"), [("finished", "add more text"), ("budget", "train longer")]
)
def test_a_model_that_counting_beats_is_told_so_with_a_remedy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], reason: Reason, remedy: str
):
    *_, advice, _ = closing_lines(tmp_path, capfd, reason, 2.5)
    assert advice.startswith("6-grams, which only count, predict the text better: ")
    assert advice.endswith(remedy)


@pytest.mark.parametrize(
    ("copied", "usual", "said"),
    [
        (0.54, 0.1, "54% of what it writes stands word for word in the text learned from (of the "),
        (0.54, None, "54% of what it writes stands word for word in the text learned from; more "),
        (0.54, 0.4, ""),  # tables and tunes repeat themselves
        (0.2, 0.0, ""),
        (None, None, ""),
    ],
)
def test_a_model_that_copies_more_than_its_text_does_is_told_so(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    copied: float | None,
    usual: float | None,
    said: str,
):
    lines = closing_lines(tmp_path, capfd, "finished", 1.5, copied, usual)[2:-1]
    assert len(lines) == bool(said)
    assert said in "".join(lines)


def test_reading_a_long_text_is_told_once_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str],
):
    for size, said in (
        (2_500_000_000, "reading 2,500 MB of text\n"),
        (None, "reading a long text\n"),
    ):
        with TrainingDisplay() as display:
            for read in (1_000_000, 2_000_000, 2_500_000_000):
                display.report(TextRead(read, size))
        assert capfd.readouterr().err == said


SHOWING = """
from chargen.training.display import TrainingDisplay
from chargen.training.events import TextRead
with TrainingDisplay() as display:
    display.report(TextRead(50_000_000, 200_000_000))
    display.report(TextRead(200_000_000, 200_000_000))
    display.report(TextRead(70_000_000, None))
"""


def test_a_terminal_shows_how_far_a_long_text_has_been_read():
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SHOWING], stderr=slave)
    os.close(slave)
    shown = read_to_end(master).decode()
    os.close(master)
    assert process.wait(HANG) == 0
    assert re.search("reading the text .*25 %  50 of 200 MB.*starting.*70 MB", shown, re.DOTALL)
