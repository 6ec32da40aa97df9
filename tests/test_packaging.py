"""The built wheel works away from the source, and holds what it should."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from chargen.cli import COMMANDS


@pytest.mark.slow
def test_the_wheel_works_away_from_the_source(tmp_path: Path, checkpoint: Path):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("chargen-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "chargen/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0].split("-")[0] for name in names}
    assert tops == {"chargen"}
    pages = {name.rpartition("/")[2] for name in names if "/share/man/man1/" in name}
    assert pages == {"chargen.1", *(f"chargen-{command}.1" for command in COMMANDS)}
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = f"""
import sys
sys.path.insert(0, {str(site)!r})
import chargen
assert chargen.__file__.startswith({str(site)!r}), chargen.__file__
from chargen.cli import main
sys.argv = ["chargen", "sample", "-c", {str(checkpoint)!r}, "-s", "abc", "-n", "9"]
main()
"""
    result = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert result.stdout.startswith(b"abc")
    assert len(result.stdout) == 13
