"""Start TensorFlow and Keras, once, quietly, with the threads asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import chargen
from chargen.errors import TrainingError

__all__ = ["library_versions", "start"]


def start(threads: int | None = None) -> None:
    """Import the framework before anything else does; a second call changes nothing.

    Args:
        threads: for TensorFlow's operations; None leaves it to the machine's cores.

    Raises:
        TrainingError: Keras already runs on another backend, or TensorFlow's threads are fixed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with _quiet():
        import keras
        import tensorflow as tf
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"Keras already runs on {keras.backend.backend()} in this process; training needs "
            "tensorflow: set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise TrainingError(
                f"--threads {threads} comes too late: TensorFlow has already computed in this "
                "process; set the threads before its first use"
            ) from None


def library_versions() -> dict[str, str]:
    """What a run was made with, for its configuration."""
    python = ".".join(map(str, sys.version_info[:3]))
    libraries = {name: _version(name) for name in ("keras", "tensorflow", "numpy", "h5py")}
    return {"chargen": chargen.__version__, "python": python} | libraries


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # TensorFlow also comes under other names, such as tensorflow-cpu
        return "unknown"


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what TensorFlow's C++ side writes to standard error while it loads to nowhere.

    It logs to the descriptor before its own log level is read, past any setting of ours. An
    import that fails still shows its exception.
    """
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed: nothing to keep clean
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
