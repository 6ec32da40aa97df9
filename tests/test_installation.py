"""What to ask pip for follows from what is installed."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

CODE = """
from chargen.errors import ChargenError
from chargen.installation import distribution_name, require
print(distribution_name())
require("a page", ["json"], "report")
try:
    require("a page", ["json", "nosuchmodule"], "report")
except ChargenError as error:
    print(error)
"""


def test_where_the_light_one_is_installed_its_name_is_given(tmp_path: Path):
    folder = tmp_path / "chargen_light-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: chargen-light\nVersion: 0.1.0\n")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [
        "chargen-light",
        "a page needs nosuchmodule, which this installation does not have; install it with: "
        "pip install 'chargen-light[report]'",
    ]
