"""What a person sees of a training run on a terminal."""

from pathlib import Path

import pytest
from conftest import ROOT

from cli.conftest import on_terminal


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
