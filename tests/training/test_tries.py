"""What a network of a comparison may choose, and what is chosen for all."""

import shlex

import pytest

from chargen.config import CELLS, TRAIN_OPTIONS
from chargen.errors import OptionError
from chargen.training.tries import COMPARE_OPTIONS, DEFAULT_TRIES, TRY_OPTIONS, check_try, words_of


def test_every_option_of_train_but_patience_is_one_of_a_comparison():
    assert set(COMPARE_OPTIONS) == set(TRAIN_OPTIONS) - {"patience"} | {"seeds"}
    assert set(TRY_OPTIONS) < set(COMPARE_OPTIONS)
    assert {each["cell"] for each in DEFAULT_TRIES} == set(CELLS)
    for each in DEFAULT_TRIES:
        assert check_try(each) == each


@pytest.mark.parametrize("name", sorted(set(TRAIN_OPTIONS) - set(TRY_OPTIONS)))
def test_what_would_make_a_comparison_unfair_is_refused_with_the_reason(name: str):
    with pytest.raises(OptionError, match=f"^{name} does not belong in a try: (all|every) "):
        check_try({name: 1})


def test_how_often_a_run_is_saved_is_refused_with_its_own_reason():
    with pytest.raises(OptionError, match="does not belong in a try: all runs are saved equally"):
        check_try({"save_every": 10})


def test_a_value_out_of_range_is_refused_and_an_unknown_name_is_a_mistake():
    with pytest.raises(OptionError, match="units must be"):
        check_try({"units": 0})
    with pytest.raises(TypeError, match="unknown option: colour"):
        check_try({"colour": "red"})


def test_options_are_shown_as_they_are_typed():
    words = words_of({"cell": "gru", "batch_size": 4, "bidirectional": True})
    assert shlex.split(words) == ["--cell", "gru", "--batch-size", "4", "--bidirectional"]
    assert words_of({"bidirectional": False}) == ""
    assert words_of({"calibrate": False}) == "--no-calibrate"
