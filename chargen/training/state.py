"""Save and restore everything that a run needs to continue exactly where it stopped.

It is all in one file, `resume.safetensors`, so that it is replaced in one step. The tensors are the
variables of the learner; the header holds the progress of the run as JSON.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from chargen.checkpoint.atomic import write_file
from chargen.checkpoint.directory import RESUME
from chargen.errors import CheckpointError, reason_of

if TYPE_CHECKING:
    from chargen.models.learner import Learner  # which imports TensorFlow
    from chargen.training.team import Leader

__all__ = ["RunState", "progress", "restore", "save"]

RUN = "run"
"""The entry of the header that holds the `RunState`."""
STATE = "state"
"""How the names of the tensors begin that hold recurrent states."""
KINDS = {"F32": "float32", "I64": "int64", "U32": "uint32", "I32": "int32"}
"""The types of a learner's variables, as safetensors names them and as Keras does."""

UNREADABLE = (OSError, SafetensorError, ValueError, TypeError, KeyError, RecursionError)
"""What a damaged file raises."""

Shapes: TypeAlias = dict[str, tuple[tuple[int, ...], str]]
"""The shape of each tensor and the name of its type, by the tensor's name."""


@dataclasses.dataclass
class RunState:
    """The progress of a run, which changes with every step."""

    step: int = 0
    """How many batches were learned from, over all epochs."""
    seconds: float = 0.0
    """Seconds spent over all sessions, start-up included."""
    begun: float | None = None
    """The second at which the first step ended; the time before went into reading and compiling."""
    best_nats: float | None = None
    """The lowest validation loss so far, in nats per character."""
    logit_factor: float = 1.0
    """What the logits are multiplied by in the weights that are kept at the next evaluation, unless
    another number turns out to be much better."""
    stale: int = 0
    """How many evaluations came after that one."""
    evaluations: int = 0
    """How many lines of the history belong to this state."""
    recoveries: int = 0
    """How often the run diverged and went back; each time halved its learning rate."""
    strayed: int = 0
    """How many of the last steps in a row were beyond the limits of a healthy run."""
    targets: int = 0
    """How many characters were predicted since the last evaluation."""
    nats: float = 0.0
    """The sum of their losses."""
    hits: float = 0.0
    """How many of them the model thought the most likely."""
    gradient_norms: float = 0.0
    """The sum of the norms of the gradients that they were learned by, one for each of them."""

    @property
    def rate_factor(self) -> float:
        """The share of the configured learning rate that is left, from 0 to 1."""
        return 0.5**self.recoveries

    def extend(self) -> None:
        """Have the run go on: with longer to go it may improve again."""
        self.stale = 0

    def is_stale(self, patience: int) -> bool:
        """Return whether the run has gone without improvement for as long as `patience` allows."""
        return 0 < patience <= self.stale

    def check(self) -> None:
        """Refuse values that no run can have.

        Raises:
            TypeError: a value is of another type.
            ValueError: a value is negative or not a finite number.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            whole = isinstance(field.default, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise TypeError(f"{field.name} is {value!r}")
            if not 0 <= value <= sys.float_info.max:  # math.isfinite takes no greater integers
                raise ValueError(f"{field.name} is {value!r}")


def save(folder: Path, learner: "Learner | Leader", run: RunState) -> None:
    """Write `resume.safetensors`.

    Args:
        folder: the checkpoint's directory.
        learner: the model and its optimizer, whose variables become tensors.
        run: the progress of the run.
    """
    tensors = {
        # Single numbers become arrays too, because the library needs an array's memory.
        name: np.asarray(variable.numpy())
        for name, variable in learner.variables.items()
    }
    header = {RUN: json.dumps(dataclasses.asdict(run))}
    write_file(folder / RESUME, to_safetensors(tensors, header))


def progress(folder: Path) -> RunState:
    """Return the progress of the run that `resume.safetensors` belongs to.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with safe_open(folder / RESUME, framework="numpy") as file:
            return _progress(file)
    except UNREADABLE as error:
        raise _unusable(folder, error) from None


def restore(folder: Path, learner: "Learner | Leader") -> RunState:
    """Read `resume.safetensors` into a learner, and return the progress of the run.

    Args:
        folder: the checkpoint's directory.
        learner: the one to restore; it stays as it is if the file is refused.

    Raises:
        CheckpointError: the file is missing or damaged, or belongs to another model.
    """
    shards = learner.shards
    expected: Shapes = {
        name: (tuple(variable.shape), str(variable.dtype))
        for name, variable in learner.variables.items()
    }
    try:
        with safe_open(folder / RESUME, framework="numpy") as file:
            run = _progress(file)
            found = _shapes(file)
            per_shard = sum(map(_is_state, expected)) // shards
            _check(_merged(found, per_shard), _merged(expected, per_shard))
            tensors = {name: file.get_tensor(name) for name in found}
    except UNREADABLE as error:
        raise _unusable(folder, error) from None
    for index in range(per_shard):
        # A batch may be divided into another number of shards now than when the file was written.
        rows = [tensors[name] for name in _states(found, per_shard, index)]
        names = _states(expected, per_shard, index)
        tensors |= zip(names, np.split(np.concatenate(rows), shards), strict=True)
    learner.set_variables(tensors)
    return run


def _is_state(name: str) -> bool:
    return name.startswith(STATE)


def _states(names: Iterable[str], per_shard: int, index: int) -> list[str]:
    """Return the names of one state of a shard, for all shards in order."""
    return [f"{STATE}{n}" for n in range(index, sum(map(_is_state, names)), per_shard)]


def _merged(shapes: Shapes, per_shard: int) -> Shapes:
    """Return shapes in which each state has the rows of all shards.

    Args:
        shapes: those of the tensors.
        per_shard: how many states a shard has.

    Raises:
        ValueError: the shards do not have the same states.
    """
    merged = {name: shape for name, shape in shapes.items() if not _is_state(name)}
    for index in range(per_shard):
        found = [shapes.get(name, ((0,), "")) for name in _states(shapes, per_shard, index)]
        others = {(tuple(sizes[1:]), kind) for sizes, kind in found}
        if len(others) != 1:
            raise ValueError("the recurrent states of its shards do not fit together")
        ((sizes, kind),) = others
        merged[f"{STATE}{index}"] = ((sum(shape[0] for shape, _ in found), *sizes), kind)
    return merged


def _progress(file: Any) -> RunState:
    run = RunState(**json.loads((file.metadata() or {})[RUN]))
    run.check()
    return run


def _unusable(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{folder / RESUME} cannot be resumed from ({reason_of(error)}); it is damaged, or it "
        "belongs to another model or version of Keras: start a new run from the best weights with "
        f"--init-from {folder}"
    )


def _shapes(file: Any) -> Shapes:
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    return {
        name: (tuple(part.get_shape()), KINDS.get(part.get_dtype(), part.get_dtype()))
        for name, part in slices.items()
    }


def _check(found: Shapes, expected: Shapes) -> None:
    """Refuse tensors that do not fit the learner, before they are read."""
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"{missing[0]} is missing")
    if unknown := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{unknown[0]} is unknown")
    for name, (shape, kind) in expected.items():
        if found[name] != (shape, kind):
            raise ValueError(f"{name} is {found[name][1]} {found[name][0]}, not {kind} {shape}")
