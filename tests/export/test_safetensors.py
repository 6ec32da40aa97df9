"""A safetensors file alone is enough to compute what the model computes."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EVERY_MODEL, make_checkpoint, model_name
from safetensors import safe_open
from safetensors.numpy import load

from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.export.format import named_weights
from chargen.export.safetensors import to_safetensors
from chargen.network.network import Network
from chargen.network.reading import predictions
from export.conftest import assert_close, checkpoint_of


def parts(data: bytes) -> tuple[dict[str, Any], dict[str, str], bytes]:
    """The header but for its metadata, the metadata, and the values, as the format has them."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    return header, header.pop("__metadata__"), data[8 + size :]


def logits_of(data: bytes, ids: np.ndarray) -> np.ndarray:
    """The prediction (V,) after ids (T,), read from the zero state with nothing but the file."""
    header, metadata, values = parts(data)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(values[begin:end], "<f4").reshape(entry["shape"])
    model, gates = json.loads(metadata["model"]), json.loads(metadata["gates"])
    slope = float(metadata["leaky_relu_slope"])

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    activation = {
        "tanh": np.tanh,
        "sigmoid": sigmoid,
        "relu": lambda z: np.maximum(z, 0),
        "leaky_relu": lambda z: np.where(z < 0, slope * z, z),
    }[model["activation"]]

    def read(layer: str, inputs: np.ndarray) -> np.ndarray:
        kernel, recurrent = tensors[layer + ".kernel"], tensors[layer + ".recurrent_kernel"]
        bias = np.atleast_2d(tensors[layer + ".bias"])
        h = s = np.zeros(len(recurrent), np.float32)
        outputs = []
        for x in inputs:
            ours = dict(zip(gates, np.split(x @ kernel + bias[0], len(gates)), strict=True))
            last = h @ recurrent + (bias[1] if len(bias) > 1 else 0)
            theirs = dict(zip(gates, np.split(last, len(gates)), strict=True))
            z = {gate: ours[gate] + theirs[gate] for gate in gates}
            if model["cell"] == "rnn":
                h = activation(z["h"])
            elif model["cell"] == "lstm":
                s = sigmoid(z["f"]) * s + sigmoid(z["i"]) * np.tanh(z["c"])
                h = sigmoid(z["o"]) * np.tanh(s)
            else:
                g = np.tanh(ours["h"] + sigmoid(z["r"]) * theirs["h"])
                h = sigmoid(z["z"]) * h + (1 - sigmoid(z["z"])) * g
            outputs.append(h)
        return np.array(outputs)

    inputs = tensors.get("embedding.weight", np.eye(model["vocabulary_size"]))[ids]
    for index in range(model["layers"]):
        forward = read(f"layers.{index}", inputs)
        if model["bidirectional"]:
            backward = read(f"layers.{index}.backward", inputs[::-1])
            end = np.concatenate([forward[-1], backward[-1]])
            inputs = np.concatenate([forward, backward[::-1]], axis=-1)
        else:
            end, inputs = forward[-1], forward
    logits: np.ndarray = end @ tensors["output.kernel"] + tensors["output.bias"]
    return logits


@pytest.mark.numeric
@pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)
def test_a_program_computes_the_same_from_the_file_alone(config: ModelConfig, tmp_path: Path):
    checkpoint = checkpoint_of(config, tmp_path)
    ids = np.random.default_rng(1).integers(0, config.vocabulary_size, config.window)
    network = Network(config, checkpoint.weights())
    assert_close(logits_of(to_safetensors(checkpoint), ids), predictions(network, ids)[-1])


def test_the_header_is_what_is_documented(checkpoint: Path):
    data = to_safetensors(Checkpoint.open(checkpoint))
    header, metadata, values = parts(data)
    assert sorted(header) == [
        "layers.0.bias",
        "layers.0.kernel",
        "layers.0.recurrent_kernel",
        "output.bias",
        "output.kernel",
    ]
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    assert header["layers.0.kernel"]["shape"] == [12, 48]
    assert list(metadata) == [
        "begins_after",
        "chargen_version",
        "corpus_sha256",
        "format",
        "format_version",
        "gates",
        "leaky_relu_slope",
        "model",
        "never_written",
        "vocabulary",
    ]
    assert metadata["gates"] == '["i", "f", "c", "o"]'
    assert metadata["leaky_relu_slope"] == "0.2"
    assert len(values) == 4 * (2 * 12 * 48 + 48 + 12 * 12 + 12)


def test_the_library_reads_what_the_checkpoint_holds(tmp_path: Path):
    # Of every length of a character in UTF-8, and such as JSON escapes.
    checkpoint = make_checkpoint(tmp_path, '\0\n"\\\x7fé\u2028\N{BEAR FACE}', layers=2)
    found = load(to_safetensors(checkpoint))
    assert sorted(found) == sorted(named_weights(checkpoint))
    for name, expected in named_weights(checkpoint).items():
        np.testing.assert_array_equal(found[name], expected)
    (tmp_path / "file").write_bytes(to_safetensors(checkpoint))
    with safe_open(tmp_path / "file", framework="numpy") as file:
        assert json.loads(file.metadata()["vocabulary"]) == list(checkpoint.vocabulary)


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path):
    """Alone, the library writes the entries in an order of 3,628,800 that changes each time."""
    opened = Checkpoint.open(checkpoint)
    assert len({to_safetensors(opened) for _ in range(5)}) == 1


@pytest.mark.parametrize("number", range(8))
def test_values_begin_at_a_multiple_of_8_bytes(number: int, tmp_path: Path):
    """Programs map the file into memory, and read the values where they are."""
    data = to_safetensors(make_checkpoint(tmp_path, "abcdefghij"[: number + 2]))
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert len(load(data)) == 5
