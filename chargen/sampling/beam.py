"""The most likely continuations of a text: beam search.

A greedy search takes the most likely character at each step, which may lead to a text that has no
likely continuation. A beam search keeps the N most likely texts so far, extends each of them by
every character, and again keeps the N most likely.

Source: Lowerre 1976.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chargen.errors import OptionError
from chargen.network.language_model import LanguageModel
from chargen.network.network import check_finite
from chargen.network.reading import make_reading
from chargen.network.threads import computing

__all__ = ["Continuation", "most_likely"]

MOST_BEAMS = 4096
"""A bound that keeps a mistyped option from asking for the machine's whole memory."""


@dataclass(frozen=True)
class Continuation:
    """A continuation that was found."""

    text: str
    """What follows the prompt, without the stop string."""
    log_probability: float
    """In nats, of all characters after the prompt under the model, including the stop string."""
    stopped: Literal["length", "stop"]


def most_likely(
    model: LanguageModel,
    prompt_ids: list[int],
    *,
    length: int,
    beam: int,
    count: int,
    stop: str = "",
) -> list[Continuation]:
    """Return the most likely continuations that a beam search finds, the best first.

    Args:
        model: the model.
        prompt_ids: what they continue, from `Vocabulary.encode_prompt`.
        length: how many characters to write.
        beam: N, the texts kept at each step; 1 is a greedy search.
        count: how many continuations to return, at most N.
        stop: a text ends before this string; "" for none.

    Raises:
        OptionError: `beam` or `count` is out of range.
    """
    if not 1 <= beam <= MOST_BEAMS:
        raise OptionError(f"--beam must be from 1 to {MOST_BEAMS:,}; found {beam}")
    if not 1 <= count <= beam:
        raise OptionError(f"--count must be from 1 to {beam}, the number of --beam; found {count}")
    vocabulary = model.vocabulary
    rows = max(2, beam)  # one text alone would be read with another rounding
    reading = make_reading(model.network, rows)
    texts, totals = [""], np.zeros(1)
    found: list[Continuation] = []
    with computing():
        reading.extend([[*vocabulary.start_of_text, *prompt_ids]] * rows)
        for _ in range(length):
            logits = reading.logits()[: len(texts)].astype(np.float64)
            if vocabulary.never_written is not None:
                logits[:, vocabulary.never_written] = -np.inf
            parents, ids, totals = _best(totals[:, None] + _log_softmax(logits), beam)
            texts = [
                texts[k] + vocabulary.characters[c]
                for k, c in zip(parents.tolist(), ids.tolist(), strict=True)
            ]
            ended = np.array([bool(stop) and text.endswith(stop) for text in texts])
            found += [
                Continuation(texts[k].removesuffix(stop), float(totals[k]), "stop")
                for k in np.flatnonzero(ended).tolist()
            ]
            found = sorted(found, key=lambda each: -each.log_probability)[:count]
            unfinished = np.flatnonzero(~ended)
            texts, totals = [texts[k] for k in unfinished.tolist()], totals[unfinished]
            # A text only becomes less likely as it grows.
            if not texts or (len(found) == count and found[-1].log_probability >= totals[0]):
                texts = []
                break
            # The batch keeps its size: rows without a text of their own repeat others.
            kept = np.resize(unfinished, rows)
            reading.keep(parents[kept])
            reading.step(ids[kept])
    found += [
        Continuation(text, float(total), "length")
        for text, total in zip(texts, totals, strict=False)
    ]
    return sorted(found, key=lambda each: -each.log_probability)[:count]


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    highest = logits.max(axis=1, keepdims=True)
    check_finite(highest)
    logits = logits - highest
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def _best(
    totals: NDArray[np.float64], beam: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the texts, last characters and totals of the likeliest, given all totals (N, V)."""
    flat = totals.ravel()
    count = min(beam, int(np.count_nonzero(flat > -math.inf)))
    worst = np.partition(flat, len(flat) - count)[len(flat) - count]
    candidates = np.flatnonzero(flat >= worst)  # more than `count` only where some are equal
    order = candidates[np.argsort(-flat[candidates], kind="stable")[:count]]
    parents, ids = np.divmod(order, totals.shape[1])
    return parents, ids, flat[order]
