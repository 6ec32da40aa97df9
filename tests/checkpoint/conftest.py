"""What tests of checkpoints share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))
