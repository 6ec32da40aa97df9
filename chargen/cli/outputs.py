"""The file that a command writes: its options, and where it may be."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chargen.cli.options import Decorated, complete_file, option
from chargen.errors import ChargenError, OptionError

__all__ = ["check_output", "output_options"]


def output_options(what: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Make `-o/--output` and `--force`; `check_output` gives the path.

    Args:
        what: the help of `--output`.
        **attributes: more of `option`'s for it, such as a default.
    """

    def add(command: Decorated) -> Decorated:
        force = option("--force", is_flag=True, group="where", help="Replace FILE if it is there.")
        output = option(
            "-o",
            "--output",
            group="where",
            metavar="FILE",
            shell_complete=complete_file,
            help=what,
            **attributes,
        )
        return output(force(command))

    return add


def check_output(output: str, *, force: bool) -> Path:
    """Return the path of a file to write, before it takes seconds to make what it will hold.

    Args:
        output: what `--output` names.
        force: whether a file that is there may be replaced.

    Raises:
        ChargenError: something is there that may be needed, or the file cannot be written there.
        OptionError: it names no file.
    """
    from chargen.checkpoint.directory import CONFIG, FILES

    path = Path(output)
    if not output or not path.name or path.is_dir():
        found = f"{path} is a directory" if output else "found an empty name"
        raise OptionError(f"--output must name a file; {found}")
    if not path.parent.is_dir():
        raise ChargenError(f"there is no folder {path.parent} to write {path.name} to; make it")
    if not os.access(path.parent, os.W_OK):
        raise ChargenError(f"{path.parent} cannot be written; name a file in another folder")
    if path.exists() and not path.is_file():
        raise ChargenError(f"{path} is no regular file; name another one")
    if path.name in FILES and (path.parent / CONFIG).is_file():
        raise ChargenError(f"{path} belongs to the checkpoint there; name another file")
    if not force and (path.exists() or path.is_symlink()):
        raise ChargenError(f"{path} is already there; give --force to replace it")
    return path
