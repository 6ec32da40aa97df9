"""Configurations check their fields, and are the same again from JSON."""

import dataclasses
import json
from typing import Any, get_type_hints

import numpy as np
import pytest

from chargen.config import (
    SAMPLE_OPTIONS,
    TRAIN_OPTIONS,
    ModelConfig,
    SampleConfig,
    SampleOptions,
    TrainConfig,
    TrainOptions,
    check_max_copy,
    check_random_seed,
    check_threads,
)
from chargen.errors import OptionError
from chargen.fields import Option, fields_of

MODEL = ModelConfig(vocabulary_size=10, units=8, window=4)
TRAINING = TrainConfig(
    epochs=1, batch_size=2, learning_rate=0.1, evaluate_every=3, random_seed=4, validation=0.1
)


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
    ("field", "value"),
    [
        ("vocabulary_size", 0),
        ("units", 0),
        ("units", 2.5),
        ("units", True),
        ("units", "8"),
        ("units", 10**9),
        ("window", 0),
        ("cell", "transformer"),
        ("layers", 0),
        ("bidirectional", 1),
        ("embedding", -1),
        ("activation", "swish"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("dropout", "much"),
        ("dropout", float("nan")),
        ("predict", "first"),
    ],
)
def test_a_model_out_of_range_is_refused_by_option(field: str, value: Any):
    with pytest.raises(OptionError, match="--" + field.replace("_", "-")):
        ModelConfig(**MODEL.to_json() | {field: value})


def test_bidirectional_goes_with_predict_last_only():
    with pytest.raises(OptionError, match="read the very characters it is asked to predict"):
        dataclasses.replace(MODEL, bidirectional=True)
    assert dataclasses.replace(MODEL, bidirectional=True, predict="last").bidirectional


def test_activation_goes_with_rnn_only():
    with pytest.raises(OptionError, match="--activation relu goes only with --cell rnn"):
        dataclasses.replace(MODEL, activation="relu")
    assert dataclasses.replace(MODEL, cell="rnn", activation="relu").activation == "relu"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("learning_rate", float("inf")),
        ("evaluate_every", 0),
        ("random_seed", -1),
        ("validation", 1.0),
        ("validation", -0.5),
        ("validation", ""),
        ("validation", None),
        ("encoding", 8),
        ("min_count", 0),
        ("optimizer", "lion"),
        ("schedule", "linear"),
        ("clip_norm", -1),
        ("weight_decay", 1),
        ("patience", -1),
        ("beta_2", 1),
        ("preset", "magic"),
    ],
)
def test_training_out_of_range_is_refused_by_option(field: str, value: Any):
    with pytest.raises(OptionError, match="--" + field.replace("_", "-")):
        TrainConfig(**TRAINING.to_json() | {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length", -1),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_k", 0),
        ("top_p", 0),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("min_p", 1.5),
        ("stop", ""),
    ],
)
def test_sampling_out_of_range_is_refused_by_option(field: str, value: Any):
    with pytest.raises(OptionError, match="--" + field.replace("_", "-")):
        SampleConfig(**SampleConfig().to_json() | {field: value})


@pytest.mark.parametrize(
    ("config", "field", "value", "message"),
    [
        (MODEL, "units", 0, "--units must be a whole number from 1 to 16,384; found 0"),
        (MODEL, "units", "8", "--units must be a whole number from 1 to 16,384; found '8'"),
        (MODEL, "cell", "cnn", "--cell must be one of rnn, lstm, gru; found 'cnn'"),
        (MODEL, "cell", 3, "--cell must be one of rnn, lstm, gru; found 3"),
        (MODEL, "bidirectional", 1, "--bidirectional must be True or False; found 1"),
        (MODEL, "dropout", 1, "--dropout must be at least 0 and below 1; found 1"),
        (
            MODEL,
            "dropout",
            float("nan"),
            "--dropout must be at least 0 and below 1, and finite; found nan",
        ),
        (TRAINING, "epochs", 0, "--epochs must be 1 or more; found 0"),
        (TRAINING, "epochs", 1.5, "--epochs must be a whole number, 1 or more; found 1.5"),
        (
            TRAINING,
            "epochs",
            10**13,
            "--epochs must be a whole number from 1 to 1,000,000,000,000; found 10000000000000",
        ),
        (TRAINING, "learning_rate", 0, "--learning-rate must be above 0; found 0"),
        (TRAINING, "learning_rate", True, "--learning-rate must be above 0; found True"),
        (TRAINING, "clip_norm", -1, "--clip-norm must be 0 (off) or more; found -1"),
        (TRAINING, "beta_2", 1, "--beta-2 must be between 0 and 1; found 1"),
        (
            TRAINING,
            "validation",
            1,
            "--validation must be a share of the text, at least 0 and below 1, or a file; found 1",
        ),
        (TRAINING, "encoding", "", "--encoding must be a name; found ''"),
        (TRAINING, "precision_reason", 1, "--precision-reason must be a sentence; found 1"),
        (TRAINING, "threads", 0, "--threads must be a whole number from 1 to 4,096; found 0"),
        (
            TRAINING,
            "budget",
            5,
            "--budget must be 10 seconds or more, as start-up alone takes half of that; found 5",
        ),
        (SampleConfig(), "temperature", -1, "--temperature must be 0 or more; found -1"),
        (SampleConfig(), "temperature", None, "--temperature must be 0 or more; found None"),
        (SampleConfig(), "top_p", 0, "--top-p must be above 0 and at most 1; found 0"),
        (SampleConfig(), "min_p", 2, "--min-p must be from 0 to 1; found 2"),
        (SampleConfig(), "stop", "", "--stop must be at least one character; found ''"),
        (SampleConfig(), "stop", 5, "--stop must be at least one character; found 5"),
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


def test_checks_of_single_values_give_back_numbers_of_python():
    for check in (check_max_copy, check_random_seed, check_threads):
        assert type(check(np.uint8(3))) is int
        with pytest.raises(OptionError, match=r"must be .*; found -1$"):
            check(np.int64(-1))
        with pytest.raises(OptionError, match=r"must be .*; found 2\.5$"):
            check(2.5)
    assert check_threads(None) is None
    with pytest.raises(OptionError, match="--max-copy must be"):
        check_max_copy(None)


CONFIGS = (ModelConfig, TrainConfig, SampleConfig)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_each_field_says_what_it_is(config: type):
    for name, field in fields_of(config).items():
        assert isinstance(field.option, Option), name
        assert field.option.help.endswith("."), name
        assert not field.default_words.endswith("."), name
        # What a value must be can be said of each.
        assert field.choices or field.kind is bool or field.option.words(), name


@pytest.mark.parametrize(
    ("options", "fields", "configs"),
    [
        (TrainOptions, TRAIN_OPTIONS, (ModelConfig, TrainConfig)),
        (SampleOptions, SAMPLE_OPTIONS, (SampleConfig,)),
    ],
)
def test_the_static_signature_is_that_of_the_fields(options: Any, fields: Any, configs: Any):
    """Type checkers need the names and types a second time; they are the same."""
    assert get_type_hints(options) == {name: field.given_type for name, field in fields.items()}
    grouped = {
        name
        for config in configs
        for name, field in fields_of(config).items()
        if field.option.group is not None
    }
    assert set(fields) == grouped
    assert not options.__required_keys__


def test_json_has_the_names_it_always_had():
    assert list(MODEL.to_json()) == [
        "vocabulary_size", "units", "window", "cell", "layers", "bidirectional", "embedding",
        "activation", "dropout", "predict",
    ]  # fmt: skip
    assert list(TRAINING.to_json()) == [
        "epochs", "batch_size", "learning_rate", "evaluate_every", "random_seed", "validation",
        "encoding", "min_count", "optimizer", "schedule", "clip_norm", "weight_decay",
        "weight_drop", "average", "precision", "precision_reason", "shards", "budget", "patience",
        "beta_2", "save_every", "preset", "threads",
    ]  # fmt: skip
