"""Everything a run needs to go on exactly where it stopped: `resume.npz`.

One file, so that it is replaced in one step: the weights, the optimizer's variables, the states
of dropout's random numbers, the recurrent states and the running means as arrays, and where the
run is in the text, its best figure, patience and clock as JSON. It is read with pickles refused.
"""

import dataclasses
import io
import json
import math
import struct
import warnings
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.atomic import write_file
from chargen.checkpoint.directory import RESUME
from chargen.errors import CheckpointError, reason_of

__all__ = ["RunState", "restore", "restore_means", "save"]

MEMBER_OVERHEAD = 4096
"""Bytes in the file beside each array's values, at most: name, header, or the run's JSON."""

_DAMAGED = (
    OSError, ValueError, TypeError, RuntimeError, EOFError,
    zipfile.BadZipFile, struct.error,
    TokenError, SyntaxError, UserWarning,  # NumPy's, for a header that it takes for Python 2's
)  # fmt: skip
"""What a file that was damaged, or made to harm, raises in those who read it."""

Shapes: TypeAlias = dict[str, tuple[tuple[int, ...], str]]
"""Of each array, its shape and the name of its type."""


@dataclasses.dataclass
class RunState:
    """Where a run stands. Changes as it goes."""

    step: int = 0
    """Batches learned from, over all epochs."""
    seconds: float = 0.0
    """Spent over all sessions, start-up included."""
    begun: float | None = None
    """Second of the first step's end: what is before it reads and compiles, and is no learning."""
    best_nats: float | None = None
    """The lowest validation figure so far."""
    stale: int = 0
    """Evaluations since then."""
    evaluations: int = 0
    """Lines of the history that belong to this state."""
    recoveries: int = 0
    """Times that the run diverged and went back; each halves its learning rate."""

    @property
    def rate_factor(self) -> float:
        """What is left of the learning rate."""
        return 0.5**self.recoveries

    def check(self) -> None:
        """Refuse values that no run has.

        Raises:
            TypeError: one is of another type.
            ValueError: one is negative or no number.
        """
        for name, value in dataclasses.asdict(self).items():
            optional = name in {"begun", "best_nats"}
            if value is None and optional:
                continue
            whole = name in {"step", "stale", "evaluations", "recoveries"}
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise TypeError(f"{name} is {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}")

    def is_stale(self, patience: int) -> bool:
        """Whether the run has gone on for long enough without getting better."""
        return 0 < patience <= self.stale


def save(folder: Path, model: keras.Model, run: RunState) -> None:
    """Write `resume.npz`."""
    arrays = {
        name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model).items()
    }
    arrays["run"] = np.frombuffer(json.dumps(dataclasses.asdict(run)).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_file(folder / RESUME, stream.getvalue())


def restore(folder: Path, model: keras.Model) -> tuple[RunState, dict[str, Any]]:
    """Read `resume.npz` into a built and compiled model.

    Returns:
        The run's state, and the running means, which Keras resets as an epoch begins and which
        are therefore put back then.

    Raises:
        CheckpointError: it is missing or damaged, or belongs to another model.
    """
    path = folder / RESUME
    variables = _variables(model)
    shapes = {
        name: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype))
        for name, v in variables.items()
    }
    try:
        arrays = _read(path, shapes)
        run = RunState(**json.loads(arrays.pop("run").tobytes()))
        run.check()
    except _DAMAGED as error:
        raise CheckpointError(
            f"{path} cannot be gone on with ({reason_of(error)}): it is damaged, or of another "
            "model or version of Keras; start a new run from the best weights with --init-from "
            f"{folder}"
        ) from None
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return run, {name: array for name, array in arrays.items() if name.startswith("metric")}


def _read(path: Path, expected: Shapes) -> dict[str, NDArray[Any]]:
    """The arrays of the file and the JSON under "run": those and no others, sizes checked first."""
    most = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in expected.values())
    most += (len(expected) + 1) * MEMBER_OVERHEAD
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, and should have at most {most:,}")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sorted(m.filename for m in members) != sorted(f"{n}.npy" for n in (*expected, "run")):
            raise ValueError("it holds other arrays")
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size > most for m in members):
            raise ValueError("its arrays are compressed")
        data = {m.filename.removesuffix(".npy"): archive.read(m) for m in members}
    return {name: _array(name, content, expected.get(name)) for name, content in data.items()}


def _array(name: str, content: bytes, expected: tuple[tuple[int, ...], str] | None) -> NDArray[Any]:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is of another format")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # for headers that a Python 2 may have written
        header = np.lib.format.read_array_header_1_0(stream, max_header_size=MEMBER_OVERHEAD)
    shape, by_columns, dtype = header
    if by_columns:
        raise ValueError(f"{name} is stored by columns")
    if dtype != np.dtype("uint8" if expected is None else expected[1]):
        raise ValueError(f"{name} is {dtype}")
    if expected is not None and shape != expected[0]:
        raise ValueError(f"{name} has the shape {shape}, and should have {expected[0]}")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape)


def restore_means(model: keras.Model, means: dict[str, Any]) -> None:
    """Put back the running means that `restore` returned."""
    for name, variable in _variables(model).items():
        if name in means:
            variable.assign(means[name])


def _variables(model: keras.Model) -> dict[str, Any]:
    """All that changes while training, by kind and position.

    Keras gives variables of different runs different names, so that positions tell them apart.
    """
    kinds = {
        "weight": model.trainable_variables,
        "state": model.non_trainable_variables,  # dropout's counters, carried states, averages
        "optimizer": model.optimizer.variables,
        "metric": model.metrics_variables,
    }
    return {
        f"{kind}{index}": variable
        for kind, variables in kinds.items()
        for index, variable in enumerate(variables)
    }
