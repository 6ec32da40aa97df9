"""Characters a second against the number of texts written side by side.

    python benchmarks/batch.py [--rounds 5] [--checkpoint DIR ...]

For each number of streams all texts have the same length and nothing is left out: start, random
numbers and decoding are part of it. With `--checkpoint` it compares, for trained models, the texts
written together with those written alone, and the logits of both.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from harness import parser, race, rate, save
from models import make_config, make_model

import chargen
from chargen.config import ModelConfig, SampleConfig
from chargen.network.reading import BatchReading, OneReading
from chargen.sampling.generate import write

STREAMS = (1, 2, 4, 8, 16, 32, 64, 128)
LENGTH = 1000


def speed(config: ModelConfig, text: Path, streams: int) -> float:
    """Texts written of 1,000 characters together, again and again."""
    model = make_model(config, text)
    sampling = SampleConfig(length=LENGTH)

    def texts() -> int:
        together = write(model, [""] * streams, sampling, 0)
        return sum(len("".join(pieces)) for _, pieces in together)

    return rate(texts, 1.5)


def compare(folder: Path, streams: int = 256, length: int = 2000) -> dict[str, object]:
    """Texts together and alone."""
    model = chargen.load(folder)
    sampling = SampleConfig(length=length)
    together = ["".join(pieces) for _, pieces in write(model, ["\n"] * streams, sampling, 0)]
    alone = [model.sample("\n", length=length, random_seed=index) for index in range(streams)]
    ids = np.stack([model.vocabulary.encode(text[:1000]) for text in alone[:64]])
    many = BatchReading(model.network, 64).run(ids.T)
    one = np.stack([OneReading(model.network).run(row) for row in ids], axis=1)
    worst = np.abs(many - one).max(axis=(0, 2))
    return {
        "checkpoint": folder.name,
        "texts": streams,
        "characters": streams * length,
        "texts that differ": sum(a != b for a, b in zip(together, alone, strict=True)),
        "largest difference of a logit": float(worst.max()),
        "median over texts of the largest": float(np.median(worst)),
    }


def main() -> None:
    """Race and print."""
    options: argparse.ArgumentParser = parser(__doc__)
    options.add_argument("--checkpoint", type=Path, nargs="+")
    arguments = options.parse_args()
    if arguments.contender:
        cell, layers, units, streams = arguments.contender
        config = make_config(cell, int(layers), int(units), arguments.text)
        print(speed(config, arguments.text, int(streams)))
        return
    if arguments.checkpoint:
        save("batch_exactness", [compare(folder) for folder in arguments.checkpoint])
        return
    rows = []
    for cell, units in (("lstm", 128), ("lstm", 256), ("lstm", 512), ("gru", 256), ("rnn", 256)):
        contenders = {str(n): (cell, "1", str(units), str(n)) for n in STREAMS}
        found = race(__file__, contenders, arguments.rounds, arguments.text)
        rows.append({"model": f"{cell} 1x{units}"} | found | {"64 to 1": found["64"] / found["1"]})
        print(rows[-1], file=sys.stderr, flush=True)
    save("batch", rows)


if __name__ == "__main__":
    main()
