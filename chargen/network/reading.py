"""Texts being read with a network: characters in, predictions out.

A reading holds the state of one text or of several that are read side by side. How it reads depends
on how the network was trained: with carried state, or each window from the zero state. Sizes are as
in `chargen.network.network`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chargen.data.vocabulary import Ids
from chargen.network.cells import Floats
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
    "prediction_blocks",
    "predictions",
    "read_beginnings",
]

BLOCK_STEPS = 1024
"""The most steps run at a time."""
BLOCK_FLOATS = 1 << 18
"""The most outputs of a layer held while a text is run through: 1 MB, which fits a core's cache."""
MOST_WINDOWS = 2048
"""The most open windows of several texts; above this, whole windows are read faster: the rows of
one step no longer fit a core's cache. Below it, `benchmarks/tuning.py` shows, whole windows take up
to 12 times as long, and 18 times for one text."""


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


def make_reading(network: Network, batch_size: int) -> Reading:
    """Begin to read B texts, in the way in which the network was trained.

    Args:
        network: the weights.
        batch_size: B.
    """
    if network.config.predict == "last":
        fits = batch_size == 1 or batch_size * network.config.window <= MOST_WINDOWS
        staggered = fits and not network.config.bidirectional
        return (StaggeredReading if staggered else WindowReading)(network, batch_size)
    return OneReading(network) if batch_size == 1 else BatchReading(network, batch_size)


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
        blocks = list(prediction_blocks(network, ids))
    if not blocks:
        return np.zeros((0, network.config.vocabulary_size), np.float32)
    return np.concatenate(blocks)


def prediction_blocks(network: Network, ids: Ids) -> Iterator[Floats]:
    """Yield the rows of `predictions` in blocks (t, V), to be computed within `computing`."""
    if network.config.predict == "all":
        reading = OneReading(network)
        for start in range(0, len(ids), BLOCK_STEPS):
            yield reading.run(ids[start : start + BLOCK_STEPS])
        return
    for _, logits in read_beginnings(network, ids[: network.config.window - 1, None]):
        yield logits[:, 0]
    for windows in network.windows(ids):
        yield network.run_windows(windows)


def read_beginnings(network: Network, ids: Ids) -> Iterator[tuple[slice, Floats]]:
    """Read the beginnings of B texts, before which there is less than a window.

    Args:
        network: the weights, trained with `predict="last"`.
        ids: (T, B), T < window.

    Yields:
        A number of steps t, as a slice, and logits (t, B, V): the predictions after each of them,
        made from all characters up to there.
    """
    if network.config.bidirectional:  # how a character is read depends on what follows it
        for end in range(1, len(ids) + 1):
            yield slice(end - 1, end), network.run_windows(ids[:end].T)[None]
        return
    texts = BatchReading(network, ids.shape[1])
    for start in range(0, len(ids), texts.block_steps):
        steps = slice(start, min(start + texts.block_steps, len(ids)))
        yield steps, texts.run(ids[steps])


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
        """Do nothing: the one text is kept, rows [0], or is not read any further."""

    def arrays(self) -> list[Floats]:
        """Return all that is remembered of the text: arrays (1, U) that each step overwrites."""
        layers = zip(self._outputs, self._layers, strict=True)
        return [array for h, layer in layers for array in (h, *layer.cell_state.carried)]


class BatchReading:
    """B texts read with carried state, for `predict="all"`.

    Args:
        network: the weights.
        batch_size: B.
    """

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network = network
        self._layers = [LayerState(layer, batch_size) for layer in network.forward]
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
    """B texts, each character predicted only from the window before it, for `predict="last"`.

    One window of a text begins at each of its last `window` characters, and all these open windows
    are read side by side, with one product per character. Reading each window as a whole takes
    `window` products per character, one after another.
    """

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network = network
        self._window = network.config.window
        # Rows are added as windows open, because a text may be shorter than a long window.
        self._slots = 1
        # Row (k % window) * B + b is the window of text b that began at step k.
        self._windows = BatchReading(network, self._slots * batch_size)
        self._begun = np.zeros(batch_size, np.intp)  # (B,), the step at which each text began
        self._latest = 0  # the latest of these
        self._read = 0  # steps so far

    def extend(self, texts: Sequence[Sequence[int]]) -> None:
        """Read several ids of each text; all end at the same step, so shorter ones begin later."""
        texts = [ids[-self._window :] for ids in texts]  # no window will reach further back
        for left in range(max(map(len, texts)), 0, -1):
            self.step([ids[-left] if len(ids) >= left else 0 for ids in texts])
            waiting = [row for row, ids in enumerate(texts) if len(ids) < left]
            self._begun[waiting] = self._read
        self._latest = int(self._begun.max(initial=0))

    def step(self, ids: Sequence[int] | Ids) -> None:
        """Read one character of each text: ids (B,)."""
        B = len(self._begun)
        if self._slots <= self._read < self._window:
            slots, self._slots = self._slots, min(2 * self._slots, self._window)
            self._windows.keep(np.arange(self._slots * B) % (slots * B))
        slot = self._read % self._window  # in which one window ended and the next one begins
        for array in self._windows.arrays():
            array[slot * B : (slot + 1) * B] = 0
        tiled = np.empty((self._slots, B), np.intp)
        tiled[:] = ids
        self._windows.step(tiled.ravel())
        self._read += 1

    def logits(self) -> Floats:
        """Return predictions (B, V) of the next characters; at first the output layer's bias."""
        B, first = len(self._begun), self._read - self._window
        if first >= self._latest:  # the oldest windows began at the same step, in rows that adjoin
            start = first % self._window * B
            return self._network.output(self._windows.h[start : start + B])
        oldest = np.maximum(self._begun, first)
        rows = oldest % self._window * B + np.arange(B)
        logits = self._network.output(self._windows.h[rows])
        logits[oldest == self._read] = self._network.dense_bias
        return logits

    def keep(self, rows: Ids) -> None:
        """Continue with the texts in these rows (n,), and drop the others."""
        slots = np.arange(self._slots)[:, None] * len(self._begun)
        self._windows.keep((slots + rows).ravel())
        self._begun = self._begun[rows]


class WindowReading:
    """B texts read by whole windows, for `predict="last"`: in both directions, or very many."""

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
