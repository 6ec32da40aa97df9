"""How far learning reaches: the derivative of a loss with respect to the state k steps before it.

The loss is that of one character. Its derivative with respect to the state at the last step says in
which direction that state should have been different. Its derivative with respect to the state k
steps earlier is what is left of that after k steps back through the network. Where its norm falls
towards 0, nothing is learned from what stands so far back (the gradient vanishes); where it grows,
what stands there drowns everything else (it explodes). Bengio, Simard, Frasconi 1994.

This is computed in float64, whose smallest and largest numbers are 1e-308 and 1e308: in float32, a
gradient that halves at each step would be 0 after 150 steps, and one that doubles infinite after
128, and nothing could be seen of either beyond.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chargen.analysis.backpropagation import LSTM, Floats, ForwardPass, cross_entropy
from chargen.checkpoint.architecture import GATES
from chargen.config import STEPS_BACK, ModelConfig, TrainConfig
from chargen.data.vocabulary import Ids
from chargen.data.windows import make_windows
from chargen.errors import CorpusError, OptionError
from chargen.network.network import check_finite
from chargen.network.threads import computing, side_by_side, thread_count
from chargen.plain import counted
from chargen.scoring.tally import round_figure

__all__ = ["LayerReach", "Reach", "gradient_reach", "most_steps", "summary"]

PLACES = 64
"""The places in the text at which the derivative is found. With so many, the median is within a
fifth or so of that of many more, which is little on a logarithmic axis."""
TOGETHER = 16
TOGETHER_FLOATS = 1 << 25
"""The most rows that are computed together, and the most numbers that a pass over them keeps: 256
MB, unless a single row takes more. Which rows these are does not depend on the number of threads,
so that no figure does either."""
AT_A_TIME_FLOATS = 4 * TOGETHER_FLOATS
"""The most numbers that the passes of all threads keep: 1 GB, unless a single pass takes more. With
the usual network a pass keeps nearly 256 MB, so that four cores still work side by side."""
WARM_UP = 128
"""The most characters that are read before a window, so that its state is that of a text under way:
twice the usual window."""
ROUND = 8
"""Groups of rows whose gradients are held in memory together."""
FEWEST = 4
"""The fewest characters of a text: (4 - 2) // 2 is 1, and so `most_steps` gives one step."""
SHARE = 0.01
"""What is left of the derivative's norm where learning no longer reaches."""
GROWTH = 10
"""What the norm grows by where it counts as exploding, and not as being carried."""

Kind = Literal["vanishes", "explodes", "carries", "is zero"]


@dataclass(frozen=True)
class LayerReach:
    """The derivative with respect to the states of one layer, in one direction.

    Steps are counted back from the last one that the direction reads. Norms are medians over the
    places in the text, because they differ by orders of magnitude, and the largest few would be all
    that a mean shows. An infinite norm was larger than float64 can hold.

    Attributes:
        layer: from 1, the lowest.
        direction: "backward" for the half of a bidirectional layer that reads from the end.
        norms: float64 (K + 1,), the norm of the derivative with respect to h, k steps back.
        lower: float64 (K + 1,), the lower quartile: a quarter of the places have a smaller norm.
        upper: float64 (K + 1,), the upper quartile.
        cell_norms: float64 (K + 1,), the same as `norms` with respect to an LSTM's c; None for
            other cells.
    """

    layer: int
    direction: Literal["forward", "backward"]
    norms: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    cell_norms: NDArray[np.float64] | None

    @property
    def kind(self) -> Kind:
        """What happens to the derivative on its way back."""
        if not self.norms[0]:
            return "is zero"
        if self.reach is not None:
            return "vanishes"
        return "explodes" if self.norms[-1] > GROWTH * self.norms[0] else "carries"

    @property
    def reach(self) -> int | None:
        """The steps back from which on less than `SHARE` of the norm is left; None if none are."""
        gone = self.norms < SHARE * self.norms[0]
        return len(gone) - int(np.argmin(gone[::-1])) if gone[-1] else None

    @property
    def factor_per_step(self) -> float | None:
        """What the norm is multiplied by at each step back; None if there are too few to tell.

        It is fitted to the logarithms in the farther half of the steps, where the direction in
        which the derivative set out no longer matters.
        """
        normal = (self.norms > np.finfo(np.float64).tiny) & np.isfinite(self.norms)
        end = len(normal) if normal.all() else int(np.argmin(normal))
        steps = np.arange(end // 2, end)
        if len(steps) < 2:
            return None
        slope, _ = np.polyfit(steps, np.log(self.norms[steps]), 1)
        return float(np.exp(slope))

    def to_json(self) -> dict[str, Any]:
        """Return all of it, ready for `json.dumps`; an infinite norm is None."""
        return {
            "layer": self.layer,
            "direction": self.direction,
            "kind": self.kind,
            "reach": self.reach,
            "factor_per_step": _figure(self.factor_per_step),
            "norms": _figures(self.norms),
            "lower_quartile": _figures(self.lower),
            "upper_quartile": _figures(self.upper),
            "cell_norms": None if self.cell_norms is None else _figures(self.cell_norms),
        }


@dataclass(frozen=True)
class Reach:
    """How far learning reaches in a network, on a text.

    Attributes:
        layers: from the lowest; of a bidirectional network, each layer's directions in turn.
        places: the number of places in the text.
        window: the most steps that training goes back; with `predict="all"` it cuts the derivative
            off there, with "last" nothing comes before.
        gradient_norm: the norm of the gradient of all weights, for one batch like those that the
            network is trained on, but without dropout; infinite if it overflowed.
        clip_norm: what training clips that norm to; 0 if it does not.
    """

    layers: tuple[LayerReach, ...]
    places: int
    window: int
    gradient_norm: float
    clip_norm: float

    @property
    def steps(self) -> int:
        """K, the most steps back."""
        return len(self.layers[0].norms) - 1

    @property
    def clip_factor(self) -> float | None:
        """What clipping multiplies the gradient by, and with it all that was passed back.

        It is None if the gradient is infinite, which no factor makes finite.
        """
        if not np.isfinite(self.gradient_norm):
            return None
        if not self.clip_norm or not self.gradient_norm:
            return 1.0
        return min(1.0, self.clip_norm / self.gradient_norm)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, ready for `json.dumps`; what is infinite is None."""
        return {
            "steps": self.steps,
            "places": self.places,
            "window": self.window,
            "gradient_norm": _figure(self.gradient_norm),
            "clip_norm": self.clip_norm,
            "clip_factor": _figure(self.clip_factor),
            "layers": [layer.to_json() for layer in self.layers],
        }


def most_steps(config: ModelConfig, length: int) -> int:
    """Return how many steps back a text of so many characters allows to look.

    With `predict="last"` there are no more than the network's window has, because each prediction
    begins with the zero state there. Half of the text is left to choose places from.

    Raises:
        CorpusError: it has too few characters to look back at all.
        OptionError: the network's window has only one.
    """
    if config.predict == "last" and config.window == 1:
        raise OptionError(
            "the network predicts each character from the one before it alone (--window 1), so "
            "there is no step to look back over; name a network with a longer window"
        )
    if length < FEWEST:
        raise CorpusError(
            f"the text has {counted(length, 'character')} that the network knows, and it takes "
            f"{FEWEST} to look back over one step; give a longer text"
        )
    most = (length - 2) // 2
    return min(most, config.window - 1) if config.predict == "last" else most


def gradient_reach(
    config: ModelConfig,
    training: TrainConfig,
    weights: Sequence[Floats],
    ids: Ids,
    *,
    steps: int = STEPS_BACK.default,
    threads: int | None = None,
) -> Reach:
    """Find how far learning reaches: the norm of the derivative with respect to earlier states.

    With `predict="all"`, the network has read up to `WARM_UP` characters before the steps in
    question; with "last", it begins each window with the zero state, as it does in use.

    Args:
        config: the architecture.
        training: how it is trained: the size of a batch, and the norm that gradients are clipped
            to.
        weights: arrays in the order of `chargen.checkpoint.architecture.describe`.
        ids: (N,), the text.
        steps: K, how many steps back to look; fewer if `most_steps` says so.
        threads: how many to compute with, which changes no figure; None uses one for each core.

    Raises:
        CorpusError: the text is too short.
        OptionError: the network's window has only one character.
        NumericalError: the network's outputs overflow.
    """
    steps = min(steps, most_steps(config, len(ids)))
    exact = [array.astype(np.float64) for array in weights]
    # A whole window with `predict="last"`: a prediction is made from all of it.
    window = steps + 1 if config.predict == "all" else min(config.window, len(ids) - 1)
    spare = len(ids) - 1 - window
    before = min(WARM_UP, spare // 2) if config.predict == "all" else 0
    ends = np.unique(np.linspace(before + window, len(ids) - 1, PLACES).astype(int))
    texts = ids[ends[:, None] + np.arange(-before - window, 1)].astype(np.intp).T  # the last row
    count, rows = thread_count(threads), _rows_together(config, len(texts))
    found = side_by_side(
        [
            partial(_state_norms, config, exact, texts[:, k : k + rows], before, steps)
            for k in range(0, len(ends), rows)
        ],
        _passes_at_a_time(config, len(texts), count),
    )
    layers = []
    for place, parts in enumerate(zip(*found, strict=True)):
        index, direction = divmod(place, 2 if config.bidirectional else 1)
        lower, middle, upper = _quartiles(np.concatenate([h for h, _ in parts], axis=1))
        cells = [c for _, c in parts if c is not None]
        layers.append(
            LayerReach(
                index + 1,
                "backward" if direction else "forward",
                middle,
                lower,
                upper,
                _quartiles(np.concatenate(cells, axis=1))[1] if cells else None,
            )
        )
    return Reach(
        tuple(layers),
        len(ends),
        config.window,
        _gradient_norm(config, training, exact, ids, count),
        training.clip_norm,
    )


def summary(layer: LayerReach, window: int) -> str:
    """Say in a sentence or two what became of a derivative on its way back.

    Args:
        layer: the norms.
        window: the most steps that training goes back.
    """
    steps, norms = len(layer.norms) - 1, layer.norms
    rate = layer.factor_per_step
    match layer.kind:
        case "is zero":
            return "the gradient is zero: nothing is learned at all."
        case "vanishes":
            after = counted(layer.reach or 0, "step")
            said = f"the gradient vanishes: less than 1 % is left after {after}"
            if rate is not None and rate < 1:
                said += f", and each step takes {_percent(1 - rate)} of the rest"
            said += "."
        case "explodes" | "carries" as kind:
            ratio = norms[-1] / norms[0]
            what = (
                f"{_times(ratio)} what it is" if ratio >= 1 else f"{_percent(ratio)} of what it is"
            )
            back = counted(steps, "step")
            does = "is carried" if kind == "carries" else kind
            said = f"the gradient {does}: {back} back it is {what} at the last step."
    if window < steps and (layer.reach is None or layer.reach > window):
        said += f" Training cuts it off after {window}."
    return said


def _times(ratio: float) -> str:
    """Return a ratio of at least 1 in words, with two digits or, up to a million, whole."""
    if not np.isfinite(ratio):
        return "more than 1e308 times"
    return f"{ratio:,.0f} times" if 10 <= ratio < 1e6 else f"{ratio:.2g} times"


def _percent(share: float) -> str:
    """Return a share in percent, with two digits."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _state_norms(
    config: ModelConfig,
    weights: Sequence[Floats],
    texts: Ids,
    before: int,
    steps: int,
    stop: threading.Event,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Return, for each layer's directions, the norms (K + 1, B) by h, and by c in an LSTM.

    Args:
        config: the architecture.
        weights: float64.
        texts: (T, B), of which the last row is to be predicted.
        before: how many of the first rows only prepare the state.
        steps: K.
        stop: is not looked at, as this takes a second or so.
    """
    with computing():
        warm = ForwardPass(config, weights, texts[:before], last=True) if before else None
        read = ForwardPass(config, weights, texts[before:-1], before=warm, last=True)
        check_finite(read.logits)
        read.backward(cross_entropy(read.logits, texts[-1])[1])
        return [
            (
                _norms(layer.d_h[: -steps - 2 : -1]),
                _norms(layer.d_c[: -steps - 2 : -1]) if isinstance(layer, LSTM) else None,
            )
            for directions in read.layers
            for layer in directions
        ]


def _gradient_norm(
    config: ModelConfig,
    training: TrainConfig,
    weights: Sequence[Floats],
    ids: Ids,
    threads: int,
) -> float:
    """Return the norm of the gradient of all weights for the first batch of a text.

    The loss is the mean over all characters that the batch predicts. A short text makes the batch
    smaller, and one that is shorter than a window makes that shorter.
    """
    window = min(config.window, len(ids) - 1)
    size = min(training.batch_size, (len(ids) - 1) // window)
    windows = make_windows(
        ids, replace(config, window=window), replace(training, batch_size=max(1, size))
    )
    inputs, targets = windows.batch(0, 0)
    rows = _rows_together(config, window)
    tasks = [
        partial(_gradients, config, weights, inputs[k : k + rows], targets[k : k + rows])
        for k in range(0, len(inputs), rows)
    ]
    sums = [np.zeros_like(array) for array in weights]
    at_a_time = _passes_at_a_time(config, window, threads)
    with np.errstate(all="ignore"):  # what overflowed is infinite, and is said to be
        for start in range(0, len(tasks), ROUND):
            for gradients in side_by_side(tasks[start : start + ROUND], at_a_time):
                for total, gradient in zip(sums, gradients, strict=True):
                    total += gradient
        each = np.array([_norms(array.ravel()) for array in sums])
        return float(_norms(each / targets.size))


def _gradients(
    config: ModelConfig,
    weights: Sequence[Floats],
    inputs: NDArray[np.int32],
    targets: NDArray[np.int32],
    stop: threading.Event,
) -> list[Floats]:
    """Return the derivatives of the sum of the nats of windows (B, T) by all weights."""
    with computing():
        read = ForwardPass(config, weights, inputs.T)
        check_finite(read.logits)
        read.backward(cross_entropy(read.logits, targets.T)[1])
        return read.weight_gradients()


def _rows_together(config: ModelConfig, steps: int) -> int:
    """Return how many rows of so many steps to compute together."""
    return max(1, min(TOGETHER, TOGETHER_FLOATS // _floats_of_a_row(config, steps)))


def _passes_at_a_time(config: ModelConfig, steps: int, threads: int) -> int:
    """Return how many passes over `_rows_together` to compute at a time, each in its thread."""
    floats = _rows_together(config, steps) * _floats_of_a_row(config, steps)
    return max(1, min(threads, AT_A_TIME_FLOATS // floats))


def _floats_of_a_row(config: ModelConfig, steps: int) -> int:
    """Return how many numbers a pass over a row of so many steps keeps."""
    # On the way back, each layer holds its projected inputs, their derivatives and its gates, and
    # half a dozen arrays of states.
    layer = (3 * len(GATES[config.cell]) + 6) * config.units
    layers = config.layers * (2 if config.bidirectional else 1) * layer
    return steps * (layers + 3 * config.vocabulary_size)


def _norms(vectors: Floats) -> NDArray[np.float64]:
    """Return the norms (...) of vectors (..., U), infinite where a number is not finite.

    The squares of numbers beyond 1e154 would overflow, and those of numbers below 1e-162 vanish.
    """
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1)
    norms: NDArray[np.float64] = scale[..., 0] * np.linalg.norm(vectors / scale, axis=-1)
    return np.where(np.isfinite(norms), norms, np.inf)


def _quartiles(norms: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the quartiles of (K + 1, places): values that occur, as one may be infinite."""
    ordered = np.sort(norms, axis=-1)
    last = norms.shape[-1] - 1
    return [ordered[:, round(share * last)] for share in (0.25, 0.5, 0.75)]


def _figure(value: float | None) -> float | None:
    """Return a figure, or None if there is none or it is infinite."""
    return None if value is None or not np.isfinite(value) else round_figure(float(value))


def _figures(values: NDArray[np.float64]) -> list[float | None]:
    return [_figure(float(value)) for value in values]
