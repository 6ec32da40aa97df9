"""Everything a run needs to go on exactly where it stopped: `resume.npz`.

One file, so that it is replaced in one step: the weights, the optimizer's variables, the states
of dropout's random numbers, the recurrent states and the running means as arrays, and where the
run is in the text, its best figure, patience and clock as JSON. It is read with pickles refused.
"""

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from chargen.checkpoint import RESUME, write_file
from chargen.errors import CheckpointError

__all__ = ["RunState", "restore", "restore_means", "save"]


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
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        run = RunState(**json.loads(arrays.pop("run").tobytes()))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}); start a new run from the best weights with "
            f"--init-from {folder}"
        ) from None
    variables = _variables(model)
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise CheckpointError(
            f"{path} belongs to another model, or to another version of Keras; start a new run "
            f"from the best weights with --init-from {folder}"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return run, {name: array for name, array in arrays.items() if name.startswith("metric")}


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
