"""Errors name options as whoever made the mistake knows them."""

import pickle
from pathlib import Path

import pytest
from conftest import Run

import chargen
from chargen.errors import ChargenError, OptionError


def test_an_option_is_named_as_in_python_or_as_it_was_typed(checkpoint: Path, run: Run):
    model = chargen.load(checkpoint)
    with pytest.raises(OptionError) as caught:
        model.sample("a", top_k=0)
    assert str(caught.value) == "top_k must be 1 or more; found 0"
    typed = run("sample", "-c", checkpoint, "--top-k", "0").stderr
    assert typed == b"chargen: error: --top-k must be 1 or more; found 0\n"
    assert caught.value.as_typed == "--top-k must be 1 or more; found 0"


@pytest.mark.parametrize(
    ("typed", "in_python"),
    [
        ("give --init-from DIR (or --resume)", "give init_from DIR (or resume)"),
        ("--beta-2 must be 1", "beta_2 must be 1"),
        ("leave out --no-echo", "leave out echo False"),
        ("found '--top-k' in a--b --- here", "found '--top-k' in a--b --- here"),
        ("use `chargen train TEXT -o ck`", "use `chargen train TEXT -o ck`"),
    ],
)
def test_only_options_are_renamed(typed: str, in_python: str):
    error = ChargenError(typed)
    assert (str(error), error.as_typed) == (in_python, typed)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.as_typed) == (in_python, typed)
