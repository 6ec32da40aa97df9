"""What is the same but for rounding: figures that are close, texts that part at a near tie.

Products of other shapes, of another BLAS or CPU, and those of Keras, add up in another order. That
moves a result as much as changing the weights in their last digit does, which any network can be
asked for.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig, SampleConfig
from chargen.network.cells import Floats
from chargen.network.network import Network
from chargen.network.reading import make_reading
from chargen.network.threads import computing
from chargen.sampling.decoding import Decoder, Noise
from chargen.sampling.guards import CopyIndex, Guard

CLOSE = 1e-4
"""How far logits, nats and bits of the same text may lie apart. The networks of these tests are
random LSTMs and GRUs of 12 units and calmed RNNs: rounding moved their logits by 3e-6 at most,
under the kernels SkylakeX, Haswell, Sandybridge and Prescott of OpenBLAS."""
HALF_A_DIGIT = 5e-7
"""How far a figure of 7 digits may lie from what it stands for, as a share of it, and so how far a
sum of such figures may lie from the sum of what they stand for."""
DISTURBED = 4
"""Networks that are asked, each weight of which is one unit in the last place off, up or down."""
SLACK = 4
"""Times what such networks differ by that rounding may have moved a logit: in texts by products of
vectors and of matrices, of networks calm and wild, it was up to 1.3 times."""


def prediction(network: Network, path: Sequence[int]) -> Floats:
    """The logits (V,) after one text, also after none."""
    reading = make_reading(network, 1)
    with computing():
        reading.extend([path])
        logits: Floats = reading.logits()[0].copy()
    return logits


def magnified_rounding(
    config: ModelConfig, weights: Sequence[Floats], path: Sequence[int]
) -> tuple[Floats, float]:
    """The logits (V,) after a text, read alone, and how far rounding may have moved any of them."""
    logits = prediction(Network(config, weights), path)
    rng = np.random.default_rng(0)
    spread = float(np.spacing(np.abs(logits)).max())
    for _ in range(DISTURBED):
        off = [np.nextafter(w, w + rng.choice([-1, 1], w.shape).astype(w.dtype)) for w in weights]
        moved = prediction(Network(config, off), path)
        spread = max(spread, float(np.abs(moved - logits).max()))
    return logits, spread


def rounding_explains(
    checkpoint: Checkpoint,
    prompt_ids: Sequence[int],
    config: SampleConfig,
    random_seed: int,
    alone: str,
    other: str,
    copies: CopyIndex | None = None,
) -> float | None:
    """Whether rounding may have made another text of the one that is written by itself.

    At the first character that differs, logits that are moved by no more than rounding moves them
    must lead to the other character.

    Args:
        checkpoint: of the model.
        prompt_ids: the ids of the prompt of both texts.
        config: how both were drawn.
        random_seed: of both.
        alone: what follows the seed, the stop string included if it ended the text.
        other: the same of the text that differs.
        copies: passages that were forbidden.

    Returns:
        How far rounding may have moved a logit there, or None where that is not enough.
    """
    vocabulary = checkpoint.vocabulary
    pairs = enumerate(zip(alone, other, strict=False))
    place = next((k for k, (a, b) in pairs if a != b), None)
    if place is None:
        return None
    common = vocabulary.encode(alone[:place]).tolist()
    path = [*vocabulary.start_of_text, *prompt_ids, *common]
    logits, spread = magnified_rounding(checkpoint.model, checkpoint.weights(), path)
    guard = Guard(len(vocabulary), copies=copies, repetition=config.repetition_guard)
    for index in [*prompt_ids, *common]:
        guard.accept(index)
    noise = Noise(random_seed, len(vocabulary), config.temperature).take(place + 1)[place:]
    decoder = Decoder(config, vocabulary.never_written)
    wanted = int(vocabulary.encode(other[place])[0])
    ours = int(vocabulary.encode(alone[place])[0])
    for moved in _moved(logits, ours, wanted, SLACK * spread):
        if decoder.choose(moved[None], noise, guard.banned()) == wanted:
            return spread
    return None


def _moved(logits: Floats, ours: int, wanted: int, by: float) -> Iterator[Floats]:
    """The logits moved so that the other character is more likely, each no further than `by`."""
    up = np.full_like(logits, -by)
    up[wanted] = by
    down = np.full_like(logits, by)
    down[ours] = -by
    between = np.zeros_like(logits)
    between[wanted], between[ours] = by, -by
    for change in (up, down, between):
        yield logits + change


def assert_same_text(
    checkpoint: Checkpoint,
    prompt_ids: Sequence[int],
    config: SampleConfig,
    random_seed: int,
    alone: str,
    other: str,
    copies: CopyIndex | None = None,
) -> None:
    """The texts are equal, or part where rounding decides; arguments as of `rounding_explains`."""
    if other != alone:
        explained = rounding_explains(
            checkpoint, prompt_ids, config, random_seed, alone, other, copies
        )
        assert explained is not None, f"{other!r} is not {alone!r}"
