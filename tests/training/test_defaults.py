"""Settings that are not given follow from the text, the preset and the budget."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.config import ModelConfig, TrainConfig, check_network
from chargen.errors import OptionError, TrainingError
from chargen.training.defaults import (
    PRESETS,
    check_options,
    default_validation,
    with_preset,
)
from chargen.training.defaults import settle as settle_text
from chargen.training.limits import TextSize
from chargen.training.machine import Machine


def settle(
    options: Any, characters: int = 100_000, vocabulary_size: int = 60, throughput: float = 1.0
) -> tuple[ModelConfig, TrainConfig]:
    options = check_options(options)
    check_network(with_preset(options))
    validation = default_validation(
        characters, options, vocabulary=vocabulary_size, throughput=throughput
    )
    held_out = round(characters * validation) if isinstance(validation, float) else 1000
    size = TextSize(
        vocabulary=vocabulary_size,
        perplexity=vocabulary_size / 2,
        characters=characters,
        train=characters - held_out,
        validation=held_out,
    )
    return settle_text(
        options,
        size,
        validation=validation,
        throughput=throughput,
        machine=lambda: Machine(threads=1),
    )


@given(
    st.integers(2, 10**8),
    st.sampled_from(["all", "last"]),
    st.sampled_from(["rnn", "lstm", "gru"]),
)
def test_every_text_has_settings_that_fit_it(characters: int, predict: Any, cell: Any):
    model, training = settle({"predict": predict, "cell": cell}, characters)
    held_out = training.validation * characters if isinstance(training.validation, float) else 0
    needed = training.batch_size * model.window if predict == "all" else model.window
    assert needed < characters - held_out + 1
    assert held_out <= 1_000_001


def test_larger_texts_get_larger_networks_and_more_learning():
    sizes = [50, 1_000, 20_000, 140_000, 1_100_000, 20_000_000, 100_000_000]
    settled = [settle({}, size) for size in sizes]
    units = [model.units for model, _ in settled]
    learnt = [training.epochs * size for (_, training), size in zip(settled, sizes, strict=True)]
    assert units == sorted(units)
    assert learnt == sorted(learnt)  # characters read in all, though in fewer epochs
    assert settled[-1][1].epochs == 1


@pytest.mark.parametrize(
    ("characters", "reach", "units", "epochs", "drops"),
    [
        (1_100_000, 10**6, 128, 60, False),
        (1_100_000, 12 * 10**6, 256, 60, True),
        (1_100_000, 50 * 10**6, 384, 60, True),
        (1_100_000, 10**8, 512, 60, True),
        (11_000_000, 10**7, 256, 60, False),  # read once: not memorised
        (11_000_000, 10**8, 512, 60, False),  # by 512 units twice
        (45_000, 10**9, 256, 60, True),  # the text says when to stop
        (140_000, 10**6, 128, 60, False),  # read only a few times
        (45_000, 10**6, 128, 60, True),
        (8_000, 10**5, 128, 40, True),  # its network is small already
        (140_000, 10**7, 256, 60, True),
        (140_000, 3 * 10**7, 384, 50, True),
        (140_000, 10**8, 512, 60, True),
    ],
)
def test_a_budget_chooses_by_what_can_be_learnt_from_in_it(
    characters: int, reach: int, units: int, epochs: int, drops: bool
):
    model, training = settle({"budget": 100.0}, characters, throughput=reach / 100)
    assert (model.units, training.epochs) == (units, epochs)
    assert (training.weight_drop > 0) == drops


def test_a_budget_that_is_spent_on_starting_up_learns_with_the_smallest_network():
    model, training = settle({"budget": 10.0}, throughput=10**9)
    assert (model.units, training.batch_size, training.weight_drop) == (128, 16, 0.0)


@pytest.mark.parametrize(
    ("characters", "budget", "units", "dropout", "decay"),
    [
        (100_000, None, 384, 0.6, 0.3),
        (1_000_000, None, 384, 0.6, 0.2),
        (1_000_000, 50.0, 256, 0.4, 0.2),  # read nine times
        (1_000_000, 150.0, 384, 0.6, 0.2),
        (1_000_000, 20.0, 256, 0.0, 0.0),  # read twice: not memorised
        (1_000_000, 30.0, 256, 0.2, 0.05),  # read five times
        (100_000, 12.0, 128, 0.0, 0.0),  # read five times: too few for a small text
        (100_000, 13.0, 256, 0.4, 0.2),
        (100_000, 100.0, 384, 0.6, 0.3),
        (20_000, None, 256, 0.4, 0.0),
        (10**7, None, 512, 0.0, 0.0),
    ],
)
def test_more_is_dropped_where_characters_are_of_many_kinds(
    characters: int, budget: float | None, units: int, dropout: float, decay: float
):
    options = {} if budget is None else {"budget": budget}
    model, training = settle(options, characters, 600, throughput=3 * 10**5)
    assert (model.units, model.dropout, training.weight_decay) == (units, dropout, decay)
    assert model.embedding == units / 2
    assert training.learning_rate == pytest.approx(0.012 * min(1, 256 / units) ** 0.5)


def test_a_large_alphabet_shortens_the_reach_of_a_budget():
    def drop(vocabulary_size: int) -> float:
        options = {"budget": 100.0}
        return settle(options, 1_000_000, vocabulary_size, throughput=10**5)[1].weight_drop

    assert drop(60) > 0  # read nine times
    assert drop(9_000) == 0  # read twice: not memorised


def test_more_is_dropped_in_shorter_steps_where_a_long_budget_reads_a_text_very_often():
    def settled(reach: float) -> tuple[float, float, float]:
        model, training = settle({"budget": 100.0}, 1_100_000, throughput=reach / 100)
        assert model.units == 512
        return model.dropout, training.weight_drop, training.learning_rate

    assert settled(1e8) == (0.1, 0.3, pytest.approx(0.0226, rel=0.01))
    assert settled(3e8) == (0.2, 0.4, pytest.approx(0.0113, rel=0.01))


def test_weights_decay_where_a_text_is_read_often_in_a_budget_and_with_adamw():
    def decay(reach: int, **options: Any) -> float:
        options |= {"budget": 100.0}
        return settle(options, 1_100_000, throughput=reach / 100)[1].weight_decay

    assert decay(12_000_000) == 0.02
    assert decay(2_000_000) == 0
    assert decay(12_000_000, cell="gru") == 0.02
    assert decay(12_000_000, cell="rnn") == 0
    assert decay(12_000_000, optimizer="sgd") == 0
    assert decay(12_000_000, weight_decay=0.2) == 0.2
    assert decay(2_000_000, optimizer="adamw") == 0.05
    assert settle({}, 1_100_000)[1].weight_decay == 0


@pytest.mark.parametrize("predict", ["all", "last"])
def test_a_plain_rnn_keeps_nearly_all_of_its_recurrent_weights(predict: Any):
    for characters in (20_000, 50_000, 200_000):
        _, training = settle({"cell": "rnn", "predict": predict}, characters)
        assert training.weight_drop == (0.1 if predict == "all" else 0)
        assert settle({"cell": "gru"}, characters)[1].weight_drop > 0.4
    assert settle({"cell": "rnn", "weight_drop": 0.5})[1].weight_drop == 0.5


def test_options_come_before_the_preset_and_the_text():
    model, training = settle({"preset": "tutorial", "units": 7, "epochs": 3})
    assert (model.units, training.epochs) == (7, 3)
    assert (model.cell, model.activation, model.window) == ("rnn", "relu", 3)


def test_a_run_is_calibrated_unless_it_is_told_not_to_be():
    assert settle({})[1].calibrate
    assert not settle({"calibrate": False})[1].calibrate
    assert not settle({"preset": "tutorial"})[1].calibrate
    assert settle({"preset": "tutorial", "calibrate": True})[1].calibrate


def test_the_tutorial_is_the_textbook_to_the_letter():
    model, training = settle({"preset": "tutorial"}, 51, 17)
    assert model == ModelConfig(
        vocabulary_size=17,
        cell="rnn",
        units=50,
        activation="relu",
        window=3,
        predict="last",
    )
    assert training == TrainConfig(
        preset="tutorial",
        epochs=100,
        batch_size=32,
        optimizer="adam",
        learning_rate=1e-3,
        beta_2=0.999,
        schedule="constant",
        clip_norm=0,
        patience=0,
        validation=0.0,
        random_seed=PRESETS["tutorial"]["random_seed"],
        precision="float32",
        evaluate_every=2,  # 48 windows are two batches: a line of history each epoch
    )


def test_how_much_is_held_out_follows_from_the_text():
    def held_out(characters: int, vocabulary: int = 60, **options: Any) -> float | str:
        # The throughput is that of two cores of a processor with nothing but AVX2.
        return default_validation(
            characters, check_options(options), vocabulary=vocabulary, throughput=60_000
        )

    assert held_out(1_115_394) == 0.1
    assert held_out(999) == 0
    assert held_out(100_000_000) == 0.01
    assert held_out(999, validation=0.5) == 0.5
    assert held_out(10**6, validation="other.txt") == "other.txt"
    assert held_out(10**6, preset="tutorial") == 0
    # A budget must not go into evaluations, least of all with many distinct characters.
    assert held_out(1_115_394, budget=74) == 0.1
    assert held_out(10**8, budget=74) == pytest.approx(0.0056, rel=0.01)
    assert held_out(10**8, 5_000, budget=74) == pytest.approx(0.0017, rel=0.01)
    assert held_out(10**8, budget=10) == 10_000 / 10**8
    assert held_out(10**8, budget=3600) == 0.01
    assert held_out(10**8, budget=10, validation=0.01) == 0.01
    with pytest.raises(OptionError, match="validation must be"):
        check_options({"validation": 1})


def test_many_characters_are_embedded():
    assert settle({}, vocabulary_size=256)[0].embedding == 0
    assert settle({"units": 33}, vocabulary_size=257)[0].embedding == 17
    assert settle({"units": 1}, vocabulary_size=257)[0].embedding == 1
    assert settle({"embedding": 0}, vocabulary_size=3000)[0].embedding == 0


@pytest.mark.parametrize("characters", [0, 1])
def test_nothing_to_predict_is_an_error(characters: int):
    with pytest.raises(TrainingError, match="training needs at least 2"):
        settle({}, characters)


@pytest.mark.parametrize("predict", ["all", "last"])
def test_a_text_shorter_than_a_given_window_is_an_error(predict: str):
    with pytest.raises(TrainingError, match="a window of 60 needs 61: .* window 49 or less"):
        settle({"window": 60, "predict": predict}, 50)


def test_a_text_shorter_than_the_given_streams_is_an_error():
    with pytest.raises(TrainingError, match="8 streams of 10 need 81: .* batch_size 4 or less"):
        settle({"window": 10, "batch_size": 8}, 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "magic"}, "preset must be one of tutorial"),
        ({"window": 0}, "window must be"),
        ({"window": "3"}, "window must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"learning_rate": -1.0}, "learning_rate must be"),
        ({"bidirectional": True}, "bidirectional needs predict last"),
        ({"optimizer": "lion"}, "optimizer must be"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], message: str):
    with pytest.raises(OptionError, match=message):
        settle(options)


@given(st.integers(1_000, 10**7), st.integers(1, 100))
def test_evaluations_are_a_few_dozen_and_cheap(characters: int, epochs: int):
    model, training = settle({"epochs": epochs}, characters)
    assert isinstance(training.validation, float)
    targets = training.batch_size * model.window
    steps = (characters - round(characters * training.validation)) // targets * epochs
    assert steps / training.evaluate_every <= 41
    read_between = training.evaluate_every * targets
    # A whole number of steps or epochs, so that it is met but for the rounding.
    assert read_between >= 0.6 * 5 * training.validation * characters or (
        training.evaluate_every >= steps / epochs * 0.6
    )
