"""What to ask pip for where a package is missing that only some commands need."""

from importlib.metadata import PackageNotFoundError, distribution
from typing import Literal

from chargen.errors import ChargenError

__all__ = ["distribution_name", "not_installed"]


def distribution_name() -> Literal["chargen", "chargen-light"]:
    """Return the name under which this chargen was installed; both have the same extras."""
    try:
        distribution("chargen-light")
    except PackageNotFoundError:
        return "chargen"
    return "chargen-light"


def not_installed(purpose: str, library: str, extra: str) -> ChargenError:
    """Return the error to raise where a library of an extra is missing.

    Args:
        purpose: what needs the library, such as "export to ONNX".
        library: the library.
        extra: the optional dependencies that it belongs to.
    """
    return ChargenError(
        f"{purpose} needs {library}, which this installation does not have; install it with: "
        f"pip install '{distribution_name()}[{extra}]'"
    )
