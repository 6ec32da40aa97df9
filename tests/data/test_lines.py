"""Lines are remembered, whatever blocks a text comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data import lines as lines_module
from chargen.data.lines import Lines

BLOCKS = st.lists(st.text("ab\n", max_size=9), min_size=1, max_size=9)


@given(BLOCKS)
def test_the_lines_are_those_of_the_whole_text(blocks: list[str]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "MOST_APART", 3)
        lines = Lines(blocks)
    expected = set("".join(blocks).split("\n"))
    assert len(lines) == len(expected)
    assert all(line in lines for line in expected)
    assert not any(line in lines for line in ("abc", "", "a", "ab", "b") if line not in expected)


def test_a_text_passes_unchanged_and_no_text_has_no_lines():
    lines = Lines()
    assert "" not in lines
    assert list(lines.passing(["a\nb", "", "c\n"])) == ["a\nb", "", "c\n"]
    assert all(line in lines for line in ("a", "bc", ""))
    assert "b" not in lines
