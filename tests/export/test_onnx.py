"""An ONNX graph computes what the model computes, in one call or continued over several."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EVERY_MODEL, make_checkpoint, model_name

from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.errors import ChargenError
from chargen.export import onnx as onnx_module
from chargen.export.format import metadata
from chargen.export.onnx import to_onnx
from chargen.network.network import Network
from chargen.network.reading import predictions
from export.conftest import assert_close, checkpoint_of

onnx = pytest.importorskip("onnx", reason="onnx, which writes the graphs, is not installed")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime, which runs the graphs, is not installed"
)

CARRIED = [config for config in EVERY_MODEL if config.predict == "all" and not config.embedding]


def session_of(graph: bytes) -> Any:
    """A runtime with the graph, on one thread as the tests share their machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options)


def zeros(session: Any, batch_size: int) -> dict[str, np.ndarray]:
    """The states to begin with."""
    inputs = session.get_inputs()[1:]
    return {each.name: np.zeros((batch_size, each.shape[1]), np.float32) for each in inputs}


def run(session: Any, ids: np.ndarray, states: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by their names."""
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"ids": ids} | states), strict=True))


def ids_of(config: ModelConfig, *shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, config.vocabulary_size, shape)


@pytest.mark.numeric
@pytest.mark.parametrize("config", EVERY_MODEL, ids=model_name)
def test_a_runtime_computes_the_same_for_two_texts(config: ModelConfig, tmp_path: Path):
    checkpoint = checkpoint_of(config, tmp_path)
    graph = to_onnx(checkpoint)
    onnx.checker.check_model(graph, full_check=True)
    session, ids = session_of(graph), ids_of(config, 2, config.window)
    network = Network(config, checkpoint.weights())
    found = run(session, ids, zeros(session, 2))["logits"]
    assert found.dtype == np.float32
    every = np.stack([predictions(network, text) for text in ids])
    assert_close(found, every if config.predict == "all" else every[:, -1])


@pytest.mark.numeric
@pytest.mark.parametrize("config", CARRIED, ids=model_name)
def test_texts_are_continued_by_their_states(config: ModelConfig, tmp_path: Path):
    checkpoint = checkpoint_of(config, tmp_path)
    session, ids = session_of(to_onnx(checkpoint)), ids_of(config, 2, 9)
    whole = run(session, ids, zeros(session, 2))
    states, pieces = zeros(session, 2), []
    for piece in (ids[:, :4], ids[:, 4:5], ids[:, 5:]):
        outputs = run(session, piece, states)
        pieces.append(outputs["logits"])
        states = {name: outputs[f"next_{name}"] for name in states}
    assert_close(np.concatenate(pieces, axis=1), whole["logits"])
    for name, last in states.items():
        assert_close(last, whole[f"next_{name}"])


@pytest.mark.numeric
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_beginning_of_a_text_may_be_shorter_than_a_window(bidirectional: bool, tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, predict="last", bidirectional=bidirectional, layers=2)
    network, session = (
        Network(checkpoint.model, checkpoint.weights()),
        session_of(to_onnx(checkpoint)),
    )
    ids = ids_of(checkpoint.model, 1, 7)
    for length in (1, 3, 7):
        expected = predictions(network, ids[0, :length])[-1]
        assert_close(run(session, ids[:, :length], {})["logits"][0], expected)


@pytest.mark.parametrize(
    ("options", "inputs", "outputs"),
    [
        (
            {"layers": 2},
            {"ids": ["batch", "time"]}
            | {f"{name}_{layer}": ["batch", 12] for layer in (0, 1) for name in ("h", "c")},
            {"logits": ["batch", "time", 12]}
            | {f"next_{name}_{layer}": ["batch", 12] for layer in (0, 1) for name in ("h", "c")},
        ),
        (
            {"cell": "gru"},
            {"ids": ["batch", "time"], "h_0": ["batch", 12]},
            {"logits": ["batch", "time", 12], "next_h_0": ["batch", 12]},
        ),
        ({"predict": "last"}, {"ids": ["batch", "time"]}, {"logits": ["batch", 12]}),
    ],
    ids=["lstm", "gru", "last"],
)
def test_inputs_and_outputs_are_what_is_documented(
    options: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any], tmp_path: Path
):
    session = session_of(to_onnx(make_checkpoint(tmp_path, **options)))
    assert {each.name: each.shape for each in session.get_inputs()} == inputs
    assert {each.name: each.shape for each in session.get_outputs()} == outputs
    assert next(iter(session.get_outputs())).name == "logits"


def test_the_graph_carries_the_metadata(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, '\0\n"\\\x7fé\u2028\N{BEAR FACE}')
    model = onnx.load_from_string(to_onnx(checkpoint))
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found == metadata(checkpoint)
    assert json.loads(found["vocabulary"]) == list(checkpoint.vocabulary)
    assert session_of(to_onnx(checkpoint)).get_modelmeta().custom_metadata_map == found


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Path):
    opened = Checkpoint.open(checkpoint)
    assert to_onnx(opened) == to_onnx(opened)


def test_the_versions_are_old_enough_for_every_runtime(checkpoint: Path):
    model = onnx.load_from_string(to_onnx(Checkpoint.open(checkpoint)))
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


def test_more_weights_than_the_format_holds_are_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnx_module, "MOST_BYTES", 1000)
    with pytest.raises(ChargenError, match="an ONNX file holds at most .*; export to safetensors"):
        to_onnx(Checkpoint.open(checkpoint))
