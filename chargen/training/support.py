"""What training needs that sampling and scoring do without."""

import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from chargen.errors import TrainingError

__all__ = ["LIBRARIES", "check_support"]

LIBRARIES = ("tensorflow", "keras", "rich", "safetensors")
"""What a light install leaves out."""


def check_support() -> None:
    """Refuse at once, before anything is read, where nothing can be trained.

    Raises:
        TrainingError: the system has no locks, or a library is not installed.
    """
    if find_spec("fcntl") is None:
        raise TrainingError(
            f"training needs a POSIX system, such as Linux or macOS, and this one is "
            f"{sys.platform}; train on one of those and copy the checkpoint here, where every "
            "other command can use it"
        )
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise TrainingError(
            f"training needs {', '.join(missing)}, which this installation does not have; "
            f"install what is missing with: pip install {_whole()}"
        )


def _whole() -> str:
    """What pip is to be asked for, so that it adds what is missing in the right versions."""
    try:
        distribution("chargen-light")
    except PackageNotFoundError:
        return "chargen"
    return "'chargen-light[train]'"
