"""A checkpoint -> one file in the safetensors format, which most machine learning programs read.

`chargen.export.format` describes the tensors.
"""

import json

from safetensors.numpy import save

from chargen.checkpoint.architecture import GATES
from chargen.checkpoint.directory import Checkpoint
from chargen.config import LEAKY_RELU_SLOPE
from chargen.export.format import metadata, named_weights

__all__ = ["to_safetensors"]

LENGTH_BYTES = 8
"""The size of the number before the header, which is the header's length."""


def to_safetensors(checkpoint: Checkpoint) -> bytes:
    """Return the weights and the metadata of a model as a safetensors file.

    Beside the entries of `format.metadata`, there are `gates`, the order of the gates in the
    kernels as a JSON array, and `leaky_relu_slope`. The same checkpoint always gives the same
    bytes.

    Raises:
        CheckpointError: `model.keras` is missing or damaged.
    """
    description = metadata(checkpoint) | {
        "gates": json.dumps(GATES[checkpoint.model.cell]),
        "leaky_relu_slope": str(LEAKY_RELU_SLOPE),
    }
    return _with_metadata_in_order(save(named_weights(checkpoint), description))


def _with_metadata_in_order(data: bytes) -> bytes:
    """Return a file with its metadata sorted: the library's order is another one each time."""
    size = int.from_bytes(data[:LENGTH_BYTES], "little")
    end = LENGTH_BYTES + size
    header = json.loads(data[LENGTH_BYTES:end])
    entries = dict(sorted(header.pop("__metadata__").items()))
    text = json.dumps({"__metadata__": entries} | header, ensure_ascii=False, separators=(",", ":"))
    encoded = text.encode()
    # Spaces fill the header up, so that the values begin at a multiple of 8 bytes.
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(LENGTH_BYTES, "little") + encoded + data[end:]
