"""What a run needs at the least: of its text, and of the machine's memory."""

from dataclasses import dataclass

from chargen.checkpoint.architecture import GATES, parameter_count
from chargen.config import ModelConfig
from chargen.errors import TrainingError
from chargen.training.machine import memory_bytes

__all__ = ["TextSize", "check_length", "check_memory", "check_text"]

WEIGHT_COPIES = 5
"""The least number of copies of the weights in memory: the weights, their gradients, Adam's two
moments, and the exported model."""


@dataclass(frozen=True, kw_only=True)
class TextSize:
    """The sizes of a text that its settings follow from, in characters."""

    vocabulary: int
    """The number of distinct characters."""
    perplexity: float
    """How many equally frequent characters would be as hard to guess: the exponential of the
    entropy of their frequencies. It is about 25 for prose in Latin letters, 700 in Chinese."""
    characters: int
    """The length of the whole text."""
    train: int
    """The length of the part to learn from."""
    validation: int
    """The length of the held-out part, or of the validation file."""


def check_text(text: TextSize) -> None:
    """Refuse a text in which there is nothing to predict.

    Raises:
        TrainingError: it is too short, or has only one character.
    """
    if text.train < 2:
        raise TrainingError(
            f"the text to learn from has {text.train} character(s); training needs at least 2, one "
            "to read and one to predict: give a longer text"
        )
    if text.vocabulary < 2:
        raise TrainingError(
            "the text has only one distinct character, so there is nothing to predict; give "
            "another text, or a lower --min-count if that has replaced the others"
        )


def check_length(model: ModelConfig, batch_size: int, train_characters: int) -> None:
    """Refuse a text that is too short for a batch.

    Raises:
        TrainingError: it has fewer characters than the windows of a batch.
    """
    if train_characters <= model.window:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; a window of "
            f"{model.window:,} needs {model.window + 1:,}: give a longer text, or --window "
            f"{train_characters - 1} or less"
        )
    needed = batch_size * model.window + 1
    if model.predict == "all" and train_characters < needed:
        raise TrainingError(
            f"the text to learn from has {train_characters:,} characters; {batch_size:,} "
            f"streams of {model.window:,} need {needed:,}: give a longer text, or --batch-size "
            f"{(train_characters - 1) // model.window} or less"
        )


def check_memory(model: ModelConfig, batch_size: int) -> None:
    """Refuse a run that cannot fit into memory, before the system kills this process or another.

    Args:
        model: the network.
        batch_size: windows learned from at a time.

    Raises:
        TrainingError: the machine has less memory than the run needs at the least.
    """
    # Each layer keeps its gates for every time step of every row.
    gates = len(GATES[model.cell])
    layers = model.layers * (2 if model.bidirectional else 1) * gates * model.units
    activations = batch_size * model.window * (layers + model.vocabulary_size)
    needed, there = 4 * (WEIGHT_COPIES * parameter_count(model) + activations), memory_bytes()
    if needed > there:
        raise TrainingError(
            f"training this network takes at least {needed / 1e9:,.1f} GB of memory, and this "
            f"machine has {there / 1e9:,.1f} GB; choose fewer --units or --layers, a smaller "
            "--batch-size or a shorter --window"
        )
