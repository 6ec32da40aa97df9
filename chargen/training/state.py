"""Everything a run needs to continue exactly where it stopped: `resume.safetensors`.

One file, so that it is replaced in one step: the variables of the learner as tensors, and where
the run stands, its best figure, patience and clock as JSON in the header.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from chargen.checkpoint.atomic import write_file
from chargen.checkpoint.directory import RESUME
from chargen.errors import CheckpointError, reason_of
from chargen.models.learner import Learner

__all__ = ["RunState", "restore", "save"]

RUN = "run"
"""Of the header's texts, the one with the `RunState`."""
KINDS = {"F32": "float32", "I64": "int64", "U32": "uint32", "I32": "int32"}
"""The types of a learner's variables: safetensors' names and Keras'."""

Shapes: TypeAlias = dict[str, tuple[tuple[int, ...], str]]
"""Of each tensor, its shape and the name of its type."""


@dataclasses.dataclass
class RunState:
    """Where a run stands. It changes as the run proceeds."""

    step: int = 0
    """Batches learned from, over all epochs."""
    seconds: float = 0.0
    """Seconds spent over all sessions, start-up included."""
    begun: float | None = None
    """The second at which the first step ended: before it comes reading and compiling, which is
    not learning."""
    best_nats: float | None = None
    """The lowest validation figure so far."""
    stale: int = 0
    """Evaluations since then."""
    evaluations: int = 0
    """Lines of the history that belong to this state."""
    recoveries: int = 0
    """Times that the run diverged and went back; each halves its learning rate."""
    targets: int = 0
    """Characters predicted since the last evaluation."""
    nats: float = 0.0
    """What these cost together."""
    hits: float = 0.0
    """How many of these were the most likely ones."""

    @property
    def rate_factor(self) -> float:
        """What is left of the learning rate."""
        return 0.5**self.recoveries

    def is_stale(self, patience: int) -> bool:
        """Whether the run has continued for long enough without improving."""
        return 0 < patience <= self.stale

    def check(self) -> None:
        """Refuse values that no run has.

        Raises:
            TypeError: one is of another type.
            ValueError: one is negative or not a number.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            whole = isinstance(field.default, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise TypeError(f"{field.name} is {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} is {value!r}")


def save(folder: Path, learner: Learner, run: RunState) -> None:
    """Write `resume.safetensors`."""
    tensors = {
        # As arrays even where they are single numbers, whose memory the library asks for.
        name: np.asarray(keras.ops.convert_to_numpy(variable))
        for name, variable in learner.variables.items()
    }
    header = {RUN: json.dumps(dataclasses.asdict(run))}
    write_file(folder / RESUME, to_safetensors(tensors, header))


def restore(folder: Path, learner: Learner) -> RunState:
    """Read `resume.safetensors` into a learner.

    Raises:
        CheckpointError: it is missing or damaged, or belongs to another model.
    """
    path = folder / RESUME
    variables = learner.variables
    expected: Shapes = {
        name: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype))
        for name, v in variables.items()
    }
    try:
        with safe_open(path, framework="numpy") as file:
            run = RunState(**json.loads((file.metadata() or {})[RUN]))
            run.check()
            _check(_shapes(file), expected)
            tensors = {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be resumed from ({reason_of(error)}): it is damaged, or belongs to "
            "another model or version of Keras; start a new run from the best weights with "
            f"--init-from {folder}"
        ) from None
    for name, variable in variables.items():
        variable.assign(tensors[name])
    return run


def _shapes(file: Any) -> Shapes:
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return {
        name: (tuple(part.get_shape()), KINDS.get(part.get_dtype(), part.get_dtype()))
        for name, part in slices.items()
    }


def _check(found: Shapes, expected: Shapes) -> None:
    """Refuse tensors that are not those of the learner, before they are read."""
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"{missing[0]} is missing")
    if unknown := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{unknown[0]} is unknown")
    for name, (shape, kind) in expected.items():
        if found[name] != (shape, kind):
            raise ValueError(f"{name} is {found[name][1]} {found[name][0]}, not {kind} {shape}")
