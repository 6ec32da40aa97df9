"""What this machine does well: settled before a run begins, and kept in its configuration."""

import time
from dataclasses import replace
from functools import cache

import tensorflow as tf

from chargen.config import ModelConfig, NumberFormat, TrainConfig
from chargen.errors import OptionError
from chargen.inference.threads import thread_count
from chargen.models.products import compiled, product, rounded
from chargen.models.recurrent import on_gpu

__all__ = ["faster_precision", "learning_speed", "product_seconds", "settled"]

FEWEST_ROWS = 8
"""In a shard: each prepares the weights for its products again, which fewer rows don't repay."""
REFERENCE_SPEED = 85_000
"""Characters a second and core that 1x256 learned from on the machine of the recipe's study."""
REFERENCE_PRODUCT_SECONDS = 34e-6
"""`product_seconds` there."""
WORTH_ROUNDING = 0.8
"""Share of float32's time that bfloat16 may take to be chosen: it must pay for its rounding."""


def settled(model: ModelConfig, training: TrainConfig) -> TrainConfig:
    """The configuration with all that depends on the machine chosen.

    Raises:
        OptionError: bfloat16 was asked for on a GPU, where Keras' own layers run.
    """
    precision = training.precision
    if precision == "bfloat16" and on_gpu():
        raise OptionError("--precision bfloat16 is for training on a CPU; leave it out on a GPU")
    if precision == "auto":
        precision = faster_precision()
    shards = 1 if on_gpu() else _shards(model, training)
    return replace(training, precision=precision, shards=shards)


def faster_precision() -> NumberFormat:
    """bfloat16 where the CPU has instructions for it: found by timing a product in both."""
    if on_gpu():
        return "float32"
    seconds = {name: product_seconds(name) for name in ("float32", "bfloat16")}
    rounding_pays = seconds["bfloat16"] < WORTH_ROUNDING * seconds["float32"]
    return "bfloat16" if rounding_pays else "float32"


def learning_speed(threads: int | None) -> float:
    """Characters a second that an LSTM of 256 units learns from, foretold from one product.

    A step is two fifths products of the recurrent kernel, as measured where bfloat16 is fast.
    """
    relative = 0.6 + 0.4 * product_seconds(faster_precision()) / REFERENCE_PRODUCT_SECONDS
    return REFERENCE_SPEED * thread_count(threads) / relative


@cache
def product_seconds(precision: NumberFormat) -> float:
    """Of an LSTM's product of state and recurrent kernel, on one core; timed once a process."""
    units, rows, repeats = 256, 32, 50

    @compiled
    def chain(state: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        kernel = rounded(kernel, precision)

        def step(index: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return index + 1, product(rounded(state, precision), kernel)[:, :units]

        return tf.while_loop(lambda index, _: index < repeats, step, (0, state))[1]

    arguments = tf.zeros((rows, units)), tf.zeros((units, 4 * units))
    chain(*arguments)
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        chain(*arguments)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / repeats


def _shards(model: ModelConfig, training: TrainConfig) -> int:
    most = max(1, min(thread_count(training.threads), training.batch_size // FEWEST_ROWS))
    if model.predict == "last":  # batches vary anyway
        return most
    return next(n for n in range(most, 0, -1) if training.batch_size % n == 0)
