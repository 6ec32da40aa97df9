"""Turn a text file into a text generator.

    import chargen

    path = chargen.train("poems.txt", checkpoint="checkpoints/poems")
    model = chargen.load(path)
    print(model.sample("Once", length=300))
    print(model.evaluate("Once upon a time").bits_per_character)

Importing the package is cheap: NumPy is loaded by `load`, Keras only by `train`.
"""

from typing import TYPE_CHECKING, Any

from chargen.errors import (
    ChargenError,
    CheckpointError,
    CorpusError,
    GenerationError,
    NumericalError,
    OptionError,
    TrainingError,
    VocabularyError,
)

if TYPE_CHECKING:
    from chargen.model import Model, load
    from chargen.scoring.tally import Score
    from chargen.training.train import train

__version__ = "0.1.0"

__all__ = [
    "ChargenError",
    "CheckpointError",
    "CorpusError",
    "GenerationError",
    "Model",
    "NumericalError",
    "OptionError",
    "Score",
    "TrainingError",
    "VocabularyError",
    "load",
    "train",
]

_LAZY = {
    "Model": "chargen.model",
    "Score": "chargen.scoring.tally",
    "load": "chargen.model",
    "train": "chargen.training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'chargen' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
