"""Fields are checked alike in every configuration, and are the same again from JSON."""

import dataclasses
import json
import shlex
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import MODEL, TRAINING

from chargen.cli.train import command
from chargen.config import TRAIN_OPTIONS, ModelConfig, SampleConfig, TrainConfig
from chargen.errors import OptionError
from chargen.fields import Option, fields_of


@pytest.mark.parametrize(
    "config", [MODEL, TRAINING, SampleConfig(), SampleConfig(length=None, stop="\n", top_k=3)]
)
def test_json_gives_back_the_same(config: Any):
    assert type(config).from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (None, "expected an object; found None"),
        ([], "expected an object"),
        ({}, "lacks units, vocabulary_size, window"),
        ({"units": 3}, "lacks vocabulary_size, window"),
        (MODEL.to_json() | {"more": 1}, "has unknown fields: more"),
    ],
)
def test_json_with_other_fields_is_refused(broken: Any, message: str):
    with pytest.raises(OptionError, match=message):
        ModelConfig.from_json(broken)


def test_json_without_a_field_takes_its_default():
    values = MODEL.to_json()
    del values["dropout"]
    assert ModelConfig.from_json(values) == MODEL


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL.units = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("config", "field", "value", "message"),
    [
        (MODEL, "units", 0, "units must be a whole number from 1 to 16,384; found 0"),
        (MODEL, "units", "8", "units must be a whole number from 1 to 16,384; found '8'"),
        (MODEL, "cell", "cnn", "cell must be one of rnn, lstm, gru; found 'cnn'"),
        (MODEL, "cell", 3, "cell must be one of rnn, lstm, gru; found 3"),
        (MODEL, "bidirectional", 1, "bidirectional must be True or False; found 1"),
        (MODEL, "dropout", 1, "dropout must be at least 0 and below 1; found 1"),
        (
            MODEL,
            "dropout",
            float("nan"),
            "dropout must be at least 0 and below 1, and finite; found nan",
        ),
        (TRAINING, "epochs", 0, "epochs must be 1 or more; found 0"),
        (TRAINING, "epochs", 1.5, "epochs must be a whole number, 1 or more; found 1.5"),
        (
            TRAINING,
            "epochs",
            10**13,
            "epochs must be a whole number from 1 to 1,000,000,000,000; found 10000000000000",
        ),
        (TRAINING, "learning_rate", 0, "learning_rate must be above 0; found 0"),
        (TRAINING, "learning_rate", True, "learning_rate must be above 0; found True"),
        (TRAINING, "clip_norm", -1, "clip_norm must be 0 (off) or more; found -1"),
        (TRAINING, "beta_2", 1, "beta_2 must be between 0 and 1; found 1"),
        (
            TRAINING,
            "validation",
            1,
            "validation must be a share of the text, at least 0 and below 1, or a file; found 1",
        ),
        (TRAINING, "encoding", "", "encoding must be a name; found ''"),
        (TRAINING, "precision_reason", 1, "precision_reason must be a sentence; found 1"),
        (TRAINING, "threads", 0, "threads must be a whole number from 1 to 4,096; found 0"),
        (
            TRAINING,
            "budget",
            5,
            "budget must be 10 seconds or more, as start-up alone takes half of that; found 5",
        ),
        (SampleConfig(), "temperature", -1, "temperature must be 0 or more; found -1"),
        (SampleConfig(), "temperature", None, "temperature must be 0 or more; found None"),
        (SampleConfig(), "top_p", 0, "top_p must be above 0 and at most 1; found 0"),
        (SampleConfig(), "min_p", 2, "min_p must be from 0 to 1; found 2"),
        (SampleConfig(), "stop", "", "stop must be at least one character; found ''"),
        (SampleConfig(), "stop", 5, "stop must be at least one character; found 5"),
    ],
)
def test_a_refusal_says_what_was_wanted_and_what_was_found(
    config: Any, field: str, value: Any, message: str
):
    with pytest.raises(OptionError) as refused:
        dataclasses.replace(config, **{field: value})
    assert str(refused.value) == message


@pytest.mark.parametrize("config", [MODEL, TRAINING, SampleConfig(top_k=3, top_p=0.5, min_p=0.5)])
def test_numbers_of_numpy_are_numbers(config: Any):
    """They are checked as Python's, and kept as Python's, which JSON can hold."""
    values = {
        name: np.float64(value) if isinstance(value, float) else np.int16(value)
        for name, value in config.to_json().items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert len(values) > 3
    same = dataclasses.replace(config, **values)
    assert same == config
    assert json.loads(json.dumps(same.to_json())) == config.to_json()


@pytest.mark.parametrize(
    "number", [10**400, -(10**5000), Fraction(10) ** 400], ids=["high", "low", "fraction"]
)
@pytest.mark.parametrize("field", ["learning_rate", "budget", "epochs", "validation"])
def test_numbers_that_no_float_holds_are_refused_as_infinite(field: str, number: Any):
    with pytest.raises(OptionError, match=r"[a-z_]+ must be .*; found -?inf"):
        dataclasses.replace(TRAINING, **{field: number})


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("batch_size", 4, "--batch-size 4"),
        ("validation", "a file", "--validation 'a file'"),
        ("budget", None, "no --budget"),
        ("bidirectional", True, "--bidirectional"),
        ("bidirectional", False, "no --bidirectional"),
        ("calibrate", True, "--calibrate"),
        ("calibrate", False, "--no-calibrate"),
    ],
)
def test_a_value_is_shown_as_it_is_typed(name: str, value: Any, shown: str):
    assert TRAIN_OPTIONS[name].shown(value) == shown
    words = TRAIN_OPTIONS[name].typed(value)
    assert words == (shlex.split(shown) if shown.startswith("-") else [])
    given = command.make_context("train", ["text", *words], resilient_parsing=True).params[name]
    assert given == value


CONFIGS = (ModelConfig, TrainConfig, SampleConfig)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_each_field_says_what_it_is(config: type):
    for name, field in fields_of(config).items():
        assert isinstance(field.option, Option), name
        assert field.option.help.endswith("."), name
        assert not field.default_words.endswith("."), name
        # What a value must be can be said of each.
        assert field.choices or field.kind is bool or field.option.words(), name
