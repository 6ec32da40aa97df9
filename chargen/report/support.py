"""Check for what a report needs and the other commands do not."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from chargen.errors import ChargenError

__all__ = ["LIBRARIES", "check_support"]

LIBRARIES = ("jinja2", "matplotlib")
"""What the extra `report` adds."""


def check_support() -> None:
    """Refuse to write a report, before anything is read, if a library is not installed.

    Raises:
        ChargenError: one is not.
    """
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise ChargenError(
            f"a report needs {' and '.join(missing)}, which this installation does not have; "
            f"install what is missing with: pip install '{_package()}[report]'"
        )


def _package() -> str:
    try:
        distribution("chargen-light")
    except PackageNotFoundError:
        return "chargen"
    return "chargen-light"
