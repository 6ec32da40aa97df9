"""How far learning reaches is what theory says, whatever the network does to its gradients."""

import json
import math
from typing import Any

import numpy as np
import pytest
from conftest import EVERY_MODEL, make_training, model_name, random_weights

from chargen.analysis import reach as reach_module
from chargen.analysis.backpropagation import ForwardPass, cross_entropy
from chargen.analysis.reach import LayerReach, Reach, gradient_reach, most_steps, summary
from chargen.checkpoint.architecture import describe
from chargen.config import ModelConfig
from chargen.data.windows import make_windows
from chargen.errors import CorpusError, NumericalError, OptionError

pytestmark = pytest.mark.numeric

IDS = np.random.default_rng(0).integers(0, 11, 600)
STEPS = 40
TINY = 1e-30
"""So small an input that tanh of it is the same number, and its slope exactly 1."""
CALM = {"rel": 1e-9}
"""Products of 41 orthogonal matrices in float64 lose a few of its 16 digits, and no more."""


def made(cell: Any, **options: Any) -> ModelConfig:
    return ModelConfig(**{"vocabulary_size": 11, "units": 16, "window": 20, "cell": cell} | options)


def orthogonal(size: int) -> np.ndarray:
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(size, size)))
    return rotation


def rnn_weights(config: ModelConfig, scale: float) -> list[np.ndarray]:
    """An RNN that rotates its state, multiplies it by a number, and hardly sees its input."""
    kernel, _, bias, *dense = random_weights(config)
    return [kernel * TINY, scale * orthogonal(config.units), 0 * bias, *dense]


def lstm_weights(config: ModelConfig, forget_bias: float, recurrent: float) -> list[np.ndarray]:
    """An LSTM whose gates depend on almost nothing but their biases."""
    kernel, recurrent_kernel, bias, *dense = random_weights(config)
    bias = np.zeros_like(bias)
    bias[config.units : 2 * config.units] = forget_bias
    return [kernel * 1e-6, recurrent_kernel * recurrent, bias, *dense]


def reach_of(config: ModelConfig, weights: list[np.ndarray], **options: Any) -> Reach:
    training = make_training(batch_size=8, clip_norm=options.pop("clip_norm", 1.0))
    return gradient_reach(config, training, weights, IDS, **{"steps": STEPS} | options)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
def test_an_rnn_that_rotates_and_scales_its_state_scales_the_gradient_alike(scale: float):
    """tanh has the slope 1 at small states, so the norm is multiplied by the scale at each step."""
    config = made("rnn")
    (layer,) = reach_of(config, rnn_weights(config, scale)).layers
    expected = layer.norms[0] * scale ** np.arange(STEPS + 1)
    np.testing.assert_allclose(layer.norms, expected, rtol=1e-9)
    assert layer.factor_per_step == pytest.approx(scale, **CALM)
    assert layer.kind == {0.8: "vanishes", 1.0: "carries", 1.2: "explodes"}[scale]
    # 0.8 ** 20 is 0.0115, and 0.8 ** 21 is 0.0092.
    assert layer.reach == (21 if scale == 0.8 else None)
    assert layer.cell_norms is None


@pytest.mark.parametrize("forget_bias", [1.0, 4.0])
def test_an_lstm_falls_by_its_forget_gate_and_so_reaches_farther_than_an_rnn(forget_bias: float):
    """Where nothing moves its gates, c is multiplied by the forget gate alone at each step."""
    config = made("lstm")
    recurrent = 1e-4  # its square is what the recurrent kernel adds to the gate
    (layer,) = reach_of(config, lstm_weights(config, forget_bias, recurrent)).layers
    gate = 1 / (1 + math.exp(-forget_bias))
    assert layer.factor_per_step == pytest.approx(gate, rel=1e-3)
    assert layer.cell_norms is not None
    ratios = layer.cell_norms[1:] / layer.cell_norms[:-1]
    np.testing.assert_allclose(ratios[5:], gate, rtol=1e-3)
    scale = 0.5  # below sigmoid(1), the forget gate that Keras begins with
    (of_rnn,) = reach_of(made("rnn"), rnn_weights(made("rnn"), scale)).layers
    assert of_rnn.factor_per_step == pytest.approx(scale, **CALM)
    assert of_rnn.factor_per_step < layer.factor_per_step


@pytest.mark.parametrize(("predict", "read"), [("all", 7 + 26), ("last", 20)])
def test_the_norms_are_quartiles_over_places_in_the_text(predict: str, read: int):
    """Before each place, a text of 60 has 7 characters for 6 steps, and 26 to warm up with."""
    config = made("gru", units=5, layers=2, predict=predict)
    weights = [w.astype(np.float64) for w in random_weights(config)]
    ids, steps = IDS[:60], 6
    places = range(read, len(ids))
    norms = np.empty((config.layers, steps + 1, len(places)))
    for place, end in enumerate(places):
        alone = ForwardPass(config, weights, ids[end - read : end, None], last=True)
        alone.backward(cross_entropy(alone.logits, ids[end : end + 1])[1])
        for index, (layer,) in enumerate(alone.layers):
            for k in range(steps + 1):
                norms[index, k, place] = np.linalg.norm(layer.d_h[-1 - k, 0])
    norms.sort(axis=-1)
    found = gradient_reach(config, make_training(), weights, ids, steps=steps)
    assert (found.places, found.steps) == (len(places), steps)
    last = len(places) - 1
    for expected, of_layer in zip(norms, found.layers, strict=True):
        for share, quartile in ((1, of_layer.lower), (2, of_layer.norms), (3, of_layer.upper)):
            wanted = expected[:, round(last * share / 4)]
            np.testing.assert_allclose(quartile, wanted, rtol=1e-9)


@pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)
def test_every_model_has_a_reach_in_json(config: ModelConfig):
    if config.window == 1:
        with pytest.raises(OptionError, match=r"\(window 1\), so there is no step"):
            most_steps(config, len(IDS))
        return
    weights = [w * np.float32(0.6) for w in random_weights(config)]
    ids = IDS % config.vocabulary_size
    found = gradient_reach(config, make_training(batch_size=4), weights, ids, steps=12)
    directions = 2 if config.bidirectional else 1
    assert len(found.layers) == config.layers * directions
    assert found.steps == (12 if config.predict == "all" else 8)
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["steps"] == found.steps
    for layer, each in zip(found.layers, record["layers"], strict=True):
        assert len(each["norms"]) == found.steps + 1
        assert (each["cell_norms"] is not None) == (config.cell == "lstm")
        assert summary(layer, found.window).startswith("the gradient ")
    tops = record["layers"][-directions:]
    assert [each["direction"] for each in tops] == ["forward", "backward"][:directions]
    assert tops[0]["layer"] == config.layers


def test_clipping_caps_the_norm_of_all_weights():
    config = made("rnn")
    weights = random_weights(config)
    free = reach_of(config, weights, clip_norm=0.0)
    assert free.clip_factor == 1
    norm = free.gradient_norm
    tight = reach_of(config, weights, clip_norm=norm / 4)
    assert tight.gradient_norm == norm
    assert tight.clip_factor == pytest.approx(1 / 4)
    loose = reach_of(config, weights, clip_norm=2 * norm)
    assert loose.clip_factor == 1


def test_the_gradient_of_all_weights_is_that_of_the_mean_over_a_batch(
    monkeypatch: pytest.MonkeyPatch,
):
    """Also if the batch is computed in parts, and in a text that is shorter than a batch."""
    config, training = made("lstm"), make_training(batch_size=20)
    weights = [w.astype(np.float64) for w in random_weights(config)]
    inputs, targets = make_windows(IDS, config, training).batch(0, 0)
    read = ForwardPass(config, weights, inputs.T)
    read.backward(cross_entropy(read.logits, targets.T)[1])
    squares = sum((each**2).sum() for each in read.weight_gradients())
    expected = math.sqrt(squares) / targets.size
    assert gradient_reach(config, training, weights, IDS).gradient_norm == pytest.approx(expected)
    monkeypatch.setattr(reach_module, "TOGETHER", 3)
    monkeypatch.setattr(reach_module, "ROUND", 2)
    assert gradient_reach(config, training, weights, IDS).gradient_norm == pytest.approx(expected)
    assert gradient_reach(config, training, weights, IDS[:30]).gradient_norm > 0
    assert gradient_reach(config, training, weights, IDS[:9]).gradient_norm > 0


def test_the_number_of_threads_changes_no_figure():
    config = made("gru", layers=2)
    one, three = (reach_of(config, random_weights(config), threads=n) for n in (1, 3))
    assert one.to_json() == three.to_json()


def test_fewer_threads_compute_where_passes_are_long():
    """A row of 65,536 steps takes more than what a pass may, and the threads hold one each."""
    small, long = made("lstm", units=256), made("lstm", units=1024, window=65_536)
    passes_at_a_time = reach_module._passes_at_a_time
    assert passes_at_a_time(small, 300, 4) == 4
    assert passes_at_a_time(long, 65_536, 4) == 1
    middle = made("lstm", units=1024)
    floats = reach_module._floats_of_a_row(middle, 5_000)
    assert floats > reach_module.TOGETHER_FLOATS
    together = passes_at_a_time(middle, 5_000, 64)
    assert 1 <= together < 4
    assert together * floats <= reach_module.AT_A_TIME_FLOATS


def test_what_explodes_beyond_the_largest_number_is_reported_without_one():
    config = made("rnn", activation="leaky_relu", window=90)
    kernel, recurrent_kernel, bias, *dense = random_weights(config)
    # The state stays 0, where the slope is 0.2.
    recurrent_kernel = np.diag(np.full(config.units, 5e4))
    weights = [kernel * 0, recurrent_kernel, bias * 0, *dense]
    found = gradient_reach(config, make_training(), weights, IDS, steps=100)
    (layer,) = found.layers
    assert layer.norms[60] == pytest.approx(layer.norms[0] * 1e240)
    assert layer.norms[-1] == math.inf
    assert layer.kind == "explodes"
    assert layer.factor_per_step == pytest.approx(1e4)
    assert "more than 1e308 times what it is" in summary(layer, 64)
    assert found.gradient_norm == math.inf
    assert found.clip_factor is None
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert record["gradient_norm"] is record["layers"][0]["norms"][-1] is None


def test_outputs_that_overflow_are_an_error():
    config = made("rnn", activation="relu")
    weights = [np.abs(w) * np.float32(1e30) for w in random_weights(config)]
    with pytest.raises(NumericalError, match="its weights exploded in training"):
        reach_of(config, weights)


def test_a_gradient_that_is_zero_is_said_to_be():
    config = made("rnn")
    weights = [np.zeros(array.shape) for layer in describe(config) for array in layer.arrays]
    found = reach_of(config, weights)
    (layer,) = found.layers
    assert (layer.kind, layer.reach, layer.factor_per_step) == ("is zero", None, None)
    assert summary(layer, 20) == "the gradient is zero: nothing is learned at all."
    json.dumps(found.to_json(), allow_nan=False)


def test_a_short_text_allows_fewer_steps():
    assert most_steps(made("rnn"), 100) == 49
    assert most_steps(made("rnn", predict="last"), 100) == 19
    assert most_steps(made("rnn"), 4) == 1
    with pytest.raises(CorpusError, match="the text has 3 characters .* it takes 4"):
        most_steps(made("rnn"), 3)
    config = made("rnn")
    found = gradient_reach(config, make_training(), random_weights(config), IDS[:4])
    assert (found.steps, found.places) == (1, 2)


def curve(*norms: float) -> LayerReach:
    array = np.array(norms)
    return LayerReach(1, "forward", array, array, array, None)


@pytest.mark.parametrize(
    ("norms", "kind", "reach", "said"),
    [
        ((1, 0.1, 0.001, 1e-5), "vanishes", 2, "less than 1 % is left after 2 steps, and each"),
        ((1, 0.5, 0.001, 0.005), "vanishes", 2, "less than 1 % is left after 2 steps."),
        (
            (1, 0.001, 0.1, 0.2),
            "carries",
            None,
            "is carried: 3 steps back it is 20 % of what it is at",
        ),
        ((2, 2, 3, 4), "carries", None, "is carried: 3 steps back it is 2 times what it is at"),
        ((1, 10, 100, 1000), "explodes", None, "explodes: 3 steps back it is 1,000 times what"),
        ((1, 10, 100, 1.2e7), "explodes", None, "explodes: 3 steps back it is 1.2e+07 times what"),
        ((1, 0, 0, 0), "vanishes", 1, "less than 1 % is left after 1 step."),
    ],
)
def test_the_kind_follows_from_where_the_norm_ends(
    norms: tuple[float, ...], kind: str, reach: int | None, said: str
):
    layer = curve(*norms)
    assert (layer.kind, layer.reach) == (kind, reach)
    assert said in summary(layer, 64)


def test_the_window_is_named_where_it_cuts_off_what_is_left():
    norms = [0.9**k for k in range(101)]
    assert "Training cuts it off after 20." in summary(curve(*norms), 20)
    assert "cuts" not in summary(curve(*norms), 64)  # less than 1 % is left after 44
    assert "cuts" not in summary(curve(*norms[:10]), 20)
