"""`chargen export` writes one file, says where, and never replaces anything unasked."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND, HANG, run_here
from safetensors.numpy import load

from cli.conftest import read_to_end, shell

NAME = "model.safetensors"


@pytest.mark.parametrize("name", [NAME, "MODEL.SafeTensors"])
def test_the_file_is_written_and_its_path_printed(name: str, checkpoint: Path, tmp_path: Path):
    result = run_here(tmp_path, "export", checkpoint, "-o", name)
    assert result.returncode == 0
    assert result.stdout == f"{name}\n".encode()
    size = (tmp_path / name).stat().st_size
    assert result.stderr == f"chargen: wrote {size / 1e6:.2f} MB ({size:,} bytes)\n".encode()
    assert len(load((tmp_path / name).read_bytes())) == 5
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_quiet_leaves_the_path_alone(checkpoint: Path, tmp_path: Path):
    result = run_here(tmp_path, "export", checkpoint, "-o", NAME, "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{NAME}\n".encode(), b"")


def test_the_ending_says_the_format_and_a_format_overrules_it(checkpoint: Path, tmp_path: Path):
    onnx = pytest.importorskip("onnx", reason="onnx, which writes the graphs, is not installed")
    for arguments in (["-o", "model.onnx"], ["-o", "model.html", "--format", "onnx"]):
        assert run_here(tmp_path, "export", checkpoint, *arguments).returncode == 0
        model = onnx.load_from_string((tmp_path / arguments[1]).read_bytes())
        assert model.producer_name == "chargen"


def test_a_page_is_a_format_too(checkpoint: Path, tmp_path: Path):
    assert run_here(tmp_path, "export", checkpoint, "-o", "model.html").returncode == 0
    assert b"<html" in (tmp_path / "model.html").read_bytes()


def test_a_file_that_is_there_is_replaced_only_by_force(checkpoint: Path, tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"somebody's")
    refused = run_here(tmp_path, "export", checkpoint, "-o", NAME)
    assert (refused.returncode, refused.stdout) == (1, b"")
    said = f"chargen: error: {NAME} is already there; give --force to replace it\n"
    assert refused.stderr.decode() == said
    assert (tmp_path / NAME).read_bytes() == b"somebody's"
    forced = run_here(tmp_path, "export", checkpoint, "-o", NAME, "--force")
    assert forced.returncode == 0
    assert len(load((tmp_path / NAME).read_bytes())) == 5


def test_force_replaces_no_pipe(checkpoint: Path, tmp_path: Path):
    """Nor a device: a file in the place of /dev/null would harm every program."""
    os.mkfifo(tmp_path / NAME)
    result = run_here(tmp_path, "export", checkpoint, "-o", NAME, "--force")
    assert result.returncode == 1
    assert b"is no regular file; name another one" in result.stderr
    assert (tmp_path / NAME).is_fifo()


def test_standard_output_takes_what_the_file_would_hold(checkpoint: Path, tmp_path: Path):
    run_here(tmp_path, "export", checkpoint, "-o", NAME)
    result = run_here(tmp_path, "export", checkpoint, "-o", "-", "--format", "safetensors")
    assert result.returncode == 0
    assert result.stdout == (tmp_path / NAME).read_bytes()
    assert result.stderr.startswith(b"chargen: wrote ")
    full = shell(f"chargen export {checkpoint} -o - --format safetensors > /dev/full", tmp_path)
    assert full.returncode == 1
    assert b"No space left on device" in full.stderr


def test_a_terminal_is_spared_the_file(checkpoint: Path):
    master, slave = pty.openpty()
    arguments = ["export", str(checkpoint), "-o", "-", "--format", "safetensors"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    shown = read_to_end(master)
    os.close(master)
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(HANG) == 1
    assert said.startswith(b"chargen: error: standard output is a terminal, ")
    assert shown == b""


def test_without_a_name_the_newest_checkpoint_is_used(checkpoint: Path, tmp_path: Path):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "poems")
    result = run_here(tmp_path, "export", "-o", NAME)
    assert result.returncode == 0
    assert result.stderr.startswith(b"chargen: using checkpoints/poems\nchargen: wrote ")


def test_without_the_library_the_extra_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    result = run_here(tmp_path, "export", checkpoint, "-o", "model.onnx")
    assert result.returncode == 1
    said = "chargen: error: export to ONNX needs onnx, which this installation does not have; "
    assert result.stderr.decode().startswith(said + "install it with: pip install 'chargen")
    assert result.stderr.endswith(b"[onnx]'\n")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_leaves_the_file_that_was_there(checkpoint: Path, tmp_path: Path):
    (tmp_path / NAME).write_bytes(b"somebody's")
    # A process that may write no file of more than 1 KB meets what a full disk gives.
    # What Python compiled would be cut off too, and break whoever imports it next.
    limited = "export PYTHONDONTWRITEBYTECODE=1; "
    limited += f"trap '' XFSZ; ulimit -f 1; chargen export {checkpoint} -o {NAME} --force"
    result = shell(limited, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"chargen: error: cannot use {NAME}: File too large".encode())
    assert (tmp_path / NAME).read_bytes() == b"somebody's"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
