"""Shells complete commands, options, files and names of checkpoints."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    for name in ("names", "notes", "poems"):
        shutil.copytree(checkpoint, tmp_path / "checkpoints" / name)
    (tmp_path / "checkpoints" / "README.md").write_text("no checkpoint")
    return tmp_path


def offered(run: Run, *words: str) -> list[str]:
    """What Click says to a shell that asks about the last word: type and value of each item."""
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    result = run(_CHARGEN_COMPLETE="bash_complete", **asked)
    assert result.stderr == b""
    return result.stdout.decode().split()


@pytest.mark.parametrize(
    "words", ["sample -c", "evaluate -c", "info", "export", "train -o", "train --init-from"]
)
def test_names_of_checkpoints_are_completed(run: Run, folder: Path, words: str):
    asked = ["chargen", *words.split()]
    assert offered(run, *asked, "checkpoints/n") == [
        "plain,checkpoints/names",
        "plain,checkpoints/notes",
    ]
    assert offered(run, *asked, "else") == ["dir,else"]


def test_checkpoints_of_a_comparison_are_completed(run: Run, checkpoint: Path, folder: Path):
    shutil.copytree(checkpoint, folder / "checkpoints" / "compare-notes" / "lstm")
    asked = ("chargen", "sample", "-c", "checkpoints/compare")
    assert offered(run, *asked) == ["plain,checkpoints/compare-notes/lstm"]


def test_commands_options_choices_and_files_are_completed(run: Run, folder: Path):
    assert offered(run, "chargen", "no") == ["plain,novelty"]
    assert "plain,--max-copy" in offered(run, "chargen", "sample", "--m")
    assert offered(run, "chargen", "evaluate", "--per", "l") == ["plain,line"]
    commands = ("train", "evaluate", "novelty", "sample --seeds", "export -o", "gradients")
    for command in commands:
        assert offered(run, "chargen", *command.split(), "po") == ["file,po"]
    assert offered(run, "chargen", "train", "--tensorboard", "lo") == ["dir,lo"]
    assert offered(run, "chargen", "gradients", "checkpoints/p") == ["plain,checkpoints/poems"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(run: Run, shell: str):
    result = run("completion", shell)
    assert result.returncode == 0
    assert f"_CHARGEN_COMPLETE={shell}_complete" in result.stdout.decode()
    if installed := shutil.which(shell):
        check = [installed, "-n", "/dev/stdin"] if shell != "fish" else [installed, "--no-execute"]
        subprocess.run(check, input=result.stdout, check=True)


def test_bash_completes_a_checkpoint(folder: Path):
    script = """
eval "$(chargen completion bash)"
complete -p chargen > /dev/null
COMP_WORDS=(chargen sample --checkpoint checkpoints/na) COMP_CWORD=3
_chargen_completion chargen
echo "${COMPREPLY[@]}"
"""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    command = ["bash", "-c", script]
    result = subprocess.run(
        command, cwd=folder, env={"PATH": path}, capture_output=True, check=True
    )
    assert result.stdout == b"checkpoints/names\n"
