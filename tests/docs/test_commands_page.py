"""The page of the commands and the help in Python are in step with the commands."""

import importlib.util
import inspect
import pydoc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT

import chargen
from chargen.config import SAMPLE_OPTIONS, TRAIN_OPTIONS
from chargen.fields import Field


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


@pytest.mark.parametrize(
    ("function", "fields"),
    [(chargen.Model.sample, SAMPLE_OPTIONS), (chargen.train, TRAIN_OPTIONS)],
    ids=["sample", "train"],
)
def test_help_in_python_shows_each_option_with_its_meaning(
    function: Callable[..., Any], fields: dict[str, Field]
):
    shown = pydoc.plain(pydoc.render_doc(function))
    text = " ".join(shown.split())
    parameters = inspect.signature(function).parameters
    for name, field in fields.items():
        assert f"{name}: {field.option.help}" in text
        assert f"{name}: " in shown.split("\n")[2], "the signature has it"
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        if not field.option.default:
            assert parameters[name].default == field.default
    assert "options" not in parameters
    assert "**options" not in shown
    assert {"Args:", "Raises:"} <= set(text.split())
    assert all(len(line) <= 100 for line in shown.split("\n")[3:])
    assert inspect.getdoc(function) == function.__doc__


def test_sample_and_stream_take_the_same():
    ours = [inspect.signature(each) for each in (chargen.Model.sample, chargen.Model.stream)]
    assert ours[0].parameters == ours[1].parameters
    assert list(ours[0].parameters)[:2] == ["self", "seed"]
