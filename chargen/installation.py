"""What to ask pip for where a package is missing that only some commands need."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Literal

from chargen.errors import ChargenError

__all__ = ["distribution_name", "require"]


def distribution_name() -> Literal["chargen", "chargen-light"]:
    """Return the name under which this chargen was installed; both have the same extras."""
    try:
        distribution("chargen-light")
    except PackageNotFoundError:
        return "chargen"
    return "chargen-light"


def require(purpose: str, libraries: Sequence[str], extra: str) -> None:
    """Refuse to do what needs a library of an extra that is not installed.

    Args:
        purpose: what needs the libraries, such as "export to ONNX".
        libraries: the names by which they are imported.
        extra: the optional dependencies that they belong to.

    Raises:
        ChargenError: one of them is not installed.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise ChargenError(
                f"{purpose} needs {library}, which this installation does not have; install it "
                f"with: pip install '{distribution_name()}[{extra}]'"
            )
