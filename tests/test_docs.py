"""The documentation is in step with the commands."""

import importlib.util
from types import ModuleType

from conftest import ROOT


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_commands_is_what_they_say():
    write_cli = load("write_cli")
    found = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert found == write_cli.page(), "run: python docs/write_cli.py"
