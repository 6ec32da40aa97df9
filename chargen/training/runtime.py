"""Start TensorFlow and Keras, once, quietly, with the threads asked for."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import chargen
from chargen.errors import TrainingError

__all__ = ["library_versions", "multiplies_bfloat16", "start"]

_MALLOC_OPTIONS = {
    -4: 0,  # M_MMAP_MAX: no allocation has pages of its own, which freeing would give back
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: nor is the end of the heap given back
    -2: 64 << 20,  # M_TOP_PAD: nor a thread's own heap, of 64 MB, when it is empty
}
"""Of glibc's `mallopt`, by their numbers in malloc.h."""

FAST_PRODUCTS = "--xla_cpu_experimental_xnn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
FAST_PRODUCTS_VERSIONS = ("2.21.",)
"""Of TensorFlow, in which XLA has the flag and it was seen to work."""


def start(threads: int | None = None) -> None:
    """Import the framework before anything else does; a second call changes nothing.

    Args:
        threads: for TensorFlow to compute with; None is one for each core.

    Raises:
        TrainingError: Keras already runs on another backend, or TensorFlow's threads are fixed.
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


def multiplies_bfloat16() -> bool:
    """Whether XLA in this TensorFlow has the processor multiply bfloat16, where it can."""
    return _version("tensorflow").startswith(FAST_PRODUCTS_VERSIONS)


def _keep_memory() -> None:
    """Have the C library keep what a step frees for the next one.

    Each step of training asks for the same tens of megabytes again. Given back to the system in
    between, as glibc does, they cost thousands of page faults a step, and up to half of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return
    for option, value in _MALLOC_OPTIONS.items():
        mallopt(option, value)


def _set_xla_flags() -> None:
    """Have XLA make bfloat16 products with the CPU's own instructions.

    Without the flag it turns them into products of float32. An unknown flag ends the process, so
    that it is given only to versions that are known to have it.
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
