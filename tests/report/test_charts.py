"""Charts are SVG for a page: text stays text, colours are variables, and ids do not clash."""

import re
from functools import cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from chargen.report.charts import SVG, VARIABLES, character_chart, gradient_chart, training_chart


@cache
def curves(label: str = "curves") -> str:
    steps = [0, 100, 200, 3000]
    return training_chart(steps, [3, 2, 2, 1], [4, 3, 2, 3], [0.1, 0.1, 0.05, 0], 200, label)


@cache
def gradients(label: str = "gradients") -> str:
    distances = np.arange(20)
    return gradient_chart(
        ["LSTM", "GRU"], distances, [np.exp(-distances / 9), np.exp(-distances / 3)], label
    )


@cache
def characters(label: str = "characters", names: str = "abcdeABC12") -> str:
    points = np.random.default_rng(0).normal(size=(len(names), 2))
    kinds = ["letter" if name.isalpha() else "other" for name in names]
    return character_chart(list(names), points, kinds, ["letter", "other"], (0.5, 0.25), label)


EACH = pytest.mark.parametrize("chart", [curves, gradients, characters])
Chart = Any


def texts(chart: str) -> list[str]:
    """The texts of a chart, which must be well-formed."""
    return [
        "".join(each.itertext()) for each in ElementTree.fromstring(chart).iter(f"{{{SVG}}}text")
    ]


@EACH
def test_a_chart_is_a_picture_with_a_label_that_is_escaped(chart: Chart):
    root = ElementTree.fromstring(chart('<b> & "bits"'))
    assert root.get("role") == "img"
    assert root.get("aria-label") == '<b> & "bits"'
    assert root.get("viewBox") is not None
    assert root.get("width") is None, "it is as wide as its place in the page"


@EACH
def test_its_colours_are_those_of_the_page(chart: Chart):
    drawn = chart()
    assert not any(colour in drawn for colour in VARIABLES)
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", drawn))
    assert {colour for colour in colours if colour.startswith("#")} == set()
    assert {"var(--quiet)", "var(--series-1)"} <= colours
    assert "<style" not in drawn, "a style would apply to the whole page"
    assert "<metadata" not in drawn


def test_the_ids_of_several_charts_do_not_clash_and_all_are_used():
    found: list[str] = []
    for chart in (curves(), gradients(), characters()):
        ids = re.findall(r'\bid="([^"]+)"', chart)
        used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', chart)
        assert set(ids) == {one or other for one, other in used}
        found += ids
    assert len(set(found)) == len(found)


@EACH
def test_the_same_figures_are_drawn_alike(chart: Chart):
    drawn = chart()
    chart.cache_clear()
    assert chart() == drawn


def test_the_curves_are_named():
    assert {"learned from", "held out", "best", "bits per character", "3,000"} <= set(
        texts(curves())
    )


def test_a_run_without_a_held_out_text_has_one_curve_less():
    drawn = texts(training_chart([1, 2], [3, 2], [None, None], [0.1, 0.1], 2, "x"))
    assert "learned from" in drawn
    assert "held out" not in drawn
    assert "best" not in drawn


def test_small_learning_rates_are_written_out():
    drawn = texts(training_chart([1, 2], [3, 2], [3, 2], [0.00003, 0], 2, "x"))
    assert "2e-05" in drawn or "3e-05" in drawn


def test_figures_that_are_missing_leave_gaps():
    gap = training_chart([1, 2, 3, 4], [3, None, 2, 2], [4, 4, 4, 4], [None] * 4, None, "x")
    assert "nan" not in gap.lower()
    whole = training_chart([1, 2, 3, 4], [3, 3, 2, 2], [4, 4, 4, 4], [0.1] * 4, None, "x")
    assert gap.count(" L ") < whole.count(" L ")


def test_gradients_that_vanish_are_left_out():
    norms = np.array([1.0, 0.1, 0.0, np.inf, np.nan])
    drawn = gradient_chart(["one"], np.arange(5), [norms], "x")
    assert not {"nan", "inf"} & set(re.findall(r"[a-z]+", drawn.lower()))
    assert {"norm of the derivative", "10⁰", "10⁻¹"} <= set(texts(drawn))


@pytest.mark.parametrize("name", ["字", "😀", "א", "$", "\\", "<", "&", "^", "_", "%", "◌́"])
def test_any_character_is_shown_as_itself(name: str):
    points = np.arange(6.0).reshape(3, 2)
    drawn = character_chart([name, "$", name], points, ["x"] * 3, ["x"], (1, 0), "x")
    assert texts(drawn).count(name) == (3 if name == "$" else 2)


def test_labels_in_one_place_are_pushed_apart():
    names = [chr(ord("a") + k) for k in range(26)]
    points = np.zeros((27, 2))
    points[26] = 1
    drawn = character_chart([*names, "!"], points, ["x"] * 27, ["x"], (1, 0), "x")
    places = {}
    for each in ElementTree.fromstring(drawn).iter(f"{{{SVG}}}text"):
        if (name := "".join(each.itertext())) in names:
            places[name] = (float(each.get("x", 0)), float(each.get("y", 0)))
    assert set(places) == set(names)
    at = np.array(list(places.values()))
    distances = np.hypot(*(at[:, None] - at).transpose(2, 0, 1))
    assert distances[~np.eye(26, dtype=bool)].min() > 8


def test_kinds_keep_their_colours_whichever_there_are():
    both, one = characters(names="a1b2"), characters(names="1234")
    assert "var(--series-2)" in both
    assert "var(--series-1)" not in one
    assert "other" in texts(one)
    assert "letter" not in texts(one)
