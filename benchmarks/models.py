"""The models that the benchmarks run: ours, and the same in PyTorch and Keras.

Weights are as initialised: how fast a network runs does not depend on them.
"""

from pathlib import Path

import numpy as np

from chargen.checkpoint.architecture import describe
from chargen.checkpoint.directory import Checkpoint, CorpusRecord
from chargen.config import ModelConfig, TrainConfig
from chargen.data.vocabulary import Vocabulary
from chargen.network.language_model import LanguageModel
from chargen.network.network import Network

SIZES = [(1, 128), (1, 256), (1, 512), (2, 256), (2, 512)]


def read_vocabulary(text: Path) -> Vocabulary:
    """The characters of a text."""
    return Vocabulary(sorted(set(text.read_text(encoding="utf-8"))))


def make_config(
    cell: str, layers: int, units: int, text: Path, predict: str = "all", window: int = 64
) -> ModelConfig:
    """A one-hot model of the characters of a text."""
    return ModelConfig(
        vocabulary_size=len(read_vocabulary(text)),
        cell=cell,  # type: ignore[arg-type]
        layers=layers,
        units=units,
        window=window,
        predict=predict,  # type: ignore[arg-type]
    )


def make_network(config: ModelConfig) -> Network:
    """Our network with small random weights."""
    rng = np.random.default_rng(0)
    shapes = [array.shape for layer in describe(config) for array in layer.arrays]
    return Network(config, [rng.normal(0, 0.05, shape).astype(np.float32) for shape in shapes])


def make_model(config: ModelConfig, text: Path) -> LanguageModel:
    """The same with the characters of a text."""
    return LanguageModel(make_network(config), read_vocabulary(text))


def make_checkpoint(path: Path, config: ModelConfig, text: Path) -> None:
    """A checkpoint as a run begins with it; needs Keras."""
    from chargen.training import runtime

    runtime.start()
    from chargen.models.factory import build_model

    training = TrainConfig(
        epochs=1, batch_size=1, learning_rate=1e-3, evaluate_every=1, random_seed=0, validation=0.0
    )
    corpus = CorpusRecord(
        texts=("-",), characters=9, train_characters=9, validation_characters=0, sha256="0" * 64
    )
    path.mkdir(parents=True)
    build_model(config, random_seed=0).save(path / "model.keras")
    (path / "history.jsonl").write_bytes(b"")
    Checkpoint(path, config, training, corpus, {}, read_vocabulary(text)).write()


def make_torch(config: ModelConfig):
    """The same recurrent layers and output layer in PyTorch, a pair of modules."""
    import torch

    torch.manual_seed(0)
    modules = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
    recurrent = modules[config.cell](config.vocabulary_size, config.units, config.layers)
    return recurrent.eval(), torch.nn.Linear(config.units, config.vocabulary_size).eval()
