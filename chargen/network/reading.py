"""Texts being read with a network: characters in, predictions out.

One text or many side by side, with carried state or each window from the zero state, as the network
was trained. Sizes as in `chargen.network.network`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids
from chargen.network.cells import Dot, Floats
from chargen.network.layers import LayerState, one_layer_state
from chargen.network.network import Network
from chargen.network.threads import computing, exact_threads

__all__ = [
    "BLOCK_STEPS",
    "BatchReading",
    "OneReading",
    "Reading",
    "StaggeredReading",
    "WindowReading",
    "exact_threads_for",
    "make_reading",
    "predictions",
]

BLOCK_STEPS = 1024
"""Steps run at a time, at most."""
BLOCK_FLOATS = 1 << 18
"""Outputs of a layer held at a time when a text is run through: 1 MB, which fits a core's cache."""
FIRST_ROWS = 16
"""Windows that may be open at the beginning of a text that is read a character at a time."""


class Reading(Protocol):
    """B texts being read side by side, characters in, predictions out."""

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text; unequally many only where nothing was read yet."""
        ...

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        ...

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; the next call may write over them."""
        ...

    def keep(self, rows: Ids) -> None:
        """Go on with these texts, the same one several times if it is named so, without others."""
        ...


def make_reading(network: Network, batch_size: int, dot: Dot = np.ndarray.dot) -> Reading:
    """B texts to be read from their beginnings, as the network was trained to read.

    Args:
        network: the weights.
        batch_size: B.
        dot: what multiplies by the recurrent kernels of many streams.
    """
    if network.config.predict == "last":
        staggered = batch_size == 1 and not network.config.bidirectional
        return StaggeredReading(network) if staggered else WindowReading(network, batch_size)
    return OneReading(network) if batch_size == 1 else BatchReading(network, batch_size, dot)


def exact_threads_for(network: Network, most: int) -> int:
    """The most BLAS threads, up to so many, that read one text as one of them does."""
    # The windows of `predict="last"` are rows of a matrix, for which BLAS does not split alike.
    exact = network.config.predict == "all" and most > 1
    return exact_threads(OneReading(network).matrices, most) if exact else 1


def predictions(network: Network, ids: Ids) -> Floats:
    """Predictions after each character of one text, read as the network was trained.

    Args:
        network: the weights.
        ids: (T,); the first is read from the zero state.

    Returns:
        float32 (T, V): row t is the prediction of the character after ids[t].
    """
    with computing():
        if network.config.predict == "all":
            stream = OneReading(network)
            pieces = [stream.run(ids[k : k + BLOCK_STEPS]) for k in range(0, len(ids), BLOCK_STEPS)]
        else:
            pieces = [network.run_windows(windows) for windows in network.windows(ids)]
    if not pieces:
        return np.zeros((0, network.config.vocabulary_size), np.float32)
    return np.concatenate(pieces)


class OneReading:
    """One text read with carried state: `predict="all"`.

    The outputs of all layers lie in one row, h_0 h_1 ..., so that a layer's input and its own last
    output are neighbours and can be multiplied by both kernels in one product.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        U, layers = network.config.units, network.forward
        row = np.zeros((1, U * len(layers)), np.float32)
        self._outputs = [row[:, k * U : (k + 1) * U] for k in range(len(layers))]
        self._top = self._outputs[-1]
        self._logits = np.empty((1, network.config.vocabulary_size), np.float32)
        self._layers = [
            one_layer_state(layer, row[:, max(0, k - 1) * U : (k + 1) * U])
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
        return [array for h, layer in layers for array in (h, *layer.cell_state.carried)]


class BatchReading:
    """B texts read with carried state: `predict="all"`.

    Args:
        network: the weights.
        batch_size: B.
        dot: what multiplies by the recurrent kernels.
    """

    def __init__(self, network: Network, batch_size: int, dot: Dot = np.ndarray.dot) -> None:
        self._network = network
        self._layers = [LayerState(layer, batch_size, dot) for layer in network.forward]
        self._logits = np.empty((batch_size, network.config.vocabulary_size), np.float32)

    @property
    def h(self) -> Floats:
        """The top layer's output, (B, U)."""
        return self._layers[-1].h

    @property
    def block_steps(self) -> int:
        """How many steps to `run` at a time, so that memory is bounded."""
        widest = max(self._network.config.units, self._network.config.vocabulary_size)
        return min(max(1, BLOCK_FLOATS // (widest * len(self._logits))), BLOCK_STEPS)

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
        return [array for layer in self._layers for array in (layer.h, *layer.cell_state.carried)]


class StaggeredReading:
    """One text, each character predicted from the window before it alone: `predict="last"`.

    The windows that are open, one for each of the last `window` characters, read on side by side:
    one product for all, where reading each whole would take `window` of them, one after the other.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._window = network.config.window
        # More rows as more windows are open: most texts may be shorter than a long window.
        self._rows = min(FIRST_ROWS, self._window)
        self._windows = BatchReading(network, self._rows)
        self._read = 0

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters: one path."""
        (path,) = paths
        if len(path) > self._window:  # what lies before is out of sight
            path = path[-self._window :]
            self._read = 0
        for index in path:
            self.step((index,))

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        if self._rows <= self._read < self._window:
            rows, self._rows = self._rows, min(2 * self._rows, self._window)
            self._windows.keep(np.arange(self._rows) % rows)
        for array in self._windows.arrays():
            array[self._read % self._window] = 0  # that window is over, and another one begins
        self._windows.step(np.repeat(ids, self._rows))
        self._read += 1

    def logits(self) -> Floats:
        """Predictions (1, V) of the next character; before any, the output layer's bias."""
        if not self._read:
            return self._network.dense_bias[None].copy()
        oldest = max(0, self._read - self._window) % self._window
        return self._network.output(self._windows.h[oldest : oldest + 1])

    def keep(self, rows: Ids) -> None:
        """Go on with it, rows [0], or drop it."""


class WindowReading:
    """B texts, or one that is read both ways, by whole windows: `predict="last"`."""

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network = network
        self._contexts: list[list[int]] = [[] for _ in range(batch_size)]

    def extend(self, paths: Sequence[Sequence[int]]) -> None:
        """Read several characters of each text."""
        window = self._network.config.window
        for context, path in zip(self._contexts, paths, strict=True):
            context.extend(path)
            del context[:-window]

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        self.extend([[int(index)] for index in ids])

    def logits(self) -> Floats:
        """Predictions (B, V) of the next characters; before any, the output layer's bias."""
        network = self._network
        lengths = np.array([len(context) for context in self._contexts])
        logits = np.tile(network.dense_bias, (len(lengths), 1))
        for length in set(lengths.tolist()) - {0}:
            rows = np.flatnonzero(lengths == length)
            logits[rows] = network.run_windows(np.array([self._contexts[row] for row in rows]))
        return logits

    def keep(self, rows: Ids) -> None:
        """Go on with these texts and drop the others."""
        self._contexts = [list(self._contexts[row]) for row in rows]
