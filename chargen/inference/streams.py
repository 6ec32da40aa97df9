"""Texts running through a network with carried state: one, or many side by side.

Sizes as in `chargen.inference.network`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chargen.inference.cells import Floats
from chargen.inference.layers import Layer, LayerStreams, one_stream

if TYPE_CHECKING:
    from chargen.inference.network import Network

__all__ = ["CHUNK", "Stream", "Streams"]

Ids = NDArray[np.integer]
CHUNK = 1024
"""Steps run at a time, at most."""
CHUNK_FLOATS = 1 << 18
"""Outputs of a layer held at a time when a text is run through: 1 MB, which fits a core's cache."""


class Stream:
    """One text read with carried state: `predict="all"`.

    The outputs of all layers lie in one row, h_0 h_1 ..., so that a layer's input and its own last
    output are neighbours and can be multiplied by both kernels in one product.
    """

    def __init__(self, network: "Network", layers: Sequence[Layer]) -> None:
        self._network = network
        U = network.config.units
        row = np.zeros((1, U * len(layers)), np.float32)
        self._outputs = [row[:, k * U : (k + 1) * U] for k in range(len(layers))]
        self._top = self._outputs[-1]
        self._logits = np.empty((1, network.config.vocabulary_size), np.float32)
        self._layers = [
            one_stream(layer, row[:, max(0, k - 1) * U : (k + 1) * U])
            for k, layer in enumerate(layers)
        ]

    @property
    def matrices(self) -> list[Floats]:
        """All that a step multiplies by, the output layer's included."""
        return [m for layer in self._layers for m in layer.matrices] + [self._network.dense_kernel]

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters: one path."""
        for index in paths[0]:
            self._step(index)

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        self._step(int(ids[0]))

    def _step(self, index: int) -> None:
        for layer in self._layers:
            layer.step(index)

    def logits(self) -> Floats:
        """Predictions (1, V) of the next character; before any, the output layer's bias."""
        return self._network.output(self._top, self._logits)

    def run(self, ids: Ids) -> Floats:
        """Read T characters, ids (T,): logits (T, V), the predictions after each."""
        outputs = np.empty((len(ids), self._top.shape[1]), np.float32)
        for index, output in zip(ids.tolist(), outputs, strict=True):
            self._step(index)
            output[:] = self._top[0]
        return self._network.output(outputs)

    def keep(self, rows: Ids) -> None:
        """Go on with it, rows [0], or drop it."""

    def arrays(self) -> list[Floats]:
        """All that is remembered of the text: arrays (1, U), written to by the next step."""
        layers = zip(self._outputs, self._layers, strict=True)
        return [array for h, layer in layers for array in (h, *layer.state.carried)]


class Streams:
    """B texts read with carried state: `predict="all"`."""

    def __init__(self, network: "Network", layers: list[LayerStreams]) -> None:
        self._network = network
        self._layers = layers
        size = (len(layers[-1].h), network.config.vocabulary_size)
        self._logits = np.empty(size, np.float32)

    @property
    def h(self) -> Floats:
        """The top layer's output, (B, U)."""
        return self._layers[-1].h

    @property
    def chunk_steps(self) -> int:
        """How many steps to `run` at a time, so that memory is bounded."""
        widest = max(self._network.config.units, self._network.config.vocabulary_size)
        return min(max(1, CHUNK_FLOATS // (widest * len(self._logits))), CHUNK)

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text; all end together, so the shorter begin later."""
        for left in range(max(map(len, paths)), 0, -1):
            waiting = [row for row, path in enumerate(paths) if len(path) < left]
            self.step([path[-left] if len(path) >= left else 0 for path in paths])
            for array in self.arrays():
                array[waiting] = 0

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        inputs: Any = ids
        for layer in self._layers:
            inputs = layer.step(inputs)

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; before any, the output layer's bias."""
        return self._network.output(self.h, self._logits)

    def advance(self, ids: Ids) -> Floats:
        """Read T characters of each text, ids (T, B); the top layer's outputs (T, B, U)."""
        outputs: NDArray[Any] = ids
        for layer in self._layers:
            outputs = layer.run(outputs)
        return outputs

    def run(self, ids: Ids) -> Floats:
        """Read T characters of each text.

        Args:
            ids: (T, B).

        Returns:
            Logits (T, B, V): entry t is the prediction after reading character t.
        """
        outputs = self.advance(ids)
        # One product of two dimensions: NumPy would go through three a step at a time.
        logits = self._network.output(outputs.reshape(-1, outputs.shape[-1]))
        return logits.reshape(*ids.shape, -1)

    def keep(self, rows: Ids) -> None:
        """Go on with these texts and drop the others."""
        self._logits = np.empty((len(rows), self._logits.shape[1]), np.float32)
        for layer in self._layers:
            layer.keep(rows)

    def arrays(self) -> list[Floats]:
        """All that is remembered of the texts: arrays (B, U), written to by the next step."""
        return [array for layer in self._layers for array in (layer.h, *layer.state.carried)]
