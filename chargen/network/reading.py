"""Texts being read with a network: characters in, predictions out.

A reading holds the state of one text or of several that are read side by side. How it reads depends
on how the network was trained: with carried state, or each window from the zero state. Sizes are as
in `chargen.network.network`.
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
"""The most steps run at a time."""
BLOCK_FLOATS = 1 << 18
"""The most outputs of a layer held while a text is run through: 1 MB, which fits a core's cache."""
FIRST_WINDOWS = 16
"""The windows that may be open at the beginning of a text that is read character by character."""


class Reading(Protocol):
    """B texts being read side by side: characters in, predictions out."""

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of each text; lengths may only differ before anything was read."""
        ...

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        ...

    def logits(self) -> Floats:
        """Return predictions (B, V) of the next characters; the next call may overwrite them."""
        ...

    def keep(self, rows: Ids) -> None:
        """Continue with the texts in rows (n,), which may repeat, and drop the others."""
        ...


def make_reading(network: Network, batch_size: int, dot: Dot = np.ndarray.dot) -> Reading:
    """Begin to read B texts, in the way in which the network was trained.

    Args:
        network: the weights.
        batch_size: B.
        dot: the function that multiplies by the recurrent kernels, if B > 1.
    """
    if network.config.predict == "last":
        staggered = batch_size == 1 and not network.config.bidirectional
        return StaggeredReading(network) if staggered else WindowReading(network, batch_size)
    return OneReading(network) if batch_size == 1 else BatchReading(network, batch_size, dot)


def exact_threads_for(network: Network, most: int) -> int:
    """Return the most BLAS threads, up to `most`, that read one text exactly as one thread does."""
    # The windows of `predict="last"` make products of matrices, which threads may sum differently.
    exact = network.config.predict == "all" and most > 1
    return exact_threads(OneReading(network).matrices, most) if exact else 1


def predictions(network: Network, ids: Ids) -> Floats:
    """Return the prediction after each character of one text, read from the zero state.

    Args:
        network: the weights.
        ids: (T,).

    Returns:
        Logits float32 (T, V): row t predicts the character after ids[t].
    """
    with computing():
        if network.config.predict == "all":
            reading = OneReading(network)
            pieces = [
                reading.run(ids[k : k + BLOCK_STEPS]) for k in range(0, len(ids), BLOCK_STEPS)
            ]
        else:
            pieces = [network.run_windows(windows) for windows in network.windows(ids)]
    if not pieces:
        return np.zeros((0, network.config.vocabulary_size), np.float32)
    return np.concatenate(pieces)


class OneReading:
    """One text read with carried state, for `predict="all"`.

    The outputs of all layers are one row, h_0 h_1 ..., so that a layer's input and its own last
    output are neighbours, which one product can multiply by both kernels.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        U, layers = network.config.units, network.forward
        row = np.zeros((1, U * len(layers)), np.float32)
        self._outputs = [row[:, k * U : (k + 1) * U] for k in range(len(layers))]  # (1, U) each
        self._top = self._outputs[-1]
        self._logits = np.empty((1, network.config.vocabulary_size), np.float32)  # (1, V)
        self._layers = [
            one_layer_state(layer, row[:, max(0, k - 1) * U : (k + 1) * U])
            for k, layer in enumerate(layers)
        ]

    @property
    def matrices(self) -> list[Floats]:
        """All matrices that a step multiplies by, including the output layer's."""
        return [m for layer in self._layers for m in layer.matrices] + [self._network.dense_kernel]

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of the one text."""
        for index in texts[0]:
            self._step(index)

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        self._step(int(ids[0]))

    def _step(self, index: int) -> None:
        for layer in self._layers:
            layer.step(index)

    def logits(self) -> Floats:
        """Return predictions (1, V) of the next character; at first the output layer's bias."""
        return self._network.output(self._top, self._logits)

    def run(self, ids: Ids) -> Floats:
        """Read T characters, ids (T,); return logits (T, V), the prediction after each."""
        outputs = np.empty((len(ids), self._top.shape[1]), np.float32)
        for index, output in zip(ids.tolist(), outputs, strict=True):
            self._step(index)
            output[:] = self._top[0]
        return self._network.output(outputs)

    def keep(self, rows: Ids) -> None:
        """Continue with the one text, rows [0], or drop it."""

    def arrays(self) -> list[Floats]:
        """Return all that is remembered of the text: arrays (1, U) that each step overwrites."""
        layers = zip(self._outputs, self._layers, strict=True)
        return [array for h, layer in layers for array in (h, *layer.cell_state.carried)]


class BatchReading:
    """B texts read with carried state, for `predict="all"`.

    Args:
        network: the weights.
        batch_size: B.
        dot: the function that multiplies by the recurrent kernels.
    """

    def __init__(self, network: Network, batch_size: int, dot: Dot = np.ndarray.dot) -> None:
        self._network = network
        self._layers = [LayerState(layer, batch_size, dot) for layer in network.forward]
        self._logits = np.empty((batch_size, network.config.vocabulary_size), np.float32)  # (B, V)

    @property
    def h(self) -> Floats:
        """The top layer's output, (B, U)."""
        return self._layers[-1].h

    @property
    def block_steps(self) -> int:
        """How many steps to `run` at a time, so that the memory used is bounded."""
        widest = max(self._network.config.units, self._network.config.vocabulary_size)
        return min(max(1, BLOCK_FLOATS // (widest * len(self._logits))), BLOCK_STEPS)

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of each text; all end at the same step, so shorter ones begin later."""
        for left in range(max(map(len, texts)), 0, -1):
            waiting = [row for row, ids in enumerate(texts) if len(ids) < left]
            self.step([ids[-left] if len(ids) >= left else 0 for ids in texts])
            for array in self.arrays():
                array[waiting] = 0

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        inputs: Any = ids
        for layer in self._layers:
            inputs = layer.step(inputs)

    def logits(self) -> Floats:
        """Return predictions (B, V) of the next characters; at first the output layer's bias."""
        return self._network.output(self.h, self._logits)

    def advance(self, ids: Ids) -> Floats:
        """Read T characters of each text, ids (T, B); return the top layer's outputs (T, B, U)."""
        outputs: NDArray[Any] = ids
        for layer in self._layers:
            outputs = layer.run(outputs)
        return outputs

    def run(self, ids: Ids) -> Floats:
        """Read T characters of each text.

        Args:
            ids: (T, B).

        Returns:
            Logits (T, B, V): entry t is the prediction after character t was read.
        """
        outputs = self.advance(ids)
        # One product of matrices: of three-dimensional arrays NumPy makes one product per step.
        logits = self._network.output(outputs.reshape(-1, outputs.shape[-1]))
        return logits.reshape(*ids.shape, -1)

    def keep(self, rows: Ids) -> None:
        """Continue with the texts in these rows (n,), and drop the others."""
        self._logits = np.empty((len(rows), self._logits.shape[1]), np.float32)
        for layer in self._layers:
            layer.keep(rows)

    def arrays(self) -> list[Floats]:
        """Return all that is remembered of the texts: arrays (B, U) that each step overwrites."""
        return [array for layer in self._layers for array in (layer.h, *layer.cell_state.carried)]


class StaggeredReading:
    """One text, each character predicted only from the window before it, for `predict="last"`.

    One window begins at each of the last `window` characters, and all these open windows are read
    side by side, with one product per character. Reading each window as a whole would take `window`
    products per character, one after another.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._window = network.config.window
        # Rows are added as windows open, because a text may be shorter than a long window.
        self._rows = min(FIRST_WINDOWS, self._window)
        self._windows = BatchReading(network, self._rows)  # row k % window: the one begun at k
        self._read = 0  # characters read so far

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of the one text."""
        (ids,) = texts
        if len(ids) > self._window:  # no open window will reach further back
            ids = ids[-self._window :]
            self._read = 0
        for index in ids:
            self.step((index,))

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character: ids (1,)."""
        if self._rows <= self._read < self._window:
            rows, self._rows = self._rows, min(2 * self._rows, self._window)
            self._windows.keep(np.arange(self._rows) % rows)
        for array in self._windows.arrays():
            array[self._read % self._window] = 0  # a window begins in the row of the one that ended
        self._windows.step(np.repeat(ids, self._rows))
        self._read += 1

    def logits(self) -> Floats:
        """Return predictions (1, V) of the next character; at first the output layer's bias."""
        if not self._read:
            return self._network.dense_bias[None].copy()
        oldest = max(0, self._read - self._window) % self._window
        return self._network.output(self._windows.h[oldest : oldest + 1])

    def keep(self, rows: Ids) -> None:
        """Continue with the one text, rows [0], or drop it."""


class WindowReading:
    """B texts, or one that is read in both directions, by whole windows, for `predict="last"`."""

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network = network
        self._contexts: list[list[int]] = [[] for _ in range(batch_size)]

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of each text."""
        window = self._network.config.window
        for context, ids in zip(self._contexts, texts, strict=True):
            context.extend(ids)
            del context[:-window]

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        self.extend([[int(index)] for index in ids])

    def logits(self) -> Floats:
        """Return predictions (B, V) of the next characters; at first the output layer's bias."""
        network = self._network
        lengths = np.array([len(context) for context in self._contexts])
        logits = np.tile(network.dense_bias, (len(lengths), 1))
        for length in set(lengths.tolist()) - {0}:
            rows = np.flatnonzero(lengths == length)
            logits[rows] = network.run_windows(np.array([self._contexts[row] for row in rows]))
        return logits

    def keep(self, rows: Ids) -> None:
        """Continue with the texts in these rows (n,), and drop the others."""
        self._contexts = [list(self._contexts[row]) for row in rows]
