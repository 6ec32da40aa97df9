"""What several test files share: checkpoints made by NumPy, and the real command."""

import fcntl
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pytest
from chromium import launched
from hypothesis import settings
from threadpoolctl import threadpool_info

from chargen.checkpoint.architecture import describe, title
from chargen.checkpoint.atomic import write_file
from chargen.checkpoint.directory import Checkpoint, CorpusRecord
from chargen.cli import cli, main
from chargen.config import DRAWN, ModelConfig, TrainConfig
from chargen.data.vocabulary import Vocabulary

# Machines that run the tests are shared: how long an example takes says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A test run started in the background inherits an ignored SIGINT, and hands it on.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Trainings of this size spend most of their time in XLA's compiler, which is five times as fast
# without the last of its optimisations. `make slow` compiles the models of `tests/models` as users
# do. An unknown flag ends the process, so it is given to versions that were seen to have both.
QUICK_COMPILATION: dict[str, str] = {}
"""What a process must have in its environment."""
with suppress(PackageNotFoundError):
    if version("tensorflow").startswith(("2.20.", "2.21.")):
        flags = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
        QUICK_COMPILATION["XLA_FLAGS"] = flags
os.environ.update(QUICK_COMPILATION | os.environ)

ROOT = Path(__file__).parent.parent
FABLES = (ROOT / "corpora" / "fables.txt").read_text(encoding="utf-8")
TINY_SHAKESPEARE = ROOT.parent / "shared" / "data" / "tinyshakespeare.txt"

CLOSE = {"rel": 1e-4, "abs": 1e-5}
"""How far figures that were computed in two ways may lie apart: `pytest.approx(figure, **CLOSE)`.

float32 has seven digits. Another kernel of BLAS, or another number of rows, adds the hundreds of
products of a sum in another order, and later steps of the network carry the difference on: two or
three of the digits are lost.
"""
SENTENCE = "This is GeeksforGeeks a software training institute"
"""What the tutorial trains on."""
HANG = 600
"""Seconds after which a process is given up for hanging, on the slowest machine under any load."""

_CELLS = [
    ("lstm", "tanh"),
    ("gru", "tanh"),
    ("rnn", "tanh"),
    ("rnn", "relu"),
    ("rnn", "sigmoid"),
    ("rnn", "leaky_relu"),
]
_READINGS = [("all", False), ("last", False), ("last", True)]
EVERY_MODEL = [
    ModelConfig(
        vocabulary_size=11,
        units=16,
        window=9,
        cell=cell,  # type: ignore[arg-type]
        activation=activation,  # type: ignore[arg-type]
        layers=layers,
        embedding=embedding,
        predict=predict,  # type: ignore[arg-type]
        bidirectional=bidirectional,
        dropout=dropout,
    )
    for (cell, activation), layers, embedding, (predict, bidirectional), dropout in (
        itertools.product(_CELLS, (1, 2), (0, 8), _READINGS, (0.0,))
    )
] + [
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=2, dropout=0.3),
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=3, cell="gru"),
    ModelConfig(vocabulary_size=11, units=8, window=9, layers=4, predict="last"),
    ModelConfig(
        vocabulary_size=11, units=8, window=9, layers=3, predict="last", bidirectional=True
    ),
    ModelConfig(vocabulary_size=2, units=1, window=1, predict="last"),
]
"""Every cell and activation with every depth, input and reading, and some that are odd."""

COMMAND = [sys.executable, "-m", "chargen"]
SCORE_NAMES = [
    "characters",
    "unknown_characters",
    "nats_per_character",
    "bits_per_character",
    "perplexity",
    "accuracy",
    "seconds",
    "characters_per_second",
]
"""Of a score in JSON, as the contract has them."""

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


def model_name(config: ModelConfig) -> str:
    """What pytest calls a test with such a model."""
    return title(config).replace(", ", "-").replace(" ", "-") + f"-{config.predict}"


def make_training(**options: Any) -> TrainConfig:
    """A configuration with as little as it must have."""
    needed = {
        "epochs": 1,
        "batch_size": 1,
        "learning_rate": 1e-3,
        "evaluate_every": 1,
        "random_seed": 0,
        "validation": 0.0,
        "init_from": DRAWN,
    }
    return TrainConfig(**needed | options)


MODEL = ModelConfig(vocabulary_size=10, units=8, window=4)
TRAINING = TrainConfig(
    epochs=1, batch_size=2, learning_rate=0.1, evaluate_every=3, random_seed=4, validation=0.1
)
"""A right configuration, as `MODEL` is: tests put something wrong in the place of a field."""


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


@cache
def sees_gpu() -> bool:
    from chargen.training import runtime

    runtime.start()
    from chargen.models.recurrent import on_gpu

    return on_gpu()


def pytest_report_header() -> list[str]:
    """Say what computes: the last digits of figures depend on it."""
    libraries = threadpool_info()
    kernels = [
        f"{each['internal_api']} for {each['architecture']}"
        for each in libraries
        if each["user_api"] == "blas"
    ]
    return ["BLAS: " + (", ".join(kernels) or "none that is known")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `cpu` where there is a GPU; only then is TensorFlow asked."""
    if item.get_closest_marker("cpu") and sees_gpu():
        pytest.skip("TensorFlow sees a GPU here, and trains on it by Keras' own layers")


SMALL_RUN: dict[str, Any] = {
    "units": 8,
    "window": 8,
    "batch_size": 4,
    "epochs": 4,
    "learning_rate": 0.01,
    "random_seed": 1,
    "weight_drop": 0.0,
    "average": 0.0,
    "precision": "float32",
}
"""Of a run on `fables` that is meant to be disturbed: a second of steps, and four evaluations."""


def as_options(options: dict[str, Any]) -> list[str]:
    """Those of `chargen.train` as the command takes them."""
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    return [word for pair in pairs for word in pair]


@pytest.fixture
def fables(tmp_path: Path) -> Path:
    """The beginning of a text, in `text`."""
    path = tmp_path / "text"
    path.write_text(FABLES[:4000], encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an LSTM with random weights; not to be changed."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "random").path


def run_process(
    folder: Path, *arguments: str | Path, stdin: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run the real command in a folder."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=folder,
        # Unbuffered output would hide what is still unwritten at exit.
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | environment,
        timeout=HANG,
        check=False,
    )


def run_here(
    folder: Path, *arguments: str | Path, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    """Do what `run_process` does, in this process, without the quarter of a second of a start.

    The entry point is the command's, and its standard streams are files, so that what is written
    below Python is seen too.
    """
    line = ["chargen", *map(str, arguments)]
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        stack.enter_context(_handlers_kept())
        stack.enter_context(chdir(folder))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "argv", line)
        for number, (name, file) in enumerate(
            zip(("stdin", "stdout", "stderr"), files, strict=True)
        ):
            stack.enter_context(_descriptor_replaced(number, file.fileno()))
            mode = "w" if number else "r"
            stream = stack.enter_context(open(number, mode, encoding="utf-8", closefd=False))
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        written = []
        for file in files[1:]:
            file.seek(0)
            written.append(file.read())
    status = ended.value.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(line, status, *written)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put the handlers of signals back that the command sets for its process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _descriptor_replaced(number: int, other: int) -> Iterator[None]:
    """Have a descriptor mean what another one does."""
    kept = os.dup(number)
    os.dup2(other, number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


def commands() -> dict[str, click.Command]:
    """The commands by their names."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by 10 ms each time it is looked at, however fast the machine is."""
    now = time.monotonic()

    def tick() -> float:
        nonlocal now
        now += 0.01
        return now

    monkeypatch.setattr(time, "monotonic", tick)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the real command in an empty directory."""
    return partial(run_process, tmp_path)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Have a folder filled by one of the processes that share the tests; not to be changed.

    Files of tests that train the same would else each wait for the compiler.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, in which `chromium.opened` opens pages."""
    with launched() as found:
        yield found


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint trained by the real command with the tutorial's recipe on its sentence.

    What the command showed lies beside it, in `shown`.
    """

    def make(folder: Path) -> None:
        result = run_process(folder, "train", "-", "--preset", "tutorial", stdin=SENTENCE.encode())
        (folder / "shown").write_bytes(result.stderr)
        assert result.returncode == 0, result.stderr.decode()
        assert result.stdout == b"checkpoints/stdin\n"

    return made_once(tmp_path_factory, "tutorial", make) / "checkpoints" / "stdin"


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison by the real command of an RNN that diverges and a GRU, in `ck`.

    Beside it lie the text, and what the command printed and showed. None of it is to be changed.
    """

    def make(folder: Path) -> None:
        (folder / "text").write_text(FABLES[:4000], encoding="utf-8")
        diverging = "--cell rnn --learning-rate 1e30 --optimizer sgd --schedule constant"
        named = ("--try", f"{diverging} --activation relu --clip-norm 0", "--try", "--cell gru")
        options = as_options(SMALL_RUN | {"epochs": 2})
        result = run_process(folder, "compare", "text", "-o", "ck", *named, *options)
        (folder / "printed").write_bytes(result.stdout)
        (folder / "shown").write_bytes(result.stderr)
        assert result.returncode == 0, result.stderr.decode()

    return made_once(tmp_path_factory, "compared", make)
