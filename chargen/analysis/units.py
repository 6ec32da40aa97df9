"""What single units of a network do while it reads, and which traits of the text they follow.

A unit is one number of what a layer remembers: of its output h and, in an LSTM, of tanh(c), as c
itself has no bounds. Karpathy, Johnson and Li 2015, "Visualizing and Understanding Recurrent
Networks", looked at these numbers and found some that follow quotes, brackets and the length of the
line.

The best of hundreds of units follows anything a little, by chance. So for each trait a unit is
chosen in the first half of a text, and how well it follows the trait is measured in the second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chargen.analysis.traits import Trait, traits_of
from chargen.config import ModelConfig
from chargen.data.vocabulary import Ids
from chargen.network.cells import Floats
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network, check_finite
from chargen.network.reading import BLOCK_STEPS, OneReading
from chargen.network.threads import computing

__all__ = [
    "FEWEST_CHARACTERS",
    "Findings",
    "Follower",
    "Unit",
    "activations",
    "characters_read",
    "correlations",
    "followers",
    "units_of",
    "what_units_follow",
]

MOST_CHARACTERS = 20_000
"""The most characters in which units are compared with traits: enough for a correlation with an
error of a few hundredths, and read in seconds by a large network."""
MOST_WINDOW_STEPS = 1 << 18
"""With `predict="last"`, the most characters of windows that are read: about ten seconds' work on
two cores with 256 units in both directions."""
MOST_ACTIVATIONS = 1 << 25
"""The most activations that are held at a time: 128 MB."""
FEWEST_CHARACTERS = 1_000
"""The shortest text in which units are compared with traits: in less, half of it says little."""
FEWEST_OCCURRENCES = 20
"""A trait must have a value other than its most frequent one at so many characters in each half."""


@dataclass(frozen=True)
class Unit:
    """One number of what a network remembers.

    Attributes:
        layer: the recurrent layer, from 1.
        backward: whether the layer is the one that reads each window backward.
        part: "h", the output, or "c" for tanh(c) of an LSTM.
        number: the place in the layer, from 0.
    """

    layer: int
    backward: bool
    part: str
    number: int

    def __str__(self) -> str:
        backward = " backward" if self.backward else ""
        return f"layer {self.layer}{backward}, {self.part} {self.number}"


@dataclass(frozen=True)
class Follower:
    """The unit that follows a trait best.

    Attributes:
        trait: the name of the trait.
        unit: its place among `units_of`.
        found: the correlation in the characters in which it was chosen, from -1 to 1.
        measured: the correlation in the others.
    """

    trait: str
    unit: int
    found: float
    measured: float


@dataclass(frozen=True)
class Findings:
    """What was found in a text.

    Attributes:
        followers: one for each trait, the strongest in the measured characters first.
        strengths: float64 (N,), the highest correlation, without its sign, of each unit with any
            trait in the measured characters.
        characters_found: how many characters the units were chosen in.
        characters_measured: how many others the correlations were measured in.
    """

    followers: tuple[Follower, ...]
    strengths: NDArray[np.float64]
    characters_found: int
    characters_measured: int


def units_of(config: ModelConfig) -> list[Unit]:
    """Return all units of a network, in the order of the columns of `activations`."""
    parts = ("h", "c") if config.cell == "lstm" else ("h",)
    directions = (False, True) if config.bidirectional else (False,)
    return [
        Unit(layer, backward, part, number)
        for layer in range(1, config.layers + 1)
        for backward in directions
        for part in parts
        for number in range(config.units)
    ]


def activations(network: Network, ids: Ids) -> Iterator[Floats]:
    """Yield what the units are after each character of one text, read from the zero state.

    A network trained with `predict="last"` reads each character as the last of a window, from the
    zero state, as when it predicts. A layer that reads windows backward then ends at their first
    character.

    Args:
        network: the weights.
        ids: (T,), the characters.

    Yields:
        Blocks float32 (t, N), whose columns are the units of `units_of`.

    Raises:
        NumericalError: they are not finite.
    """
    config = network.config
    outputs = np.array([unit.part == "h" for unit in units_of(config)])
    blocks = _carried(network, ids) if config.predict == "all" else _windowed(network, ids)
    for block in blocks:
        check_finite(block)
        if config.cell == "lstm":
            np.tanh(block, where=~outputs, out=block)
        yield block


def _carried(network: Network, ids: Ids) -> Iterator[Floats]:
    reading = OneReading(network)
    arrays = reading.arrays()
    for start in range(0, len(ids), BLOCK_STEPS):
        part = ids[start : start + BLOCK_STEPS]
        block = np.empty((len(part), sum(array.size for array in arrays)), np.float32)
        with computing():
            for index, row in zip(part.tolist(), block, strict=True):
                reading.step((index,))
                np.concatenate(arrays, axis=None, out=row)
        yield block


def _windowed(network: Network, ids: Ids) -> Iterator[Floats]:
    beginning = ids[: network.config.window - 1]
    if network.config.bidirectional:  # how a character is read depends on what follows it
        for end in range(1, len(beginning) + 1):
            yield _left_by(network, beginning[None, :end])
    else:
        yield from _carried(network, beginning)
    together = network.windows_together(network.config.window)
    for windows in network.windows(ids):
        for start in range(0, len(windows), together):
            yield _left_by(network, windows[start : start + together])


def _left_by(network: Network, windows: Ids) -> Floats:
    """Return what the units are after each window (n, window): (n, N)."""
    with computing():
        states = network.read_windows(windows)
    return np.concatenate(
        [array for state in states for array in (state.h, *state.cell_state.carried)], axis=1
    )


def characters_read(config: ModelConfig) -> int:
    """Return the most characters in which the units of such a network are compared with traits."""
    most = min(MOST_CHARACTERS, MOST_ACTIVATIONS // len(units_of(config)))
    if config.predict == "last":
        most = min(most, MOST_WINDOW_STEPS // config.window)
    return max(FEWEST_CHARACTERS, most)


def what_units_follow(model: LanguageModel, text: str) -> Findings | None:
    """Find the unit that follows each trait of a text best.

    Args:
        model: the model.
        text: its first `characters_read` characters are used. Those that the model does not know
            are left out.

    Returns:
        What was found; None if fewer than `FEWEST_CHARACTERS` characters are left.

    Raises:
        NumericalError: the network's outputs are not finite.
    """
    vocabulary = model.vocabulary
    ids = vocabulary.encode(text)
    known = ids < len(vocabulary)
    ids, text = ids[known], "".join(c for c, k in zip(text, known, strict=True) if k)
    if len(ids) < FEWEST_CHARACTERS:
        return None
    most = characters_read(model.config)
    ids, text = ids[:most], text[:most]
    start = np.array(vocabulary.start_of_text, ids.dtype)
    traits = traits_of(text)
    values = np.empty((len(ids) + len(start), len(units_of(model.config))), np.float32)
    place = 0
    for block in activations(model.network, np.concatenate([start, ids])):
        values[place : place + len(block)] = block
        place += len(block)
    return followers(values[len(start) :], traits)


def followers(values: Floats, traits: Sequence[Trait]) -> Findings:
    """Choose the unit that follows each trait best in one half, and measure it in the other.

    Args:
        values: (T, N), the activations.
        traits: of the same characters.
    """
    half = len(values) // 2
    traits = [
        each for each in traits if all(map(_varies, (each.values[:half], each.values[half:])))
    ]
    found = correlations(values[:half], [each.values[:half] for each in traits])
    measured = correlations(values[half:], [each.values[half:] for each in traits])
    best = [
        Follower(trait.name, unit, float(found[row, unit]), float(measured[row, unit]))
        for row, trait in enumerate(traits)
        for unit in [int(np.abs(found[row]).argmax())]
    ]
    return Findings(
        tuple(sorted(best, key=lambda each: -abs(each.measured))),
        np.abs(measured).max(axis=0, initial=0),
        half,
        len(values) - half,
    )


def correlations(values: Floats, traits: Sequence[Floats]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each trait with each unit.

    Args:
        values: (T, N), the activations.
        traits: K traits (T,).

    Returns:
        (K, N), from -1 to 1; 0 for a unit or a trait that does not vary.
    """
    result = np.zeros((len(traits), values.shape[1]))
    if not (len(traits) and len(values)):
        return result
    # In float64, and a block of units at a time: a copy of all activations may take a gigabyte.
    standard = _standardised(np.array(traits, np.float64).T)
    for start in range(0, values.shape[1], BLOCK_STEPS):
        part = slice(start, start + BLOCK_STEPS)
        with computing():
            result[:, part] = standard.T @ _standardised(values[:, part].astype(np.float64))
    return np.clip(result / len(values), -1, 1)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns with the mean 0 and the variance 1; those that do not vary are 0."""
    spread = values.std(axis=0)
    # What rounding leaves of a constant is no variation.
    varies = spread > np.finfo(np.float32).eps * np.abs(values).max(axis=0, initial=0)
    return np.where(varies, (values - values.mean(axis=0)) / np.where(varies, spread, 1), 0.0)


def _varies(values: Floats) -> bool:
    """Return whether a trait differs often enough from its most frequent value."""
    _, counts = np.unique(values, return_counts=True)
    return len(values) - int(counts.max(initial=0)) >= FEWEST_OCCURRENCES
