"""One layer of a network: a cell on its inputs, for one stream, many streams, or many steps.

Sizes as in `chargen.network.network`; I is the size of the input.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids
from chargen.network.cells import Cell, CellState, Dot, Floats, aligned, aligned_copy
from chargen.network.threads import computing

__all__ = ["FirstLayer", "Layer", "LayerState", "OneLayerState", "one_layer_state"]


TRANSPOSED_BYTES = range(1 << 21, (1 << 22) + 1)
"""Sizes of a matrix, 2 to 4 MB, that a vector is multiplied by faster if its columns lie together:
one core's cache cannot hold it, those of two can. BLAS deals the columns out to its threads, and
pieces of every row, kilobytes apart, drive each other out of a cache. Measured with 1 and 2 MB of
cache for each core. The machine is not asked, as the memory order decides on the last digits."""


class Layer:
    """A cell on the outputs of the layer below."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @cached_property
    def recurrent_kernel_for_one(self) -> Floats:
        """The cell's, to be multiplied by one vector."""
        return _order_for_one(self.cell.recurrent_kernel)

    @cached_property
    def joined_kernel_for_one(self) -> Floats:
        """Both kernels one below the other, (I + U, G U), to be multiplied by one vector."""
        cell = self.cell
        joined = aligned((len(cell.kernel) + cell.units, cell.kernel.shape[1]))
        return _order_for_one(np.concatenate([cell.kernel, cell.recurrent_kernel], out=joined))

    def project(self, inputs: Any, out: Floats) -> Floats:
        """Inputs (B, I) -> x (B, G U), in `out`."""
        inputs.dot(self.cell.kernel, out)
        np.add(out, self.cell.bias, out)
        return out

    def project_all(self, inputs: NDArray[Any], out: Floats) -> Iterator[Floats]:
        """Inputs (T, B, I) -> T times x (B, G U), which only lasts until the next."""
        flat = inputs.reshape(-1, inputs.shape[-1]).dot(self.cell.kernel)
        flat += self.cell.bias
        yield from flat.reshape(*inputs.shape[:2], -1)

    def run(self, inputs: NDArray[Any], *, whole: bool) -> Floats:
        """From the zero state, inputs (T, B, I) -> outputs (T, B, U), or (1, B, U), the last."""
        return LayerState(self, inputs.shape[1]).run(inputs, whole=whole)


class FirstLayer(Layer):
    """A cell on characters: ids (B,) or (T, B).

    The input product of a one-hot character is one row of the kernel; an embedding's rows are
    multiplied out beforehand, which makes it the same look-up.
    """

    def __init__(self, cell: Cell, embedding: Floats | None) -> None:
        super().__init__(cell)
        rows = cell.kernel
        if embedding is not None:
            with computing():
                rows = embedding @ cell.kernel
        self._rows = aligned_copy(rows + cell.bias)

    @cached_property
    def row_views(self) -> list[Floats]:
        """The x of each character, (1, G U): picking from a list is cheaper than slicing."""
        return list(self._rows[:, None])

    def project(self, inputs: Any, out: Floats) -> Floats:
        """Ids (B,) -> x (B, G U), in `out`."""
        # Without "clip" NumPy goes through a buffer; ids are never out of range.
        np.take(self._rows, inputs, axis=0, out=out, mode="clip")
        return out

    def project_all(self, inputs: NDArray[Any], out: Floats) -> Iterator[Floats]:
        """Ids (T, B) -> T times x (B, G U), in `out`."""
        return (self.project(ids, out) for ids in np.ascontiguousarray(inputs, np.intp))


class LayerState:
    """B streams in one layer."""

    def __init__(self, layer: Layer, batch_size: int, dot: Dot = np.ndarray.dot) -> None:
        self._layer, self._dot = layer, dot
        self.cell_state = layer.cell.state(batch_size, layer.cell.recurrent_kernel, dot)
        self.h: Floats = np.zeros((batch_size, layer.cell.units), np.float32)
        self._x = np.empty((batch_size, layer.cell.bias.shape[1]), np.float32)

    def step(self, inputs: Any) -> Floats:
        """Inputs (B, I) or ids (B,) -> h (B, U), which the next step writes over."""
        h = self.h
        self.cell_state.step(h, self._layer.project(inputs, self._x), h)
        return h

    def run(self, inputs: NDArray[Any], *, whole: bool = True) -> Floats:
        """Inputs (T, B, I) or ids (T, B) -> outputs (T, B, U), or only the last (1, B, U)."""
        h = self.h
        outputs = np.empty((len(inputs) if whole else 1, *h.shape), np.float32)
        for t, x in enumerate(self._layer.project_all(inputs, self._x)):
            out = outputs[t if whole else 0]
            self.cell_state.step(h, x, out)
            h = out
        self.h = h.copy()  # a view would keep the whole of the outputs alive
        return outputs

    def keep(self, rows: Ids) -> None:
        """Go on with these streams and drop the others."""
        before, cell = self.cell_state, self._layer.cell
        self.cell_state = cell.state(len(rows), cell.recurrent_kernel, self._dot)
        for array, old in zip(self.cell_state.carried, before.carried, strict=True):
            array[:] = old[rows]
        self.h = self.h[rows]
        self._x = np.empty((len(rows), self._x.shape[1]), np.float32)


class OneLayerState(Protocol):
    """One stream in one layer, for which a step is nothing but NumPy's calls."""

    cell_state: CellState
    matrices: list[Floats]
    """What a step multiplies by."""

    def step(self, index: int) -> None:
        """Read the character `index`: the first layer looks it up, the others read from below."""
        ...


def one_layer_state(layer: Layer, joined: Floats) -> OneLayerState:
    """One stream in a layer.

    Args:
        layer: which.
        joined: (1, I + U), the output of the layer below and behind it this layer's own, zeros;
            for the first layer (1, U), its own alone. Written to by each step.
    """
    if isinstance(layer, FirstLayer):
        return _FirstState(layer, joined)
    return (_JoinedState if layer.cell.joinable else _SeparateState)(layer, joined)


class _FirstState:
    def __init__(self, layer: FirstLayer, h: Floats) -> None:
        self.matrices = [layer.recurrent_kernel_for_one]
        self.cell_state = layer.cell.state(1, layer.recurrent_kernel_for_one)
        self._rows, self._h = layer.row_views, h

    def step(self, index: int) -> None:
        self.cell_state.step(self._h, self._rows[index], self._h)


class _JoinedState:
    """Multiplies input and h, neighbours in memory, by both kernels in one product."""

    def __init__(self, layer: Layer, joined: Floats) -> None:
        self.matrices = [layer.joined_kernel_for_one]
        self.cell_state = layer.cell.state(1, layer.joined_kernel_for_one)
        self._joined, self._bias = joined, layer.cell.bias
        self._h = joined[:, -layer.cell.units :]

    def step(self, index: int) -> None:
        self.cell_state.step(self._joined, self._bias, self._h)


class _SeparateState:
    def __init__(self, layer: Layer, joined: Floats) -> None:
        self.matrices = [layer.recurrent_kernel_for_one, layer.cell.kernel]
        self.cell_state = layer.cell.state(1, layer.recurrent_kernel_for_one)
        units = layer.cell.units
        self._layer, self._below, self._h = layer, joined[:, :-units], joined[:, -units:]
        self._x = np.empty_like(layer.cell.bias)

    def step(self, index: int) -> None:
        self.cell_state.step(self._h, self._layer.project(self._below, self._x), self._h)


def _order_for_one(matrix: Floats) -> Floats:
    """The matrix (I, O) in the memory order in which one vector is multiplied by it fastest."""
    return aligned_copy(matrix.T).T if matrix.nbytes in TRANSPOSED_BYTES else matrix
