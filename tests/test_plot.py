"""Curves drawn with characters."""

import pytest

from chargen.plot import MARKERS, Curve, draw

FALLING = Curve("falling", (0, 1, 2, 3), (4.0, 3.0, 2.0, 1.0))
FLAT = Curve("flat", (0, 3), (1.0, 1.0))


def test_a_curve_is_as_wide_and_as_high_as_asked():
    lines = draw([FALLING], "step", "bits", width=40, height=8).splitlines()
    assert lines[0].strip() == "(bits)   ^"
    assert "(step)" in lines[-2]
    drawn = [line.split("|")[1].rstrip("\N{BRAILLE PATTERN BLANK} ") for line in lines[1:-2]]
    assert len(drawn) in (8, 9)  # and a line for the margin
    assert max(len(line.lstrip()) for line in drawn) <= 40
    lengths = [len(line) for line in drawn if line]
    assert lengths == sorted(lengths)


def test_several_curves_have_a_legend_and_markers():
    page = draw([FALLING, FLAT], "step", "bits", width=40)
    for curve, marker in zip((FALLING, FLAT), MARKERS, strict=False):
        assert curve.name in page
        assert marker in page
    assert "\x1b" not in page


def test_colours_are_only_used_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard output were one
    assert "\x1b[" in draw([FALLING, FLAT], "step", "bits", width=40)
    assert "\x1b[" not in draw([FALLING], "step", "bits", width=40)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in draw([FALLING, FLAT], "step", "bits", width=40)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_curve_without_a_range_is_drawn(value: float):
    assert "|" in draw([Curve("flat", (0, 1), (value, value))], "step", "bits", width=20)
