"""A batch learned from in shards, and steps in blocks, come to the same."""

from typing import Any

import numpy as np
import pytest
from conftest import make_training

from chargen.config import ModelConfig
from chargen.training import runtime

runtime.start()
from chargen.models.factory import build_learner  # noqa: E402

pytestmark = pytest.mark.cpu
RATE = np.float32(0.01)
LEARNERS: dict[str, tuple[Any, list[np.ndarray]]] = {}
"""Each model that was compiled, with the first values of its variables."""


def learner(shards: int, config: ModelConfig, **options: Any) -> Any:
    """Give a model that has learned nothing: the same one each time, since compiling takes long."""
    key = repr((shards, config, options))
    if key not in LEARNERS:
        given = {"optimizer": "sgd"} | options
        training = make_training(batch_size=4, shards=shards, **given)
        model = build_learner(config, training)
        LEARNERS[key] = model, [v.numpy().copy() for v in model.variables.values()]
    model, values = LEARNERS[key]
    for variable, value in zip(model.variables.values(), values, strict=True):
        variable.assign(value)
    return model


def blocks(steps: int, rows: int = 4, predict: str = "all") -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, (steps, rows, 7)).astype(np.int32)
    targets = ids[..., 1:] if predict == "all" else ids[..., -1]
    return ids[..., :-1], targets, np.full(steps, RATE)


def config(predict: str = "all", **options: Any) -> ModelConfig:
    return ModelConfig(vocabulary_size=5, units=8, window=6, predict=predict, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "layers", "shards"),
    [
        ("lstm", 2, 2),
        ("lstm", 2, 4),
        ("gru", 1, 4),
        ("rnn", 1, 2),
        pytest.param("gru", 1, 2, marks=pytest.mark.slow),
        pytest.param("rnn", 1, 4, marks=pytest.mark.slow),
        pytest.param("gru", 2, 2, marks=pytest.mark.slow),
        pytest.param("gru", 2, 4, marks=pytest.mark.slow),
        pytest.param("rnn", 2, 2, marks=pytest.mark.slow),
        pytest.param("rnn", 2, 4, marks=pytest.mark.slow),
    ],
)
def test_shards_learn_what_the_whole_batch_does(cell: Any, layers: int, shards: int):
    models = [learner(each, config(cell=cell, layers=layers)) for each in (1, shards)]
    results = [model.learn(*blocks(3)) for model in models]
    for one, two in zip(models[0].weights_to_keep(), models[1].weights_to_keep(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    np.testing.assert_allclose(results[1].losses, results[0].losses, atol=1e-5)
    np.testing.assert_allclose(results[1].accuracies, results[0].accuracies, atol=1e-6)
    np.testing.assert_allclose(
        results[1].gradient_norms, results[0].gradient_norms, rtol=1e-3, atol=1e-5
    )
    assert len(results[0].losses) == 3


def test_a_block_is_its_steps_one_after_the_other():
    inputs, targets, rates = blocks(4)
    rates = rates * np.arange(1, 5, dtype=np.float32)
    model = learner(2, config())
    result = model.learn(inputs, targets, rates)
    together = model.weights_to_keep()
    assert float(model.optimizer.learning_rate) == pytest.approx(float(rates[-1]))
    assert model.steps == 4
    model = learner(2, config())
    assert model.steps == 0
    parts = [slice(k, k + 1) for k in range(4)]
    single = [model.learn(inputs[part], targets[part], rates[part]) for part in parts]
    for one, two in zip(together, model.weights_to_keep(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(result.losses, [float(each.losses[0]) for each in single])
    np.testing.assert_array_equal(result.accuracies, [float(each.accuracies[0]) for each in single])


@pytest.mark.parametrize("clip_norm", [0.0, 0.01])
def test_the_norm_is_that_of_the_gradient_before_it_is_clipped(clip_norm: float):
    norms = []
    for clip in (0.0, clip_norm):
        model = learner(2, config(), clip_norm=clip)
        before = model.weights_to_keep()
        result = model.learn(*blocks(1))
        after = model.weights_to_keep()
        # The first step of SGD is the gradient times the rate.
        moved = [(one - two) / RATE for one, two in zip(before, after, strict=True)]
        norms.append(np.linalg.norm(np.concatenate([part.ravel() for part in moved])))
        assert result.gradient_norms[0] == pytest.approx(norms[0], rel=1e-3)
    assert norms[1] == pytest.approx(clip_norm or norms[0], rel=1e-3)


def test_a_block_ends_where_it_diverges():
    inputs, targets, rates = blocks(5)
    rates[1] = 1e30
    model = learner(2, config(), clip_norm=0.0)
    result = model.learn(inputs, targets, rates)
    assert result.diverged
    assert model.steps == 3  # the step after the one that ruined the weights
    assert len(result.losses) == len(result.accuracies) == len(result.gradient_norms) == 3
    healthy = learner(2, config()).learn(*blocks(5))
    assert not healthy.diverged
    assert len(healthy.losses) == 5


def test_a_learner_that_begins_again_remembers_nothing():
    options = {"optimizer": "adam", "average": 0.9}
    model = learner(2, config(), **options)
    weights, block = model.weights_to_keep(), blocks(3)
    results = [model.learn(*block)]
    once = model.weights_to_keep()
    model.begin_again(weights)
    for one, two in zip(model.weights_to_keep(), weights, strict=True):
        np.testing.assert_array_equal(one, two)
    results.append(model.learn(*block))
    np.testing.assert_array_equal(results[0].losses, results[1].losses)
    for one, two in zip(model.weights_to_keep(), once, strict=True):
        np.testing.assert_array_equal(one, two)


def test_states_are_carried_from_step_to_step_until_they_are_reset():
    inputs, targets, _ = blocks(1)
    still = np.zeros(1, np.float32)  # a rate of 0 changes nothing but the states
    model = learner(2, config())

    def loss() -> float:
        return float(model.learn(inputs, targets, still).losses[0])

    first, second = loss(), loss()
    assert first != second
    model.reset_states()
    assert loss() == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("cell", ["rnn", pytest.param("gru", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rows", [1, 3, 4])
def test_predict_last_takes_batches_of_any_size(rows: int, cell: Any):
    models = [learner(shards, config("last", cell=cell, bidirectional=True)) for shards in (1, 2)]
    results = [model.learn(*blocks(2, rows, "last")) for model in models]
    np.testing.assert_allclose(results[0].losses, results[1].losses, atol=1e-5)
    for one, two in zip(models[0].weights_to_keep(), models[1].weights_to_keep(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_each_step_and_each_shard_drops_other_weights():
    inputs, targets, _ = blocks(1)
    inputs, targets = np.tile(inputs[:, :1], (1, 4, 1)), np.tile(targets[:, :1], (1, 4, 1))
    still = np.zeros(1, np.float32)
    losses = []
    model = learner(2, config(dropout=0.5), weight_drop=0.5)
    for _ in range(3):
        model.reset_states()
        losses.append(float(model.learn(inputs, targets, still).losses[0]))
    assert len(set(losses)) == 3
    one, two = (np.asarray(states[0]) for states in model.carried)
    assert not np.allclose(one[0], two[0])  # the same rows, dropped otherwise


def test_the_average_follows_the_weights_and_forgets_the_first_ones():
    inputs, targets, _ = blocks(1)
    model = learner(1, config(), average=0.9)
    initial = [np.array(w) for w in model.weights_to_keep()]
    model.learn(inputs, targets, np.full(1, 0.5, np.float32))
    after_one = [np.asarray(v) for v in model.model.trainable_variables]
    for kept, weight in zip(model.weights_to_keep(), after_one, strict=True):
        np.testing.assert_allclose(kept, weight, atol=1e-7)
    assert any((a != b).any() for a, b in zip(initial, after_one, strict=True))
    model.learn(inputs, targets, np.full(1, 0.5, np.float32))
    # The second step's weight of the past is 1 / 11, not yet 0.9.
    for kept, before, now in zip(
        model.weights_to_keep(), after_one, model.model.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(kept, before / 11 + np.asarray(now) * 10 / 11, atol=1e-6)
