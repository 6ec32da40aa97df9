"""The script for Slurm names the workers as chargen reads them."""

import json
import os
import re
import subprocess
from pathlib import Path

from conftest import ROOT

from chargen.training.cluster import Cluster

PAGE = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
COMMANDS = {
    "scontrol": r'test "$*" = "show hostnames node[07-08]" && printf "node07\nnode08\n"',
    "srun": 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done',
    "chargen": 'echo "$TF_CONFIG" | tr -d "\\n" >> configs; echo >> configs',
}
"""What the script meets in the place of Slurm's commands and of ours."""


def test_the_script_for_slurm_describes_each_worker(tmp_path: Path):
    script = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert len(script) == 1
    for name, body in COMMANDS.items():
        command = tmp_path / name
        command.write_text(f"#!/bin/bash\n{body}\n")
        command.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node[07-08]",
        "SLURM_CPUS_PER_TASK": "8",
    }
    subprocess.run(["bash", "-euc", script[0]], cwd=tmp_path, env=environment, check=True)
    found = [
        Cluster.from_environment({"TF_CONFIG": line})
        for line in (tmp_path / "configs").read_text().splitlines()
    ]
    assert [cluster.index for cluster in found] == [0, 1]
    assert {cluster.addresses for cluster in found} == {("node07:2222", "node08:2222")}


def test_the_example_of_the_environment_can_be_read():
    (example,) = re.findall(r"TF_CONFIG='(.*)'", PAGE)
    assert Cluster.from_environment({"TF_CONFIG": example}).size == 2
    assert json.loads(example)["task"]["index"] == 0
