"""Start TensorFlow and Keras once, quietly, with a given number of threads."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import chargen
from chargen.errors import TrainingError

__all__ = ["library_versions", "multiplies_bfloat16", "return_memory", "start"]

_MALLOC_OPTIONS = {
    -4: 0,  # M_MMAP_MAX: no allocation gets pages of its own, which are returned when it is freed
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: the free end of the heap is not returned either
    -2: 64 << 20,  # M_TOP_PAD: nor is a thread's own heap of 64 MB when it is empty
}
"""Options of glibc's `mallopt`, by their numbers in malloc.h."""

FAST_PRODUCTS = "--xla_cpu_experimental_xnn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
FAST_PRODUCTS_VERSIONS = ("2.21.",)
"""Versions of TensorFlow in which XLA has the flag and the flag was seen to work."""


def start(threads: int | None = None) -> None:
    """Set up TensorFlow and Keras and import them; a second call changes nothing.

    Args:
        threads: how many TensorFlow computes with; None uses one for each core.

    Raises:
        TrainingError: Keras already runs on another backend, or TensorFlow has already fixed its
            number of threads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _keep_memory()
    _set_xla_flags()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with _quiet():
        import keras
        import tensorflow as tf
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"Keras already runs on {keras.backend.backend()} in this process, and training needs "
            "tensorflow; set KERAS_BACKEND=tensorflow before Keras is imported"
        )
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise TrainingError(
                f"--threads {threads} comes too late, as TensorFlow has already computed in this "
                "process; set the number of threads before its first use"
            ) from None


def library_versions() -> dict[str, str]:
    """Return the versions of chargen, Python and the libraries, for the run's configuration."""
    python = ".".join(map(str, sys.version_info[:3]))
    libraries = {name: _version(name) for name in ("keras", "tensorflow", "numpy", "h5py")}
    return {"chargen": chargen.__version__, "python": python} | libraries


def multiplies_bfloat16() -> bool:
    """Return whether XLA in this TensorFlow uses the processor's instructions for bfloat16."""
    return _version("tensorflow").startswith(FAST_PRODUCTS_VERSIONS)


def _keep_memory() -> None:
    """Have the C library keep the memory that a step frees for the next step.

    Each step of training allocates the same tens of megabytes. By default glibc returns them to
    the system in between, which costs thousands of page faults per step and up to half its time.
    """
    if mallopt := _of_glibc("mallopt"):
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)


def return_memory() -> None:
    """Return the memory to the system that is free for now: before the first step most of it is."""
    if malloc_trim := _of_glibc("malloc_trim"):
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of glibc; None on other systems and with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


def _set_xla_flags() -> None:
    """Have XLA compute bfloat16 products with the processor's own instructions.

    Without the flag it turns them into products of float32. An unknown flag ends the process, so
    the flag is set only for versions that are known to have it.
    """
    if multiplies_bfloat16():
        flags = os.environ.get("XLA_FLAGS", "")
        if FAST_PRODUCTS.partition("=")[0] not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {FAST_PRODUCTS}".strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # TensorFlow also comes under other names, such as tensorflow-cpu
        return "unknown"


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what TensorFlow's C++ code writes to standard error while it is imported.

    It writes to the file descriptor before it reads its own log level, so no setting silences it.
    An import that fails still shows its exception.
    """
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed, so nothing can be written to it
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
