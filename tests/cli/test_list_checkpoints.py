"""`chargen list` shows the checkpoints of a folder."""

import json
import shutil
import types
from pathlib import Path
from typing import Any

from conftest import Run

from chargen.cli.list_checkpoints import _time_of


def test_list_shows_the_checkpoints_and_passes_over_broken_ones(
    checkpoint: Path, run: Run, tmp_path: Path
):
    assert run("list").returncode == 1
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    empty = run("list")
    assert (empty.returncode, empty.stdout) == (0, b"")
    shutil.copytree(checkpoint, folder / "good")
    shutil.copytree(checkpoint, folder / "bad")
    (folder / "bad" / "config.json").write_text("{")
    result = run("list")
    assert result.returncode == 0
    assert "checkpoints/good" in result.stdout.decode()
    assert "checkpoints/bad" not in result.stdout.decode()
    assert "skipped" in result.stderr.decode()
    records = json.loads(run("list", "--json").stdout)
    assert [record["path"] for record in records] == ["checkpoints/good"]


def test_a_time_that_is_no_date_is_left_out(tmp_path: Path):
    class Strange(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **_: Any) -> Any:
            return types.SimpleNamespace(st_mtime=1e20)

    assert _time_of(Strange(tmp_path)) is None
    assert str(_time_of(tmp_path)).startswith("2")
