"""A network holds its weights as its readings want them, and reads windows."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import EVERY_MODEL, make_checkpoint, model_name, random_weights

from chargen.config import ModelConfig
from chargen.network import network as network_module
from chargen.network.layers import LayerState
from chargen.network.network import WINDOWS, Network
from chargen.network.reading import predictions

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("computing_alone")]
CELLS = ["lstm", "gru", "rnn"]


@pytest.mark.parametrize("cell", CELLS)
def test_weights_begin_with_a_cache_line_and_are_not_the_file(tmp_path: Path, cell: str):
    """A view of the file's bytes would also hold them all in memory."""
    checkpoint = make_checkpoint(tmp_path, cell=cell, layers=2, units=13)
    weights = checkpoint.weights()
    network = Network(checkpoint.model, weights)
    kept = [network.dense_kernel]
    for layer in network.forward:
        kept += [layer.cell.kernel, layer.cell.recurrent_kernel, layer.recurrent_kernel_for_one]
    kept.append(network.forward[1].joined_kernel_for_one)
    for array in kept:
        assert array.ctypes.data % 64 == 0
        assert not any(np.shares_memory(array, given) for given in weights)


@pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)
def test_a_network_gives_the_weights_of_which_it_is_made_again(config: ModelConfig):
    given = random_weights(config)
    network = Network(config, given)
    weights = network.weights()
    for array, wanted in zip(weights, given, strict=True):
        assert array.dtype == np.float32
        if config.cell == "gru" and wanted.shape == (2, 3 * config.units):
            sigmoids = slice(0, 2 * config.units)  # of these it keeps the sum alone
            np.testing.assert_allclose(array.sum(0)[sigmoids], wanted.sum(0)[sigmoids], rtol=1e-5)
            array, wanted = array[:, 2 * config.units :], wanted[:, 2 * config.units :]
        np.testing.assert_array_equal(array, wanted)
    again = pickle.loads(pickle.dumps(network))
    ids = np.random.default_rng(0).integers(0, config.vocabulary_size, 30)
    np.testing.assert_array_equal(predictions(again, ids), predictions(network, ids))
    for array, wanted in zip(again.weights(), weights, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_windows_are_read_a_bounded_number_at_a_time(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, predict="last", window=50)
    network = Network(checkpoint.model, checkpoint.weights())
    batches = list(network.windows(np.arange(5000)))
    assert np.concatenate([windows[:, -1] for windows in batches]).tolist() == list(range(49, 5000))
    assert np.concatenate([windows[:, 0] for windows in batches]).tolist() == list(range(4951))
    assert max(len(windows) for windows in batches) <= WINDOWS
    assert not list(network.windows(np.arange(49)))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_windows_of_stacked_layers_are_read_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bidirectional: bool
):
    options = {"predict": "last", "window": 20, "layers": 2, "bidirectional": bidirectional}
    checkpoint = make_checkpoint(tmp_path, units=8, **options)
    network = Network(checkpoint.model, checkpoint.weights())
    windows = np.random.default_rng(0).integers(0, len(checkpoint.vocabulary), (100, 20))
    whole = network.run_windows(windows)
    sizes = []
    run = LayerState.run

    def watched(state: LayerState, inputs: np.ndarray, *, whole: bool) -> np.ndarray:
        sizes.append(inputs.shape[1])
        return run(state, inputs, whole=whole)

    monkeypatch.setattr(LayerState, "run", watched)
    monkeypatch.setattr(network_module, "WINDOW_FLOATS", 7 * 20 * (8 + 32))
    np.testing.assert_allclose(network.run_windows(windows), whole, atol=1e-6)
    assert max(sizes) == 7
