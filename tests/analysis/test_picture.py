"""Pictures of how far learning reaches."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from chargen.analysis.picture import FORMATS, ReachCurve, check_picture, draw_reach
from chargen.analysis.reach import LayerReach
from chargen.errors import OptionError

NORMS = 0.8 ** np.arange(21.0)


def curve(name: str, norms: np.ndarray = NORMS, **more: object) -> ReachCurve:
    layer = LayerReach(1, "forward", norms, norms / 2, norms * 2, None)
    options = {"network": 0, "trained": True, "clip_factor": 1.0} | more
    return ReachCurve(name, layer, **options)  # type: ignore[arg-type]


def texts_in(path: Path) -> str:
    """The comments of an SVG, in which matplotlib writes each text that it draws as outlines."""
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", FORMATS)
def test_each_kind_of_picture_is_written_the_same_each_time(ending: str, tmp_path: Path):
    curves = [curve("before", trained=False), curve("after", clip_factor=0.5)]
    for name in ("one", "two"):
        draw_reach(curves, tmp_path / f"{name}{ending}")
    one, two = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("one", "two"))
    assert one == two
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert one.startswith(begins[ending])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"one{ending}", f"two{ending}"]


def test_the_legend_has_each_name_as_it_is_and_what_clipping_changes(tmp_path: Path):
    names = ["_a $x^2$ network", "poems\N{CJK UNIFIED IDEOGRAPH-82B1}", "clipped little"]
    factors = [1.0, 0.01, None]
    curves = [
        curve(name, network=index, clip_factor=factor)
        for index, (name, factor) in enumerate(zip(names, factors, strict=True))
    ]
    path = tmp_path / "reach.svg"
    draw_reach(curves, path)
    drawn = texts_in(path)
    ElementTree.parse(path)
    for name in [*names, f"{names[1]}, clipped"]:
        assert f"<!-- {name} -->" in drawn
    assert drawn.count(", clipped -->") == 1


def test_zeros_and_infinities_have_no_place_on_the_axis_and_are_left_out(tmp_path: Path):
    for ends_with in (0.0, np.inf):
        norms = np.append(NORMS, [ends_with] * 3)
        draw_reach([curve("ends", norms)], tmp_path / "reach.svg")
    draw_reach([curve("nothing", np.zeros(5))], tmp_path / "reach.svg")
    assert (tmp_path / "reach.svg").stat().st_size


def test_a_name_that_says_no_kind_of_picture_is_refused():
    check_picture(Path("reach.PNG"))
    for name in ("reach", "reach.jpg", ".svg"):
        with pytest.raises(OptionError, match=r"must end in \.png, \.svg, \.pdf; found"):
            check_picture(Path(name))
