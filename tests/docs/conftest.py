"""Types in what the pages show, with small networks and little data."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import HANG, QUICK_COMPILATION, ROOT

PROGRAMS = ("jq", "parallel", "git")
"""What the blocks of the pages use, if it is installed."""
# In the place of the command: texts are cut short and networks small, nothing else is changed.
SHORTENED = """#!/bin/bash
if [ "$1" = train ]; then
    shift
    given=()
    network="--units 24 --window 24 --batch-size 4"
    length="--epochs 4"
    while [ $# -gt 0 ]; do
        case $1 in
            --budget) shift 2; continue;;
            --resume) network=; length=;;
            --init-from | --preset) network=;;
        esac
        if [ -f "$1" ]; then
            head -c 6000 "$1" > "short.$(basename "$1")"
            given+=("short.$(basename "$1")")
        else
            given+=("$1")
        fi
        shift
    done
    # Named after the text that was given.
    case " ${given[*]} " in
        *" -o "* | *" --plan "*) ;;
        *) given+=(-o "checkpoints/$(basename "${given[0]#short.}" | sed 's/\\..*//')");;
    esac
    set -- train "${given[@]}" -q $network $length
fi
exec "$PYTHON" -m chargen "$@"
"""


def blocks_of(page: str) -> list[str]:
    """The blocks of a page, or of a section, that are to be typed in."""
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


def prepare(folder: Path) -> None:
    """Make a folder in which the pages' commands can be typed in."""
    shutil.copytree(ROOT / "corpora", folder / "corpora")
    (folder / "bin").mkdir()
    (folder / "bin" / "chargen").write_text(SHORTENED)
    (folder / "bin" / "chargen").chmod(0o755)


def type_in(folder: Path, blocks: Sequence[str]) -> str:
    """Type blocks in, and return what is on standard output.

    The test is skipped if one of them uses a program that is not installed.
    """
    assert blocks
    for program in PROGRAMS:
        if any(re.search(rf"\b{program} ", each) for each in blocks) and not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    # The pages are tested, not their runs, so that these compile quickly in `make slow` too.
    environment = (
        os.environ
        | QUICK_COMPILATION
        | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
        }
    )
    result = subprocess.run(
        ["bash", "-ec", "\n".join(blocks)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "chargen: error" not in result.stderr, "a pipe would hide the status"
    return result.stdout
