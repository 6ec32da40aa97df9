"""What tests of exports share: a checkpoint of any model, and what counts as the same logits."""

from pathlib import Path

import numpy as np
from conftest import CLOSE, make_training, model_archive, random_weights

from chargen.checkpoint.directory import CONFIG, MODEL, Checkpoint, CorpusRecord
from chargen.config import ModelConfig
from chargen.data.vocabulary import Vocabulary

CHARACTERS = "\nabcdefghi\N{REPLACEMENT CHARACTER}"
CORPUS = CorpusRecord(
    texts=("-",), characters=9, train_characters=9, validation_characters=0, sha256="0" * 64
)


def checkpoint_of(config: ModelConfig, folder: Path) -> Checkpoint:
    """A checkpoint of such a model with random weights.

    Only what an export reads is on the disk, and it is not flushed: the tests make 200 of them.
    """
    (folder / CONFIG).touch()
    (folder / MODEL).write_bytes(model_archive(config, random_weights(config)))
    vocabulary = Vocabulary(CHARACTERS[: config.vocabulary_size])
    return Checkpoint(folder, config, make_training(), CORPUS, {}, vocabulary)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Logits are equal but for rounding, which moves all by a share of the largest.

    A network without bounds, such as one of ReLU, makes logits of thousands, and the small ones
    among them are differences of large ones. Rounding moved them by 3e-6 of the largest at most,
    under the kernels SkylakeX, Haswell and Sandybridge of OpenBLAS.
    """
    largest = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE["rel"] * largest)
