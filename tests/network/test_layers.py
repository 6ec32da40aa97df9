"""The layers' own ways to be fast change no figure."""

import numpy as np
import pytest
from rounding import CLOSE

from chargen.network import layers as layers_module
from chargen.network.cells import Floats
from chargen.network.reading import predictions
from network.conftest import ids_of, make_network

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("computing_alone")]


def test_the_memory_order_for_one_stream_changes_no_figure(monkeypatch: pytest.MonkeyPatch):
    ids = ids_of(50)
    one = predictions(make_network(layers=2), ids)
    monkeypatch.setattr(layers_module, "TRANSPOSED_BYTES", range(1, 1 << 20))
    network = make_network(layers=2)
    np.testing.assert_allclose(predictions(network, ids), one, atol=CLOSE)
    orders: list[Floats] = [layer.recurrent_kernel_for_one for layer in network.forward]
    assert all(kernel.flags.f_contiguous for kernel in orders)
