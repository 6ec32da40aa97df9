"""Check for what training needs and the other commands do not."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec

from chargen.errors import TrainingError
from chargen.installation import distribution_name

__all__ = ["LIBRARIES", "check_libraries", "check_support"]

LIBRARIES = ("tensorflow", "keras", "rich")
"""What `chargen-light` leaves out."""


def check_support() -> None:
    """Refuse to train, before anything is read, if this system or installation cannot.

    Raises:
        TrainingError: the system has no locks, or a library is not installed.
    """
    if find_spec("fcntl") is None:
        raise TrainingError(
            "training needs a POSIX system, such as Linux or macOS, and this one is "
            f"{sys.platform}; train on one of those and copy the checkpoint here, where every "
            "other command can use it"
        )
    check_libraries(LIBRARIES, "training")


def check_libraries(names: Iterable[str], purpose: str) -> None:
    """Refuse to do what needs certain libraries where one of them is not installed.

    Raises:
        TrainingError: one is not.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        raise TrainingError(
            f"{purpose} needs {', '.join(missing)}, which this installation does not have; "
            f"install what is missing with: pip install {_whole_package()}"
        )


def _whole_package() -> str:
    """Return what to ask pip for, so that it adds the missing libraries in the right versions."""
    name = distribution_name()
    return name if name == "chargen" else f"'{name}[train]'"
