"""A checkpoint -> one page of HTML that needs nothing else, not even the network.

The template, its style and its script are files in `page/`. The page forbids itself the network and
every script but its own. All text in it is escaped by Jinja2.
"""

import base64
import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from chargen import __version__
from chargen.analysis.characters import character_map
from chargen.analysis.predictions import expected
from chargen.analysis.reach import LayerReach, gradient_reach, summary
from chargen.analysis.units import (
    FEWEST_CHARACTERS,
    Findings,
    activations,
    characters_read,
    units_of,
    what_units_follow,
)
from chargen.checkpoint.architecture import parameter_count, title
from chargen.checkpoint.directory import best_of, bits_of, train_bits_of
from chargen.checkpoint.sources import name_of_text
from chargen.config import ModelConfig
from chargen.errors import CorpusError, OptionError
from chargen.model import Model
from chargen.network.cells import Floats
from chargen.plain import figure, harmless, visible
from chargen.plot import FEWEST_POINTS
from chargen.report.charts import character_chart, gradient_chart, training_chart
from chargen.report.excerpt import (
    activation_classes,
    encoded,
    name_of,
    pack_activations,
    pack_expected,
    shown_characters,
    surprise_classes,
)
from chargen.scoring.surprise import LEVELS

__all__ = ["Material", "to_html", "wanted_characters"]

LIKELIEST = 5
"""Predictions that are shown for each character."""
TEMPERATURES = (0.4, 0.8, 1.0, 1.3)
"""Cautious, the default of `sample`, the model's own distribution, and daring."""
SAMPLE_LENGTH = 320
"""Characters written at each temperature: a short paragraph."""
SAMPLES_OVER_TIME = 5
"""Samples from the run that are shown: the first, the last, and enough between to see a change."""
LONGEST_SAMPLE = 400
"""Characters of a sample from the run that are shown."""
MOST_FOLLOWERS = 12
"""Traits whose units are shown."""
WEAKEST = 0.3
"""The least correlation for which a unit is said to follow a trait: about a tenth of the variance.
"""
OTHER_UNITS = 64
"""Further units to choose from."""
MOST_MAPPED = 120
"""The most characters on the map; more would cover each other."""
FEWEST_MAPPED = 3
"""The fewest characters that make a map."""
MOST_TEXTS = 5
"""Texts that are named, which take about a line; a corpus may have thousands."""
MOST_CURVES = 6
"""Layers whose gradients are shown: as many as there are colours."""
KINDS = ("small letter", "capital letter", "other letter", "digit", "space or mark")
"""Kinds of characters, which have the first colours of a chart in this order."""
Origin = Literal["given", "held out", "training"]


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a report is made of, besides the model.

    Attributes:
        history: the evaluations, oldest first, with their `sample` if that was recorded.
        text: the text that is looked at: its beginning is shown, the rest searched for what units
            follow; empty if that of the run cannot be read again.
        origin: where the text is from.
        name: the name of the text if it was given.
        elsewhere: text that is searched for what units follow if the rest of `text` is too short.
        length: how many characters to show.
        baselines: names and bits per character, from `chargen.scoring.baselines.compared`; empty
            if they were not asked for.
        random_seed: what the texts at several temperatures are drawn with.
    """

    history: Sequence[dict[str, Any]] = ()
    text: str = ""
    origin: Origin = "held out"
    name: str = ""
    elsewhere: str = ""
    length: int = 2000
    baselines: Sequence[tuple[str, float]] = ()
    random_seed: int = 0


def wanted_characters(model: Model, length: int) -> int:
    """Return how many characters of a text a report looks at if so many are shown."""
    return length + characters_read(model.config)


def to_html(model: Model, material: Material, note: Callable[[str], None] = lambda _: None) -> str:
    """Return the page.

    Args:
        model: the model.
        material: what else the page is made of.
        note: is told what comes next, as some parts take seconds.

    Raises:
        CheckpointError: the weights cannot be read.
        NumericalError: the network's outputs are not finite.
    """
    parts: dict[str, Any] = {
        "about": _about(model, material),
        "training": _training(material),
        "baselines": _baselines(model, material),
    }
    note("writing text")
    parts["writing"] = _writing(model, material)
    note("reading the text")
    shown = material.text[: material.length]
    data: dict[str, Any] = {}
    parts["text"] = _text(material)
    parts["reading"], data["reading"] = _reading(model, shown)
    note("looking for what units follow")
    parts["units"], data["units"] = _units(model, material, shown)
    note("looking at how far gradients reach")
    weights = model.checkpoint.weights()
    parts["reach"] = _reach(model, material, weights)
    note("drawing")
    parts["map"] = _map(model, material, weights[0])
    return _rendered(parts, data)


def _rendered(parts: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    folder = files("chargen.report") / "page"
    template, style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(template).render(
        parts,
        data=data,
        levels=LEVELS,
        style=Markup(style),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
    )


def _about(model: Model, material: Material) -> dict[str, Any]:
    checkpoint, config = model.checkpoint, model.config
    corpus, training = checkpoint.corpus, checkpoint.training
    best = best_of(material.history)
    parameters = parameter_count(config)
    named = [name_of_text(text) for text in corpus.texts[:MOST_TEXTS]]
    if len(corpus.texts) > MOST_TEXTS:
        named.append(f"{len(corpus.texts) - MOST_TEXTS:,} more")
    reads = (
        "carries its state from character to character"
        if config.predict == "all"
        else f"predicts each character from the {config.window:,} before it"
    )
    facts = [
        ("network", title(config)),
        ("parameters", f"{parameters:,}"),
        ("text", ", ".join(named)),
        ("characters", f"{corpus.characters:,}, {len(model.vocabulary):,} of them distinct"),
        ("held out", figure(corpus.validation_characters) if corpus.validation_characters else "-"),
        ("window", f"{config.window:,} characters; it {reads}"),
        ("optimizer", f"{training.optimizer}, learning rate {training.learning_rate:.3g}"),
        ("batch", f"{training.batch_size:,} windows"),
        ("dropout", f"{config.dropout:g}; weight drop {training.weight_drop:g}"),
        ("trained with", ", ".join(f"{n} {v}" for n, v in checkpoint.versions.items())),
    ]
    return {
        "name": visible(checkpoint.path.resolve().name),
        "title": title(config),
        "parameters": parameters,
        "network": _in_words(config),
        "characters": corpus.train_characters,
        "texts": " and ".join(named) if len(named) < 3 else ", ".join(named),
        "best": best,
        "facts": [(name, visible(value)) for name, value in facts],
    }


def _in_words(config: ModelConfig) -> str:
    names = {"lstm": "An LSTM", "gru": "A GRU", "rnn": "A simple recurrent network"}
    layers = "one layer" if config.layers == 1 else f"{config.layers} layers"
    both = ", which read in both directions," if config.bidirectional else ""
    each = "" if config.layers == 1 else " each"
    return f"{names[config.cell]} with {layers} of {config.units:,} units{each}{both}"


def _training(material: Material) -> dict[str, Any]:
    history = material.history
    if len(history) < FEWEST_POINTS:
        return {"chart": "", "evaluations": len(history)}
    train = [train_bits_of(line) for line in history]
    held_out = [line["validation_bits"] for line in history]
    best = best_of(history)
    last = history[-1]
    # A line that is written where the run diverged has no figures.
    is_held_out = any(bits is not None for bits in held_out)
    curve = [bits for bits in (held_out if is_held_out else train) if bits is not None]
    label = f"Bits per character over {last['step']:,} steps of training"
    if curve:
        label += f", from {curve[0]:.2f} to {curve[-1]:.2f}"
    chart = training_chart(
        [line["step"] for line in history],
        train,
        held_out,
        [line["learning_rate"] for line in history],
        best["step"] if best else None,
        label,
    )
    return {
        "chart": Markup(chart),
        "evaluations": len(history),
        "steps": last["step"],
        "epochs": last["epoch"],
        "seconds": last["seconds"],
        "held_out": is_held_out,
    }


def _baselines(model: Model, material: Material) -> list[dict[str, Any]]:
    most = max((bits for _, bits in material.baselines), default=1)
    return [
        {
            "name": name,
            "bits": bits,
            "share": round(100 * bits / most, 1),
            "own": title(model.config) in name,
        }
        for name, bits in material.baselines
    ]


def _writing(model: Model, material: Material) -> dict[str, Any]:
    recorded = [line for line in material.history if isinstance(line.get("sample"), str)]
    places = np.linspace(0, len(recorded) - 1, min(SAMPLES_OVER_TIME, len(recorded)))
    chosen = [recorded[place] for place in sorted(set(np.rint(places).astype(int).tolist()))]
    over_time = [
        {
            "step": line["step"],
            "bits": bits_of(line),
            "text": _written(line["sample"][:LONGEST_SAMPLE]),
        }
        for line in chosen
    ]
    at_temperatures = [
        {
            "temperature": temperature,
            "text": _written(
                model.sample(
                    length=SAMPLE_LENGTH, temperature=temperature, random_seed=material.random_seed
                )
            ),
        }
        for temperature in TEMPERATURES
    ]
    return {
        "over_time": over_time,
        "evaluations": len(material.history),
        "at_temperatures": at_temperatures,
        "random_seed": material.random_seed,
        "on_a_new_line": bool(model.vocabulary.start_of_text),
    }


def _written(text: str) -> str:
    """Return a text as it is shown: blank lines at its beginning would look like a gap."""
    return harmless(text.lstrip("\n"))


def _text(material: Material) -> dict[str, str]:
    return {
        "origin": material.origin,
        "name": name_of_text(material.name),
    }


def _reading(model: Model, shown: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if not shown:
        return None, None
    found = expected(model, shown, LIKELIEST)
    scored = ~np.isnan(found.bits)
    part = {
        "characters": list(zip(shown_characters(shown), surprise_classes(found.bits), strict=True)),
        "count": len(shown),
        "unscored": int((~scored).sum()),
        "mean": float(found.bits[scored].mean()) if scored.any() else None,
    }
    return part, pack_expected(shown, found, model.vocabulary)


def _units(
    model: Model, material: Material, shown: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    rest = material.text[material.length :]
    searched = rest if len(rest) >= FEWEST_CHARACTERS else material.elsewhere
    findings = what_units_follow(model, searched) if shown else None
    if findings is None:
        return None, []
    names = _unit_names(model.config)
    followers = [each for each in findings.followers if abs(each.measured) >= WEAKEST]
    followers = followers[:MOST_FOLLOWERS]
    chosen = list(dict.fromkeys(each.unit for each in followers))
    others = _others(findings, chosen)
    values = _activations(model, shown, np.array(chosen + others, np.intp))
    packed = [pack_activations(column) for column in values.T]
    data = [
        {"name": names[unit], "scale": scale, "values": encoded(column, "i1")}
        for unit, (scale, column) in zip(chosen + others, packed, strict=True)
    ]
    part = {
        "followers": [
            {
                "trait": each.trait,
                "unit": names[each.unit],
                "place": chosen.index(each.unit),
                "measured": each.measured,
                "found": each.found,
            }
            for each in followers
        ],
        "others": [
            {"place": len(chosen) + k, "unit": names[unit]} for k, unit in enumerate(others)
        ],
        "count": len(names),
        "traits": len(findings.followers),
        "weakest": WEAKEST,
        "elsewhere": searched is not rest,
        "characters_found": findings.characters_found,
        "characters_measured": findings.characters_measured,
        "has_c": model.config.cell == "lstm",
        "windowed": model.config.predict == "last",
        "bidirectional": model.config.bidirectional,
        "characters": list(
            zip(shown_characters(shown), activation_classes(packed[0][1]), strict=True)
        ),
    }
    return part, data


def _unit_names(config: ModelConfig) -> list[str]:
    """Return what the units are called; a single layer need not be named."""
    units = units_of(config)
    several = config.layers > 1 or config.bidirectional
    return [str(each) if several else f"{each.part} {each.number}" for each in units]


def _others(findings: Findings, chosen: Sequence[int]) -> list[int]:
    """Return further units: those that follow anything the most, in their order."""
    order = np.argsort(-findings.strengths, kind="stable").tolist()
    return sorted([unit for unit in order if unit not in chosen][:OTHER_UNITS])


def _activations(model: Model, text: str, units: NDArray[np.intp]) -> Floats:
    """Return the activations of some units at each character of a text: (T, n).

    At a character that the model does not know, and does not read, they are as they were before.
    """
    vocabulary = model.vocabulary
    ids = vocabulary.encode(text)
    read = (ids < len(vocabulary)).astype(np.intp)
    start = np.array(vocabulary.start_of_text, ids.dtype)
    blocks = activations(model.network, np.concatenate([start, ids[read > 0]]))
    values = [np.zeros((1, len(units)), np.float32)]
    values += [block[:, units] for block in blocks]
    return np.concatenate(values)[len(start) + np.cumsum(read)]


def _map(model: Model, material: Material, vectors: Floats) -> dict[str, Any] | None:
    """Return a map of the characters by their rows (V, I) of the embedding or the input kernel."""
    characters = model.vocabulary.characters
    text = material.text + material.elsewhere
    if text:
        ids = model.vocabulary.encode(text)
        counts = np.bincount(ids[ids < len(characters)], minlength=len(characters))
        frequency = counts.astype(np.float64)
    else:  # where nothing is known of what comes next, the bias alone predicts
        frequency = model.network.dense_bias.astype(np.float64)
    common = np.sort(np.argsort(-frequency, kind="stable")[:MOST_MAPPED])
    if text:
        common = common[frequency[common] > 0]
    if len(common) < FEWEST_MAPPED:
        return None
    found = character_map(vectors[common])
    labels = [_map_label(characters[index]) for index in common]
    chart = character_chart(
        labels,
        found.points,
        [_kind(characters[index]) for index in common],
        KINDS,
        found.shares,
        f"A map of {len(common)} characters by the numbers with which the network reads them",
    )
    return {
        "chart": Markup(chart),
        "count": len(common),
        "all": len(characters),
        "embedding": model.config.embedding,
        "numbers": vectors.shape[1],
    }


def _map_label(character: str) -> str:
    """Return a character as a map shows it: something to see, and nothing that acts."""
    symbols = {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"}
    if symbol := symbols.get(character):
        return symbol
    if unicodedata.category(character).startswith("M"):
        return "\N{DOTTED CIRCLE}" + character
    return name_of(character)


def _kind(character: str) -> str:
    if character.isalpha():
        case = 0 if character.islower() else 1 if character.isupper() else 2
        return KINDS[case]
    return KINDS[3] if character.isdigit() else KINDS[4]


def _reach(model: Model, material: Material, weights: Sequence[Floats]) -> dict[str, Any] | None:
    """Return how far gradients reach, or None if the text is too short or the window too small."""
    ids = model.vocabulary.encode(material.text)
    ids = ids[ids < len(model.vocabulary)]  # the network reads no others
    training = model.checkpoint.training
    try:
        found = gradient_reach(model.config, training, weights, ids, threads=model.threads)
    except (CorpusError, OptionError):
        return None
    curves = [(_layer_name(each), each.norms) for each in found.layers]
    if len(found.layers) == 1 and found.layers[0].cell_norms is not None:
        curves = [("output h", curves[0][1]), ("cell state c", found.layers[0].cell_norms)]
    names, norms = zip(*curves[:MOST_CURVES], strict=True)
    label = f"How far gradients reach, over {found.steps} characters"
    return {
        "chart": Markup(gradient_chart(names, np.arange(found.steps + 1), norms, label)),
        "places": found.places,
        "sentences": [(_layer_name(each), summary(each, found.window)) for each in found.layers],
    }


def _layer_name(layer: LayerReach) -> str:
    backward = " backward" if layer.direction == "backward" else ""
    return f"layer {layer.layer}{backward}"
