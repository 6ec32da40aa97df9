"""One layer of a network: its weights, and its state for one sequence or for a batch.

Sizes are as in `chargen.network.cells`; T is the number of steps.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids
from chargen.network.cells import Cell, CellState, Floats, aligned, aligned_copy
from chargen.network.threads import computing

__all__ = ["FirstLayer", "Layer", "LayerState", "OneLayerState", "one_layer_state"]


TRANSPOSED_BYTES = range(1 << 21, (1 << 22) + 1)
"""Bytes of a matrix whose product with a vector is faster if its columns are contiguous: 2 to 4 MB.
One core's cache cannot hold such a matrix, but the caches of two cores can. BLAS divides the
columns among its threads, and pieces of every row, kilobytes apart, would evict each other from a
cache. Measured with 1 and 2 MB of cache per core. The size of this machine's caches is not
consulted, because the memory order affects the last digits of results."""


class Layer:
    """The weights of a layer that reads the outputs of the layer below."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @cached_property
    def recurrent_kernel_for_one(self) -> Floats:
        """The cell's recurrent kernel (U, G U), in the order that suits one vector."""
        return _order_for_one(self.cell.recurrent_kernel)

    @cached_property
    def joined_kernel_for_one(self) -> Floats:
        """Both kernels, one above the other (I + U, G U), in the order that suits one vector."""
        cell = self.cell
        joined = aligned((len(cell.kernel) + cell.units, cell.kernel.shape[1]))
        return _order_for_one(np.concatenate([cell.kernel, cell.recurrent_kernel], out=joined))

    def project(self, inputs: Any, out: Floats) -> Floats:
        """Project inputs (B, I) to x (B, G U), written to `out`."""
        inputs.dot(self.cell.kernel, out)
        np.add(out, self.cell.bias, out)
        return out

    def project_all(self, inputs: NDArray[Any], out: Floats) -> Iterator[Floats]:
        """Project inputs (T, B, I); yield x (B, G U) of each step, valid until the next one."""
        flat = inputs.reshape(-1, inputs.shape[-1]).dot(self.cell.kernel)
        flat += self.cell.bias
        yield from flat.reshape(*inputs.shape[:2], -1)


class FirstLayer(Layer):
    """The weights of a layer that reads characters: ids (B,) or (T, B).

    The product of a one-hot vector and the kernel is one row of the kernel. An embedding is
    multiplied by the kernel when it is loaded, so that its product too is a row to look up.
    """

    def __init__(self, cell: Cell, embedding: Floats | None) -> None:
        super().__init__(cell)
        rows = cell.kernel
        if embedding is not None:
            with computing():
                rows = embedding @ cell.kernel
        self._rows = aligned_copy(rows + cell.bias)  # (V, G U): x of each character

    @cached_property
    def row_views(self) -> list[Floats]:
        """The x of each character, (1, G U): indexing a list is faster than slicing an array."""
        return list(self._rows[:, None])

    def project(self, inputs: Any, out: Floats) -> Floats:
        """Look up x (B, G U) of ids (B,), written to `out`."""
        # Without "clip" NumPy would use a buffer; ids are never out of range.
        np.take(self._rows, inputs, axis=0, out=out, mode="clip")
        return out

    def project_all(self, inputs: NDArray[Any], out: Floats) -> Iterator[Floats]:
        """Look up ids (T, B); yield x (B, G U) of each step, each in `out`."""
        return (self.project(ids, out) for ids in np.ascontiguousarray(inputs, np.intp))


class LayerState:
    """What one layer remembers of B sequences."""

    def __init__(self, layer: Layer, batch_size: int) -> None:
        self._layer = layer
        self.cell_state = layer.cell.state(batch_size, layer.cell.recurrent_kernel)
        self.h: Floats = np.zeros((batch_size, layer.cell.units), np.float32)  # (B, U)
        self._x = np.empty((batch_size, layer.cell.bias.shape[1]), np.float32)  # (B, G U)

    def step(self, inputs: Any) -> Floats:
        """Read inputs (B, I) or ids (B,); return h (B, U), which the next step overwrites."""
        h = self.h
        self.cell_state.step(h, self._layer.project(inputs, self._x), h)
        return h

    def run(self, inputs: NDArray[Any], *, whole: bool = True) -> Floats:
        """Read inputs (T, B, I) or ids (T, B); return outputs (T, B, U), or the last (1, B, U)."""
        h = self.h
        outputs = np.empty((len(inputs) if whole else 1, *h.shape), np.float32)
        for t, x in enumerate(self._layer.project_all(inputs, self._x)):
            out = outputs[t if whole else 0]
            self.cell_state.step(h, x, out)
            h = out
        self.h = h.copy()  # a view would keep all outputs in memory
        return outputs

    def keep(self, rows: Ids) -> None:
        """Continue with these sequences, rows (n,), and drop the others."""
        before, cell = self.cell_state, self._layer.cell
        self.cell_state = cell.state(len(rows), cell.recurrent_kernel)
        for array, old in zip(self.cell_state.carried, before.carried, strict=True):
            array[:] = old[rows]
        self.h = self.h[rows]
        self._x = np.empty((len(rows), self._x.shape[1]), np.float32)


class OneLayerState(NamedTuple):
    """What one layer remembers of one sequence, and a step that does nothing but call NumPy."""

    step: Callable[[int], None]
    """Reads the character with this id, or in a higher layer the output of the layer below."""
    cell_state: CellState
    matrices: list[Floats]
    """The matrices that a step multiplies by."""


def one_layer_state(layer: Layer, joined: Floats) -> OneLayerState:
    """Make the zero state of one sequence in a layer.

    Args:
        layer: the layer.
        joined: (1, I + U), the output of the layer below followed by this layer's own, h; for the
            first layer (1, U), only its own. It holds zeros, and each step writes to h in it.
    """
    cell = layer.cell
    below, h = joined[:, : -cell.units], joined[:, -cell.units :]  # (1, I), (1, U)
    if isinstance(layer, FirstLayer):
        kernel, rows = layer.recurrent_kernel_for_one, layer.row_views
        state = cell.state(1, kernel)
        return OneLayerState(lambda index: state.step(h, rows[index], h), state, [kernel])
    if cell.joinable:  # the input and h, neighbours in memory, times both kernels in one product
        kernel, bias = layer.joined_kernel_for_one, cell.bias
        state = cell.state(1, kernel)
        return OneLayerState(lambda _: state.step(joined, bias, h), state, [kernel])
    kernel, x = layer.recurrent_kernel_for_one, np.empty_like(cell.bias)
    state = cell.state(1, kernel)
    matrices = [kernel, cell.kernel]
    return OneLayerState(lambda _: state.step(h, layer.project(below, x), h), state, matrices)


def _order_for_one(matrix: Floats) -> Floats:
    """Return the matrix in the memory order in which its product with one vector is fastest."""
    return aligned_copy(matrix.T).T if matrix.nbytes in TRANSPOSED_BYTES else matrix
