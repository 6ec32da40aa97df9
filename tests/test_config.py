"""Configurations refuse what is out of range or does not go together."""

import dataclasses
from typing import Any, get_type_hints

import numpy as np
import pytest
from conftest import MODEL, TRAINING

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
    draw_random_seed,
)
from chargen.errors import OptionError
from chargen.fields import fields_of


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
    with pytest.raises(OptionError, match=field):
        ModelConfig(**MODEL.to_json() | {field: value})


def test_bidirectional_goes_with_predict_last_only():
    with pytest.raises(OptionError, match="read the characters that it should predict"):
        dataclasses.replace(MODEL, bidirectional=True)
    assert dataclasses.replace(MODEL, bidirectional=True, predict="last").bidirectional


def test_activation_goes_with_rnn_only():
    with pytest.raises(OptionError, match="activation relu goes only with cell rnn"):
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
    with pytest.raises(OptionError, match=field):
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
    with pytest.raises(OptionError, match=field):
        SampleConfig(**SampleConfig().to_json() | {field: value})


def test_checks_of_single_values_give_back_numbers_of_python():
    for check in (check_max_copy, check_random_seed, check_threads):
        assert type(check(np.uint8(3))) is int
        with pytest.raises(OptionError, match=r"must be .*; found -1$"):
            check(np.int64(-1))
        with pytest.raises(OptionError, match=r"must be .*; found 2\.5$"):
            check(2.5)
    assert check_threads(None) is None
    with pytest.raises(OptionError, match="max_copy must be"):
        check_max_copy(None)


def test_a_random_seed_that_is_drawn_is_another_each_time_and_can_be_typed_in_again():
    seeds = {draw_random_seed() for _ in range(100)}
    assert len(seeds) > 90
    assert all(check_random_seed(seed) == seed < 2**32 for seed in seeds)


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
        "encoding", "newlines", "field", "min_count", "keep_ids", "optimizer", "schedule",
        "clip_norm", "weight_decay", "weight_drop", "average", "calibrate", "precision",
        "precision_reason", "shards", "budget", "patience", "beta_2", "save_every",
        "preset", "threads", "init_from",
    ]  # fmt: skip
