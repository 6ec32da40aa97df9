"""Matrix products in a given precision, compiled by XLA.

With `bfloat16` the operands are rounded to 8 significant bits and the sums are kept in float32.
CPUs with AMX or AVX512-BF16 compute such products several times faster than products of float32.
Everything here is meant to be part of functions that XLA compiles
(`tf.function(jit_compile=True)`).
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from chargen.config import NumberFormat

__all__ = [
    "compiled",
    "in_pieces",
    "product",
    "product_of_pieces",
    "round_operand",
    "transposed",
]

INNER_SIZE = 512
"""The inner size of a piece of a product with a few dozen rows. The library that XLA calls goes
through the whole inner size of such a product at once, so with 2,048 of bfloat16 the data no longer
fits the first-level cache: on an AMD Zen 4 the product (32 x 2,048)(2,048 x 512) took 751
microseconds, and 446 as a sum of four products (with AMX 253 and 207)."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let XLA compile a function of tensors.

    Inside a function that is already compiled this changes nothing. Elsewhere it turns the function
    into one operation, and lets the function use features that exist only inside XLA.
    """
    one: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return one


def round_operand(x: tf.Tensor, precision: NumberFormat) -> tf.Tensor:
    """Round an operand of a product to the precision."""
    return tf.cast(x, tf.as_dtype(precision))


def product(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Multiply operands (M, K) and (K, N) of the same precision; return float32 (M, N)."""
    if a.dtype == tf.float32:
        return tf.matmul(a, b)
    return tf.matmul(a, b, output_type=tf.float32)


def in_pieces(b: tf.Tensor) -> list[tf.Tensor]:
    """Cut an operand (K, N) that many products share along K, into pieces that are fastest."""
    size = b.shape[0]
    if size <= 2 * INNER_SIZE:  # two pieces are not measurably faster
        return [b]
    return [b[k : k + INNER_SIZE] for k in range(0, size, INNER_SIZE)]


def product_of_pieces(a: tf.Tensor, pieces: list[tf.Tensor]) -> tf.Tensor:
    """Multiply (M, K) by the pieces of (K, N); return float32 (M, N)."""
    ends = list(accumulate(piece.shape[0] for piece in pieces))
    parts = zip([0, *ends], ends, pieces, strict=False)
    return tf.add_n([product(a[:, start:end], piece) for start, end, piece in parts])


def transposed(x: tf.Tensor) -> tf.Tensor:
    """Transpose (M, N) to (N, M) in memory.

    XLA would otherwise make the transposition a property of the product or of the memory layout,
    and it has fast bfloat16 products for neither. The barrier and the reshapes prevent that.
    """
    flat = xla.optimization_barrier(tf.reshape(tf.transpose(x), [-1]))[0]
    return tf.reshape(flat, [x.shape[1] or -1, x.shape[0] or -1])
