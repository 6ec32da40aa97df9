"""Plain text: how many columns of a terminal a character takes."""

import pytest
from wcwidth import wcwidth  # which prompt_toolkit lays its lines out by

from chargen.plain import clock, columns_of

SAMPLES = {
    "latin": "heron Äé e\u0301 o\u0308 ﬁ “—” £ ½",
    "greek and cyrillic": "λόγος мудрость",
    "hebrew": "שָׁלוֹם",
    "arabic": "مَرْحَبًا",
    "thai": "สวัสดีครับ ที่นี่",
    "chinese": "漢字，。「」",
    "japanese": "かな カナ ｶﾅ が Ａ１",
    "korean": "한글 \u1112\u1161\u11ab",
    "emoji": "😀🎉👩\u200d👧 ❤\ufe0f",
    "unseen": "a\u200bb\u200ec\u2060d\ufeff soft\xadhyphen",
}


@pytest.mark.parametrize("script", SAMPLES)
def test_characters_are_as_wide_as_a_terminal_shows_them(script: str):
    for character in SAMPLES[script]:
        found, expected = columns_of(character), wcwidth(character)
        assert found == expected, f"U+{ord(character):04X} {character}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "0:05"), (65, "1:05"), (3_605, "1:00:05"), (float("inf"), "-")]
)
def test_a_time_is_shown_as_by_a_clock(seconds: float, text: str):
    assert clock(seconds) == text
