"""A checkpoint -> one ONNX graph, made of ONNX's own recurrent operators.

Sizes: V characters in the vocabulary, U units, D directions (2 in a bidirectional model, else 1), G
gates. In the graph, sequences are time-major, (time, batch, ...): runtimes support no other order.

    inputs    ids (batch, time), int64, each from 0 to V - 1
              h_N (batch, U), for LSTM also c_N: the state of layer N, zeros at first
    outputs   logits (batch, time, V): the prediction after each character
              next_h_N, next_c_N: the state afterwards, to continue from

That is a model trained with `predict="all"`. One trained with `predict="last"` has no states: it
predicts from the zero state, and `logits` is (batch, V), the prediction after the last character.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen import __version__
from chargen.checkpoint.architecture import GATES, parameter_count
from chargen.checkpoint.directory import Checkpoint
from chargen.config import LEAKY_RELU_SLOPE, ModelConfig
from chargen.errors import ChargenError
from chargen.export.format import metadata, named_weights
from chargen.installation import require
from chargen.network.cells import Floats

__all__ = ["to_onnx"]

OPSET, IR_VERSION = 17, 8
"""Versions of ONNX 1.12, of 2022, which every runtime in use reads. The operators used here have
not changed in meaning since."""
MOST_BYTES = 2_000_000_000
"""The most bytes of weights. A file of Protocol Buffers has at most 2 GiB; the rest of the file,
which is mostly the vocabulary, takes less than the difference."""
GATE_ORDERS = {"rnn": "h", "gru": "zrh", "lstm": "iofc"}
"""The gates of each operator in the order in which ONNX has them."""
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "leaky_relu": "LeakyRelu"}


def to_onnx(checkpoint: Checkpoint) -> bytes:
    """Return a model as an ONNX file, with `format.metadata` as its metadata properties.

    Raises:
        CheckpointError: `model.keras` is missing or damaged.
        ChargenError: the package onnx is not installed, or the model is too large for ONNX.
    """
    require("export to ONNX", ["onnx"], "onnx")
    from onnx import helper

    config = checkpoint.model
    size = 4 * parameter_count(config)  # float32
    if size > MOST_BYTES:
        raise ChargenError(
            f"an ONNX file holds at most {MOST_BYTES / 1e9:g} GB of weights; found {size / 1e9:.1f}"
            " GB; export to safetensors"
        )
    graph = _Graph()
    add = _add_carried if config.predict == "all" else _add_windows
    add(graph, config, named_weights(checkpoint))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "chargen", graph.inputs, graph.outputs, graph.arrays),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="chargen",
        producer_version=__version__,
    )
    helper.set_model_props(model, metadata(checkpoint))
    data: bytes = model.SerializeToString()
    return data


class _Graph:
    """A graph being made: each method adds to it, and returns the name of what it added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[str | int], kind: str = "FLOAT") -> str:
        self.inputs.append(_value(name, shape, kind))
        return name

    def output(self, name: str, shape: Sequence[str | int]) -> str:
        self.outputs.append(_value(name, shape, "FLOAT"))
        return name

    def array(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.arrays.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Add a node; an empty name among its inputs or outputs leaves that one out."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, outputs[-1], **attributes))
        return outputs[0]


def _value(name: str, shape: Sequence[str | int], kind: str) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)


def _add_carried(graph: _Graph, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
    """Add a whole model that takes and returns the state of each layer."""
    outputs = _add_inputs(graph, config, weights)
    states = ("h", "c") if config.cell == "lstm" else ("h",)
    first_axis = graph.array("first_axis", np.array([0], np.int64))
    graph.output("logits", ("batch", "time", config.vocabulary_size))
    for index in range(config.layers):
        before, after = [], []
        for state in states:
            given = graph.input(f"{state}_{index}", ("batch", config.units))
            before.append(graph.node("Unsqueeze", [given, first_axis], f"initial_{given}"))
            after.append(f"final_{given}")
        every = _add_layer(graph, config, weights, index, outputs, before, [f"all_{index}", *after])
        for state, final in zip(states, after, strict=True):
            name = graph.output(f"next_{state}_{index}", ("batch", config.units))
            graph.node("Squeeze", [final, first_axis], name)
        outputs = _joined(graph, config, every, steps=True)
    logits = _add_dense(graph, weights, outputs, "logits_by_time")
    graph.node("Transpose", [logits], "logits", perm=[1, 0, 2])


def _add_windows(graph: _Graph, config: ModelConfig, weights: Mapping[str, Floats]) -> None:
    """Add a whole model that reads each sequence from the zero state and predicts once."""
    outputs = _add_inputs(graph, config, weights)
    graph.output("logits", ("batch", config.vocabulary_size))
    for index in range(config.layers):
        last = index == config.layers - 1
        # Of the top layer only the output at the end of each direction is needed.
        names = ["", f"final_{index}"] if last else [f"all_{index}"]
        _add_layer(graph, config, weights, index, outputs, [], names)
        outputs = _joined(graph, config, names[-1], steps=not last)
    _add_dense(graph, weights, outputs, "logits")


def _add_inputs(graph: _Graph, config: ModelConfig, weights: Mapping[str, Floats]) -> str:
    """Add the ids and what the first layer reads: (time, batch, V), or (time, batch, E)."""
    ids = graph.input("ids", ("batch", "time"), "INT64")
    by_time = graph.node("Transpose", [ids], "ids_by_time", perm=[1, 0])
    if config.embedding:
        rows = graph.array("embedding", weights["embedding.weight"])
        return graph.node("Gather", [rows, by_time], "embedded")
    depth = graph.array("vocabulary_size", np.array(config.vocabulary_size, np.int64))
    off_and_on = graph.array("off_and_on", np.array([0, 1], np.float32))
    return graph.node("OneHot", [by_time, depth, off_and_on], "one_hot")


def _add_layer(
    graph: _Graph,
    config: ModelConfig,
    weights: Mapping[str, Floats],
    index: int,
    inputs: str,
    states: Sequence[str],
    outputs: Sequence[str],
) -> str:
    """Add a recurrent layer, in both directions if the model is bidirectional.

    Args:
        graph: the graph to add to.
        config: the architecture.
        weights: all weights, as `format.named_weights` returns them.
        index: the layer's.
        inputs: what it reads, (time, batch, I).
        states: the states that it begins with, (D, batch, U) each; empty for zeros.
        outputs: names for its outputs (time, D, batch, U) and its last states (D, batch, U).
    """
    directions = ("", "backward.")[: 2 if config.bidirectional else 1]
    W, R, B = [], [], []  # noqa: N806 - as ONNX calls them
    for direction in directions:
        layer = f"layers.{index}.{direction}"
        bias = weights[layer + "bias"]
        both = bias if config.cell == "gru" else (bias, np.zeros_like(bias))
        W.append(_in_order(weights[layer + "kernel"], config).T)
        R.append(_in_order(weights[layer + "recurrent_kernel"], config).T)
        B.append(np.concatenate([_in_order(each, config) for each in both]))
    attributes: dict[str, Any] = {"hidden_size": config.units}
    if config.bidirectional:
        attributes["direction"] = "bidirectional"
    if config.cell == "gru":
        attributes["linear_before_reset"] = 1
    if config.cell == "rnn":
        attributes["activations"] = [ACTIVATIONS[config.activation]] * len(directions)
        if config.activation == "leaky_relu":
            attributes["activation_alpha"] = [LEAKY_RELU_SLOPE] * len(directions)
    arrays = [
        graph.array(f"{name}_{index}", np.stack(values))  # one beside the other, (D, ...)
        for name, values in (("W", W), ("R", R), ("B", B))
    ]
    # The empty name leaves out the lengths of the sequences, which are all the same.
    optional = ["", *states] if states else []
    return graph.node(config.cell.upper(), [inputs, *arrays, *optional], *outputs, **attributes)


def _in_order(columns: Floats, config: ModelConfig) -> Floats:
    """Return an array (..., G U) with the blocks of its gates in ONNX's order."""
    blocks = np.split(columns, len(GATES[config.cell]), axis=-1)
    by_gate = dict(zip(GATES[config.cell], blocks, strict=True))
    return np.concatenate([by_gate[gate] for gate in GATE_ORDERS[config.cell]], axis=-1)


def _joined(graph: _Graph, config: ModelConfig, outputs: str, *, steps: bool) -> str:
    """Put the outputs of both directions one beside the other.

    Args:
        graph: the graph to add to.
        config: the architecture.
        outputs: (time, D, batch, U), or (D, batch, U).
        steps: whether they have a time axis.

    Returns:
        (time, batch, D U), or (batch, D U).
    """
    width = config.units * (2 if config.bidirectional else 1)
    # A 0 keeps the size that is there.
    sizes = np.array([0, 0, width] if steps else [0, width], np.int64)
    shape = graph.array(f"shape_of_{outputs}", sizes)
    perm = [0, 2, 1, 3] if steps else [1, 0, 2]
    by_sequence = graph.node("Transpose", [outputs], f"transposed_{outputs}", perm=perm)
    return graph.node("Reshape", [by_sequence, shape], f"joined_{outputs}")


def _add_dense(graph: _Graph, weights: Mapping[str, Floats], outputs: str, name: str) -> str:
    """Add the output layer, (..., D U) to logits (..., V)."""
    kernel = graph.array("output_kernel", weights["output.kernel"])
    bias = graph.array("output_bias", weights["output.bias"])
    product = graph.node("MatMul", [outputs, kernel], "product")
    return graph.node("Add", [product, bias], name)
