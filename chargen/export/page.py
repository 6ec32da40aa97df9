"""A checkpoint -> a page that writes text: one file of HTML with the network in it.

The page's sources are in `web/`: `generator.js` is the network and `window.chargen`, `interface.js`
the form, and `page.html` has places for these, for the weights and for what the page says of them.
"""

import base64
import hashlib
import html
import json
from importlib import resources
from string import Template

import numpy as np

from chargen.checkpoint.architecture import parameter_count, title
from chargen.checkpoint.directory import Checkpoint, best_of
from chargen.checkpoint.sources import name_of_text
from chargen.config import LEAKY_RELU_SLOPE, SampleConfig
from chargen.data.standard_input import STANDARD_INPUT
from chargen.errors import CheckpointError
from chargen.plain import figure, visible

__all__ = ["to_html"]

HALF = np.dtype("<f2")
"""float16: two bytes of which base64 makes 2.7, where a float32 would take 5.3."""
LARGEST = float(np.finfo(HALF).max)
"""65,504; anything beyond would become infinite."""
MOST_NAMED = 3
"""Texts that the page's title names: it has to fit on a phone."""


def to_html(checkpoint: Checkpoint) -> bytes:
    """Return a page that writes text as `chargen sample` does, without any other file.

    It holds the weights in half precision. The same checkpoint gives the same bytes.

    Args:
        checkpoint: the model.

    Returns:
        HTML in UTF-8, of 2.7 bytes for each parameter and about 30 KB.

    Raises:
        CheckpointError: the checkpoint is damaged, or a weight is too large for half precision.
    """
    style, generator, interface = map(_source, ("page.css", "generator.js", "interface.js"))
    defaults = SampleConfig()
    model = {
        "config": checkpoint.model.to_json(),
        "parameters": parameter_count(checkpoint.model),
        "characters": "".join(checkpoint.vocabulary.characters),
        "leaky_relu_slope": LEAKY_RELU_SLOPE,
        "sampling": {"length": defaults.length, "temperature": defaults.temperature},
    }
    # "In the manner of standard input" would be of no manner.
    name = "a text" if set(checkpoint.corpus.texts) == {STANDARD_INPUT} else _name(checkpoint)
    page = Template(_source("page.html")).substitute(
        policy=_policy(style, generator, interface),
        name=html.escape(name),
        temperature=defaults.temperature,
        length=defaults.length,
        facts=_facts(checkpoint),
        style=style,
        model=_embedded_json(model),
        weights=_embedded_weights(checkpoint),
        generator=generator,
        interface=interface,
    )
    return page.encode()


def _source(name: str) -> str:
    return resources.files("chargen.export").joinpath("web", name).read_text(encoding="utf-8")


def _policy(style: str, *scripts: str) -> str:
    """Return the page's Content-Security-Policy: its own code and style, and no network at all."""

    def hashed(source: str) -> str:
        digest = hashlib.sha256(source.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(hashed, scripts))}",
            f"style-src {hashed(style)}",
            "img-src data:",  # the icon
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _embedded_json(value: object) -> str:
    r"""Return JSON that HTML cannot take for its own: no tag and no comment can begin in it.

    All of it is ASCII, so that HTML changes none of the characters that it does not allow.
    """
    return json.dumps(value, separators=(",", ":")).replace("<", r"\u003c")


def _embedded_weights(checkpoint: Checkpoint) -> str:
    """Return all weights, in the order of `architecture.describe`, as float16 in base64."""
    halves = []
    for array in checkpoint.weights():
        largest = float(np.abs(array).max())
        if largest > LARGEST:
            raise CheckpointError(
                f"a page holds weights in half precision, which ends at {LARGEST:,.0f}; found "
                f"{largest:,.0f} in {checkpoint.path}, so they may have exploded in training; "
                "train again with a lower --learning-rate, or export a .safetensors file, which "
                "holds them all"
            )
        halves.append(array.astype(HALF).tobytes())
    return base64.b64encode(b"".join(halves)).decode()


def _name(checkpoint: Checkpoint) -> str:
    """Return the names of the texts that a model learned from, without their folders."""
    names = list(map(name_of_text, checkpoint.corpus.texts))
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _facts(checkpoint: Checkpoint) -> str:
    """Return what the network is and how it was made, as the terms and descriptions of a list."""
    characters = figure(checkpoint.corpus.characters)
    facts = {
        "Text": f"{_name(checkpoint)}, {characters} characters, {len(checkpoint.vocabulary):,} "
        "distinct",
        "Network": title(checkpoint.model),
        "Parameters": figure(parameter_count(checkpoint.model)),
        "Made by": _making(checkpoint),
    }
    return "\n".join(
        f"    <dt>{term}</dt><dd>{html.escape(fact)}</dd>" for term, fact in facts.items()
    )


def _making(checkpoint: Checkpoint) -> str:
    """Return how a model was trained, and how well it predicts."""
    names, versions = {"chargen": "chargen", "keras": "Keras"}, checkpoint.versions
    tools = [f"{names[tool]} {versions[tool]}" for tool in names if tool in versions]
    made = visible(" with ".join(tools))
    best = best_of(checkpoint.history_if_any())
    if best is None:
        return made
    made += f", in {figure(best['epoch'], 1)} epochs"
    bits = best["validation_bits"]
    return made if bits is None else f"{made}; {figure(bits, 2)} bits per character of unseen text"
