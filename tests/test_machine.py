"""What is chosen by the machine."""

from typing import Any

import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
from chargen.models.recurrent import on_gpu  # noqa: E402
from chargen.training.machine import settled  # noqa: E402
from chargen.training.processor import bfloat16_feature  # noqa: E402

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


def test_auto_follows_from_the_processor_and_another_choice_stays():
    found = settled(ALL, make_training(precision="auto"))
    feature = None if on_gpu() else bfloat16_feature()
    assert found.precision == ("bfloat16" if feature else "float32")
    assert found.precision_reason is not None
    assert feature is None or feature in found.precision_reason
    for chosen in ("float32", "bfloat16"):
        precision: Any = chosen
        asked_for = settled(ALL, make_training(precision=precision))
        assert asked_for.precision == chosen
        assert asked_for.precision_reason is None
