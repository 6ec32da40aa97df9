"""Files and directories are replaced whole or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_checkpoint

from chargen.checkpoint.atomic import replace_directory, replace_file, write_file
from chargen.checkpoint.directory import FILES, Checkpoint, find_checkpoints
from chargen.data.vocabulary import Vocabulary


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "file.txt"
    write_file(path, b"old")

    def fail(beside: Path) -> None:
        beside.write_bytes(b"half of the n")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        replace_file(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def new_files(folder: Path) -> None:
    make_checkpoint(folder, "xyz\n")
    (folder / "resume.safetensors").write_bytes(b"new")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoints_files_are_replaced_together(folder: Path):
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("kept")
    folder.chmod(0o750)
    replace_directory(folder, FILES, new_files)
    assert Checkpoint.open(folder).vocabulary == Vocabulary("\nxyz")
    assert names(folder) == sorted([*FILES, "notes"])
    assert (folder / "notes" / "mine.txt").read_text() == "kept"
    assert folder.stat().st_mode & 0o777 == 0o750
    assert names(folder.parent) == ["copy"]


def test_what_fails_while_it_replaces_a_checkpoint_leaves_the_old_one(folder: Path):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(beside: Path) -> None:
        (beside / "model.keras").write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_directory(folder, FILES, fail)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(folder.parent) == ["copy"]


def test_the_working_directory_stays_where_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    replace_directory(Path(), FILES, new_files)
    assert Path.cwd().samefile(folder)
    assert Checkpoint.open(Path()).vocabulary == Vocabulary("\nxyz")
    assert names(folder) == sorted(FILES)


AS_OWNER = ["unshare", "--user"] if os.geteuid() == 0 else []
"""Before a command: it may do no more than the owner of the files, though root starts it."""


def may_be_owner() -> bool:
    """Return whether this Python can be started so; no program can start an emulated one."""
    command = [*AS_OWNER, sys.executable, "-c", ""]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


REPLACE = """
import sys
from pathlib import Path
from chargen.checkpoint.atomic import replace_directory
from chargen.checkpoint.directory import FILES

def write(folder):
    for name in FILES:
        (folder / name).write_text("new")

replace_directory(Path(sys.argv[1]), FILES, write)
"""


@pytest.mark.skipif(not may_be_owner(), reason="no Python without the rights of root")
def test_files_that_cannot_be_moved_stay_where_they_are(folder: Path):
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("kept")
    for number in range(20):
        (folder / f"{number}.txt").write_text("kept")
    before = names(folder)
    (folder / "notes").chmod(0o555)  # a read-only directory stays in its parent
    result = subprocess.run(
        [*AS_OWNER, sys.executable, "-c", REPLACE, folder], capture_output=True, check=False
    )
    (folder / "notes").chmod(0o755)
    assert result.returncode == 0, result.stderr
    assert names(folder) == sorted({*before, *FILES})
    assert {(folder / name).read_text() for name in FILES} == {"new"}
    others = [folder / "notes" / "mine.txt", *(folder / f"{number}.txt" for number in range(20))]
    assert {path.read_text() for path in others} == {"kept"}
    assert names(folder.parent) == ["copy"]


def test_directories_change_places_without_the_systems_help(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    replace_directory(folder, FILES, new_files)
    assert Checkpoint.open(folder).vocabulary == Vocabulary("\nxyz")
    assert names(folder.parent) == ["copy"]


def test_what_a_killed_replacement_left_is_removed_and_never_listed(folder: Path):
    for left in (".copy.123", ".copy.123.old", ".copy.124", ".copy.125"):
        shutil.copytree(folder, folder.with_name(left))
    (folder.with_name(".copy.123") / ".model.123.keras").write_text("half")
    (folder.with_name(".copy.124") / "mine.txt").write_text("kept")
    (folder.with_name(".copy.125") / ".mine").write_text("kept")
    assert find_checkpoints(folder.parent) == [folder]
    replace_directory(folder, FILES, new_files)
    assert names(folder.parent) == [".copy.124", ".copy.125", "copy"]
