"""Imports run one way, and light commands load nothing heavy."""

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import chargen

PACKAGE = Path(chargen.__file__).parent
NAME = "chargen"

# The parts from the ground up: each may import from those below it that are named.
BELOW = {"config", "errors", "fields", "installation", "plain", "plot"}
ALLOWED = {
    "errors": set(),
    "installation": {"errors"},
    "plain": set(),
    "plot": set(),
    "fields": {"errors"},
    "config": {"errors", "fields"},
    "data": BELOW,
    "models": BELOW,
    "checkpoint": BELOW | {"data"},
    "network": BELOW | {"data", "checkpoint"},
    "scoring": BELOW | {"data", "network"},
    "sampling": BELOW | {"data", "network", "scoring"},
    "model": BELOW | {"data", "checkpoint", "network", "scoring", "sampling"},
    "analysis": BELOW | {"data", "checkpoint", "network", "scoring"},
    "export": BELOW | {"data", "checkpoint", "network", NAME},
    "training": BELOW | {"data", "models", "checkpoint", "network", "scoring", "sampling", NAME},
    "report": BELOW
    | {"data", "checkpoint", "network", "scoring", "sampling", "model", "analysis", NAME},
    "cli": BELOW
    | {"data", "checkpoint", "network", "scoring", "sampling", "model", "training", NAME}
    | {"analysis", "export", "report"},
    NAME: {"errors", "model", "scoring", "training"},
    "__main__": {"cli"},
}
FRAMEWORKS = {"keras", "tensorflow"}
MAY_USE_FRAMEWORKS = {"models", "training"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part(parts: tuple[str, ...]) -> str:
    if len(parts) == 1:
        return NAME if parts[0] in {"__init__", NAME} else parts[0]
    return parts[0]


def imported(path: Path) -> set[str]:
    """Every absolute module name that a file imports, at its top or anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_before_it(path: Path):
    own = part(path.relative_to(PACKAGE).with_suffix("").parts)
    for name in imported(path):
        first, *rest = name.split(".")
        if first == NAME:
            other = rest[0] if rest and rest[0] in ALLOWED else NAME
            assert other == own or other in ALLOWED[own], f"{path} imports {name}"
        if first in FRAMEWORKS:
            assert own in MAY_USE_FRAMEWORKS, f"{path} imports {name}"
        if first == "rich":
            assert path.name in {"display.py", "panel.py"}, f"{path} imports {name}"


def test_every_part_of_the_package_has_its_rule():
    parts = {part(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES}
    assert parts == set(ALLOWED)


def test_no_part_is_above_itself():
    """Whatever a part may import stands before it in the list, so that there is no circle."""
    order = list(ALLOWED)
    for name, others in ALLOWED.items():
        assert all(order.index(other) < order.index(name) for other in others - {NAME})


def test_no_two_modules_import_each_other():
    names = {}
    for path in MODULES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    graph = {
        name: {
            module
            for each in imported(path)
            for module in (each, each.rpartition(".")[0])
            if module in names and module not in (name, NAME)
        }
        for name, path in names.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def loaded_by(code: str, cwd: Path) -> set[str]:
    """Top-level modules that a process has loaded after running some code."""
    script = f"""
import atexit, sys
atexit.register(lambda: print("\\nLOADED", *{{name.split(".")[0] for name in sys.modules}}))
{code}
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.rsplit("LOADED ", 1)[1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["sample", "--help"],
        ["compare", "--help"],
        ["sample", "-c", "CK", "-n", "3"],
        ["evaluate", "TEXT", "-c", "CK"],
        ["gradients", "--help"],
        ["gradients", "CK", "--text", "TEXT"],
        ["info", "CK"],
        ["report", "--help"],
        ["report", "CK", "-o", "PAGE"],
        ["list", "CK"],
        ["export", "CK", "-o", "model.safetensors"],
    ],
    ids=" ".join,
)
def test_light_commands_load_no_framework(arguments: list[str], checkpoint: Path, tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("abcabc")
    places = {"CK": str(checkpoint), "TEXT": str(text), "PAGE": str(tmp_path / "page.html")}
    argv = ["chargen", *(places.get(argument, argument) for argument in arguments)]
    code = f"import sys; sys.argv = {argv!r}; from chargen.cli import main; main()"
    loaded = loaded_by(code, tmp_path)
    assert not loaded & {"keras", "tensorflow", "rich"}
    if arguments[-1] == "--help":
        assert not loaded & {"numpy", "h5py"}


@pytest.mark.slow
def test_a_run_that_has_ended_is_told_so_without_a_framework(tmp_path: Path):
    (tmp_path / "text").write_text("the heron counted the moons\n" * 20)
    train = ["chargen", "train", "-q", "-o", "ck"]
    small = ["text", "--units", "4", "--window", "4", "--epochs", "1"]
    for more, expected in ((small, FRAMEWORKS), (["--resume"], set())):
        code = f"import sys; sys.argv = {train + more!r}; from chargen.cli import main; main()"
        assert loaded_by(code, tmp_path) & FRAMEWORKS == expected


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path):
    assert not loaded_by("import chargen", tmp_path) & {"keras", "tensorflow", "numpy", "h5py"}


# What only some systems have: modules, and names of modules that all have.
ELSEWHERE = """
import os, pkgutil, signal, sys
from importlib import import_module
for name in ("h5py", "rich.progress", "tensorflow", "threadpoolctl", "zstandard"):
    try:
        import_module(name)  # what others need of their system is no matter of ours
    except ModuleNotFoundError:
        pass
without = "fcntl grp pty pwd readline resource syslog termios tty _curses"
sys.modules.update(dict.fromkeys(without.split()))
for name in ("O_DIRECTORY", "fork", "getuid", "sched_getaffinity", "sysconf"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1"):
    delattr(signal, name)
import chargen
for module in pkgutil.walk_packages(chargen.__path__, "chargen."):
    if module.name == "chargen.__main__":
        continue  # runs the command
    try:
        import_module(module.name)
        print(module.name)
    except ModuleNotFoundError as error:
        if error.name not in {"keras", "rich", "tensorflow"}:  # as in a light install
            raise
"""


def test_nothing_at_import_is_for_some_systems_only(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = set(result.stdout.split())
    assert {"chargen.checkpoint.atomic", "chargen.training.lock", "chargen.training.plan"} <= found


def test_each_name_in_all_can_be_imported():
    for name in chargen.__all__:
        assert getattr(chargen, name) is not None
    assert set(chargen.__all__) <= set(dir(chargen))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        chargen.nothing  # noqa: B018


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_all_holds_each_public_name_of_a_module(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed: set[str] | None = None
    defined = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            listed = set(ast.literal_eval(node.value))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            defined.add(node.name)
    if path.name not in {"__init__.py", "__main__.py"}:
        assert listed is not None, f"{path} has no __all__"
        assert defined <= listed, f"{path}: __all__ leaves out {defined - listed}"
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        assert all(hasattr(importlib.import_module(module), name) for name in listed)
