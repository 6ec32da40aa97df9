"""Characters a second of one text, decoding included, beside its rivals.

    python benchmarks/sampling.py [--rounds 5] [--breakdown]

The rivals: a loop over PyTorch's `nn.LSTM` (`nn.GRU`, `nn.RNN`) that draws from the softmax, the
textbook loop over Keras' `predict` on the last 64 characters, and the matrix-vector products of
one step in NumPy with nothing between them (in the faster of both memory orders, aligned).
`--breakdown` prints where the time of a step goes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import parser, race, rate, save
from models import SIZES, make_config, make_model, make_network, make_torch

from chargen.checkpoint.architecture import GATES
from chargen.config import ModelConfig, SampleConfig
from chargen.network.cells import aligned_copy
from chargen.network.reading import make_reading

TEMPERATURE = SampleConfig.temperature
PIECE = 200  # characters between two looks at the clock


def ours(config: ModelConfig, text: Path) -> float:
    """`chargen`'s generator."""
    from chargen.sampling.generate import write

    endless = SampleConfig(length=None)
    _, pieces = next(write(make_model(config, text), [""], endless, 0))
    return rate(lambda: len(next(pieces)))


def torch_loop(config: ModelConfig, text: Path) -> float:
    """One character at a time through PyTorch's layer."""
    import torch

    recurrent, dense = make_torch(config)
    one_hot = torch.eye(config.vocabulary_size)
    state = None
    index = 0

    def piece() -> int:
        nonlocal state, index
        for _ in range(PIECE):
            output, state = recurrent(one_hot[index][None, None], state)
            p = torch.softmax(dense(output)[0, 0] / TEMPERATURE, dim=-1)
            index = int(torch.multinomial(p, 1))
        return PIECE

    with torch.inference_mode():
        return rate(piece)


def keras_loop(config: ModelConfig, text: Path) -> float:
    """`predict` on the last 64 characters, as tutorials do."""
    from chargen.training import runtime

    runtime.start()
    from chargen.models.factory import build_model

    model = build_model(config, random_seed=0)
    rng = np.random.default_rng(0)
    ids = [0] * config.window

    def piece() -> int:
        logits = model.predict(np.array([ids[-config.window :]]), verbose=0)[0, -1]
        p = np.exp((logits - logits.max()).astype(np.float64) / TEMPERATURE)
        ids.append(int(rng.choice(len(p), p=p / p.sum())))
        return 1

    return rate(piece)


def products(config: ModelConfig) -> list[Callable[[], object]]:
    """The products of one step, a function for each memory order."""
    rng = np.random.default_rng(0)
    units, columns = config.units, len(GATES[config.cell]) * config.units
    shapes = [(units, columns)] * (2 * config.layers - 1)

    def kernel(shape: tuple[int, int], order: str) -> np.ndarray:
        values = rng.normal(size=shape).astype(np.float32)
        return aligned_copy(values) if order == "C" else aligned_copy(values.T).T

    def step(order: str) -> Callable[[], object]:
        kernels = [kernel(shape, order) for shape in shapes]
        dense = rng.normal(size=(units, config.vocabulary_size)).astype(np.float32)
        h, z = np.ones((1, units), np.float32), np.empty((1, columns), np.float32)
        logits = np.empty((1, config.vocabulary_size), np.float32)

        def run() -> None:
            for kernel in kernels:
                h.dot(kernel, z)
            h.dot(dense, logits)

        return run

    return [step("C"), step("F")]


def bare(config: ModelConfig, text: Path) -> float:
    """Nothing but the products."""

    def piece(step: Callable[[], object]) -> int:
        for _ in range(PIECE):
            step()
        return PIECE

    return max(rate(lambda step=step: piece(step)) for step in products(config))


CONTENDERS = {"ours": ours, "torch": torch_loop, "keras": keras_loop, "bare": bare}


def breakdown(config: ModelConfig, text: Path) -> dict[str, object]:
    """Microseconds of one character: products, gates, decoding, and what is left to Python."""
    from chargen.sampling.decoding import Decoder, Noise

    def time_us(function: Callable[[], object], count: int = 2000) -> float:
        def piece() -> int:
            for _ in range(count):
                function()
            return count

        return 1e6 / rate(piece, 0.3)

    network = make_network(config)
    reading = make_reading(network, 1)
    reading.step((1,))
    noise = Noise(0, config.vocabulary_size, TEMPERATURE)
    decoder, row = Decoder(SampleConfig()), noise.take(1)
    whole = 1e6 / ours(config, text)
    step, logits = time_us(lambda: reading.step((1,))), time_us(reading.logits)
    choose = time_us(lambda: decoder.choose(reading.logits(), row)) - logits
    draw = time_us(lambda: noise.take(64), 50) / 64
    matrices = min(time_us(run) for run in products(config))
    return {
        "model": f"{config.cell} {config.layers}x{config.units}",
        "whole": whole,
        "products": matrices,
        "gates": max(0.0, step + logits - matrices),
        "choosing": choose,
        "random numbers": draw,
        "rest (Python)": whole - step - logits - choose - draw,
    }


def main() -> None:
    """Race and print."""
    options = parser(__doc__)
    options.add_argument("--breakdown", action="store_true")
    arguments = options.parse_args()
    if arguments.contender:
        name, cell, layers, units = arguments.contender
        config = make_config(cell, int(layers), int(units), arguments.text)
        print(CONTENDERS[name](config, arguments.text))
        return
    if arguments.breakdown:
        configs = [make_config("lstm", *size, arguments.text) for size in SIZES]
        save("breakdown", [breakdown(config, arguments.text) for config in configs])
        return
    rows = []
    for cell in ("lstm", "gru", "rnn"):
        for layers, units in SIZES:
            names = ["ours", "torch", "bare", *(["keras"] if (layers, units) == (1, 128) else [])]
            contenders = {name: (name, cell, str(layers), str(units)) for name in names}
            found = race(__file__, contenders, arguments.rounds, arguments.text)
            rows.append(
                {
                    "model": f"{cell} {layers}x{units}",
                    "chargen": found["ours"],
                    "PyTorch": found["torch"],
                    "ratio": found["ours"] / found["torch"],
                    "bare products": found["bare"],
                    "of their speed": found["ours"] / found["bare"],
                    "Keras predict": found.get("keras", "-"),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    save("sampling", rows)


if __name__ == "__main__":
    main()
