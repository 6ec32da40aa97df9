"""What depends on the machine: settled before a run begins, and kept in its configuration."""

from dataclasses import replace

from chargen.config import ModelConfig, NumberFormat, TrainConfig
from chargen.errors import OptionError
from chargen.models.recurrent import on_gpu
from chargen.network.threads import thread_count
from chargen.training.processor import bfloat16_feature

__all__ = ["settled"]

FEWEST_ROWS = 8
"""In a shard: each prepares the weights for its products again, which fewer rows don't repay."""


def settled(model: ModelConfig, training: TrainConfig) -> TrainConfig:
    """The configuration with all that depends on the machine chosen.

    Raises:
        OptionError: bfloat16 was asked for on a GPU, where Keras' own layers run.
    """
    if training.precision == "bfloat16" and on_gpu():
        raise OptionError("--precision bfloat16 is for training on a CPU; leave it out on a GPU")
    if training.precision == "auto":
        precision, reason = _precision()
        training = replace(training, precision=precision, precision_reason=reason)
    shards = 1 if on_gpu() else _shards(model, training)
    return replace(training, shards=shards)


def _precision() -> tuple[NumberFormat, str]:
    """What `auto` stands for here, and why."""
    if on_gpu():
        return "float32", "Keras' layers on a GPU use it"
    feature = bfloat16_feature()
    if feature is None:
        return "float32", "this processor or this TensorFlow has no faster products of bfloat16"
    return "bfloat16", f"the processor has {feature}"


def _shards(model: ModelConfig, training: TrainConfig) -> int:
    most = max(1, min(thread_count(training.threads), training.batch_size // FEWEST_ROWS))
    if model.predict == "last":  # batches vary anyway
        return most
    return next(n for n in range(most, 0, -1) if training.batch_size % n == 0)
