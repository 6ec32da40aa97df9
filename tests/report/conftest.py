"""What tests of reports share: a text made to do harm, and what a history holds."""

from typing import Any

from chargen.checkpoint.directory import HISTORY_FIELDS

HOSTILE = (
    '<script>alert("x")</script> [bold]no[/bold] &lt;b&gt; </div></script><!--'
    " {{ 7 * 7 }} {% x %}\n"
    "\x1b[31mred\x1b[0m\x07 a\x00b \u202egnorw\u202c \u200b|\u00ad| שלום עולם\ttab\r\nمرحبا\n"
    "漢字かな 😀 e\u0301 $x$ 'quoted' \"quoted\" `${1}` \\n\n"
)
"""What a page, its script, a terminal or a template might act on, and text in other directions."""


def line(step: int, bits: float, **more: Any) -> dict[str, Any]:
    """A line of a history."""
    return dict.fromkeys(HISTORY_FIELDS) | {
        "step": step,
        "epoch": step / 100,
        "seconds": step / 10,
        "characters": 64 * step,
        "learning_rate": 0.001,
        "train_nats": 0.6 * bits,
        "train_accuracy": 0.4,
        "validation_nats": 0.7 * bits,
        "validation_bits": bits,
        "validation_accuracy": 0.4,
        "best": True,
        **more,
    }
