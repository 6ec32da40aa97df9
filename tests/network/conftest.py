"""What tests of the network share: small networks, and the way they compute."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import random_weights

from chargen.config import ModelConfig
from chargen.network.network import Network
from chargen.network.threads import computing


@pytest.fixture
def computing_alone() -> Iterator[None]:
    """Compute as all that reads a text does."""
    with computing():
        yield


def make_network(**options: Any) -> Network:
    """A network with random weights, calm enough that rounding stays small."""
    config = ModelConfig(**{"vocabulary_size": 9, "units": 12, "window": 6} | options)
    return Network(config, [w * 0.6 for w in random_weights(config)])


def ids_of(*shape: int) -> np.ndarray:
    """Random ids of its characters."""
    return np.random.default_rng(0).integers(0, 9, shape)
