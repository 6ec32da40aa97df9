import dataclasses
import json
from typing import Any

import pytest

from chargen.config import ModelConfig, SampleConfig, TrainConfig
from chargen.errors import OptionError

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
