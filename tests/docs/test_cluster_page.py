"""What docs/cluster.md shows runs on two processes, and gives what the command gives."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import FABLES, HANG, ROOT, make_checkpoint, run_process

import chargen

PACKAGES = ("dask", "distributed", "pandas", "pyarrow")
MISSING = [name for name in PACKAGES if find_spec(name) is None]
LINES = 600
ALIKE = 1e-4
"""How far a figure may depend on the texts that were scored along with it: random weights magnify
rounding."""


def run(folder: Path, name: str, program: str) -> None:
    """Run a block of the page as a program."""
    (folder / name).write_text(program, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"{' '.join(MISSING)} not installed")
def test_a_table_is_scored_and_written_as_the_command_does_it(tmp_path: Path):
    import pandas as pd

    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    table, spread = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    make_checkpoint(tmp_path / "checkpoints" / "fables", FABLES, units=32)
    lines = FABLES.splitlines(keepends=True)[:LINES]
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "fables.txt").write_text("".join(lines), encoding="utf-8")
    run(tmp_path, "table.py", table)
    run(tmp_path, "spread.py", spread)
    scores = pd.read_parquet(tmp_path / "scores")
    assert len(list((tmp_path / "scores").glob("*.parquet"))) == 8
    command = ("evaluate", "corpora/fables.txt", "-c", "checkpoints/fables", "--per", "line")
    result = run_process(tmp_path, *command, "--reset", "line", "--json")
    expected = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(scores) == len(expected) == LINES
    for name in ("text", "characters", "unknown_characters"):
        assert scores[name].tolist() == [record[name] for record in expected]
    bits = [record["bits_per_character"] for record in expected]
    assert scores["bits_per_character"].tolist() == pytest.approx(bits, rel=ALIKE)
    written = pd.read_parquet(tmp_path / "written")
    model = chargen.load(tmp_path / "checkpoints" / "fables")
    for number in range(0, LINES, 97):
        row = written.iloc[number]
        alone = model.sample(row["text"][:10], length=40, random_seed=number)
        assert row["written"] == alone
