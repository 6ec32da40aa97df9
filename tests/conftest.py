"""What several test files share: checkpoints made by NumPy, and the real command."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import settings

from chargen.architecture import describe
from chargen.checkpoint import Checkpoint, CorpusRecord
from chargen.config import ModelConfig, TrainConfig
from chargen.data.vocabulary import Vocabulary
from chargen.replacement import write_file

# Machines that run the tests are shared: how long an example takes says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A test run started in the background inherits an ignored SIGINT, and hands it on.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
TINY_SHAKESPEARE = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

needs_tinyshakespeare = pytest.mark.skipif(
    not TINY_SHAKESPEARE.exists(), reason="the folder with tinyshakespeare.txt is not here"
)


def random_weights(config: ModelConfig, seed: int = 0) -> list[np.ndarray]:
    """Weights large enough that predictions differ clearly, small enough that nothing saturates."""
    rng = np.random.default_rng(seed)
    shapes = [array.shape for layer in describe(config) for array in layer.arrays]
    return [rng.normal(scale=0.5, size=shape).astype(np.float32) for shape in shapes]


def model_archive(config: ModelConfig, weights: Sequence[np.ndarray]) -> bytes:
    """A `.keras` file with the weights where Keras puts them, made without Keras."""
    arrays = [array for layer in describe(config) for array in layer.arrays]
    hdf5 = io.BytesIO()
    with h5py.File(hdf5, "w") as file:
        for array, values in zip(arrays, weights, strict=True):
            file[array.path] = values
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("metadata.json", "{}")
        members.writestr("config.json", "{}")
        members.writestr("model.weights.h5", hdf5.getvalue())
    return archive.getvalue()


def make_training(**options: Any) -> TrainConfig:
    """A configuration with as little as it must have."""
    needed = {
        "epochs": 1,
        "batch_size": 1,
        "learning_rate": 1e-3,
        "evaluate_every": 1,
        "random_seed": 0,
        "validation": 0.0,
    }
    return TrainConfig(**needed | options)


def make_checkpoint(
    path: Path, characters: str = "\n abcdefghij", seed: int = 0, **model: Any
) -> Checkpoint:
    """A whole checkpoint with random weights."""
    vocabulary = Vocabulary(sorted(set(characters)))
    config = ModelConfig(**{"vocabulary_size": len(vocabulary), "units": 12, "window": 8} | model)
    training = make_training()
    corpus = CorpusRecord(
        texts=("-",), characters=9, train_characters=9, validation_characters=0, sha256="0" * 64
    )
    path.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(path, config, training, corpus, {"chargen": "test"}, vocabulary)
    write_file(path / "model.keras", model_archive(config, random_weights(config, seed)))
    write_file(path / "history.jsonl", b"")
    checkpoint.write()
    return checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an LSTM with random weights; not to be changed."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "random").path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the real command in an empty directory."""

    def run_command(
        *arguments: str | Path, stdin: bytes = b"", **environment: str
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [sys.executable, "-m", "chargen", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            # Unbuffered output would hide what is still unwritten at exit.
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | environment,
            timeout=600,
            check=False,
        )

    return run_command


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint trained by the real command with the tutorial's recipe on its sentence."""
    folder = tmp_path_factory.mktemp("tutorial")
    result = subprocess.run(
        [sys.executable, "-m", "chargen", "train", "-", "--preset", "tutorial", "-o", "ck"],
        input=b"This is GeeksforGeeks a software training institute",
        capture_output=True,
        cwd=folder,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == b"ck\n"
    return folder / "ck"
