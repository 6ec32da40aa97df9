"""What is chosen by the machine."""

from typing import Any

import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
from chargen.training.machine import (  # noqa: E402
    faster_precision,
    learning_speed,
    product_seconds,
    settled,
)

pytestmark = pytest.mark.cpu
ALL = ModelConfig(vocabulary_size=5, units=8, window=6)
LAST = ModelConfig(vocabulary_size=5, units=8, window=6, predict="last")


@pytest.mark.parametrize(
    ("model", "batch_size", "threads", "shards"),
    [
        (ALL, 64, 2, 2),
        (ALL, 64, 1, 1),
        (ALL, 63, 4, 3),  # equal shards only
        (ALL, 61, 4, 1),
        (LAST, 61, 4, 4),
        (ALL, 64, 64, 8),  # no fewer than 8 rows
        (ALL, 1, 2, 1),
    ],
)
def test_shards_divide_the_batch_among_the_threads(
    model: ModelConfig, batch_size: int, threads: int, shards: int
):
    training = make_training(batch_size=batch_size, threads=threads)
    assert settled(model, training).shards == shards


def test_auto_becomes_a_precision_and_another_choice_stays():
    assert settled(ALL, make_training(precision="auto")).precision in ("float32", "bfloat16")
    for chosen in ("float32", "bfloat16"):
        precision: Any = chosen
        assert settled(ALL, make_training(precision=precision)).precision == chosen


def test_a_product_is_timed_in_both():
    seconds = {name: product_seconds(name) for name in ("float32", "bfloat16")}  # type: ignore[arg-type]
    assert all(value > 0 for value in seconds.values())
    assert faster_precision() in seconds
    assert learning_speed(2) > 0
