"""`chargen info`: show what a checkpoint is."""

import json
from typing import TYPE_CHECKING, Any

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    find_checkpoint,
    json_option,
    quiet_option,
)
from chargen.plain import figure, table, visible

if TYPE_CHECKING:
    from chargen.checkpoint.architecture import LayerDescription
    from chargen.checkpoint.directory import Checkpoint
    from chargen.fields import Config

__all__ = ["command"]

RECENT = 5
"""Evaluations shown; all of them are in history.jsonl."""
MOST_TEXTS = 5
SHOWN_ABOVE = ("vocabulary_size", "cell", "layers", "units", "bidirectional")
"""Fields of the configuration that are shown with the layers and the text."""


@click.command(
    "info",
    cls=Command,
    short_help="Show what a checkpoint is.",
    epilog="Example: chargen info checkpoints/poems",
)
@click.argument("checkpoint", required=False, metavar="[DIR]", shell_complete=complete_checkpoint)
@json_option
@quiet_option
def command(checkpoint: str | None, as_json: bool, quiet: bool) -> None:
    """Show what a checkpoint is: its layers, parameters, corpus, configuration and history.

    DIR is the checkpoint; by default $CHARGEN_CHECKPOINT, else the newest under ./checkpoints.
    """
    from chargen.checkpoint.architecture import describe, parameter_count
    from chargen.checkpoint.directory import Checkpoint, best_of

    opened = Checkpoint.open(find_checkpoint(checkpoint, quiet=quiet))
    layers = describe(opened.model)
    parameters = parameter_count(opened.model)
    history = opened.history()
    if not as_json:
        click.echo(_page(opened, layers, parameters, history))
        return
    document = {
        "model": opened.model.to_json(),
        "parameters": parameters,
        "layers": [
            {
                "class_name": layer.class_name,
                "output_shape": list(layer.output_shape),
                "parameters": layer.parameters,
            }
            for layer in layers
        ],
        "vocabulary_size": len(opened.vocabulary),
        "corpus": opened.corpus.to_json(),
        "training": opened.training.to_json(),
        "best": best_of(history),
    }
    click.echo(json.dumps(document, indent=2))


def _page(
    opened: "Checkpoint",
    layers: "tuple[LayerDescription, ...]",
    parameters: int,
    history: list[dict[str, Any]],
) -> str:
    from chargen.checkpoint.architecture import title

    corpus = opened.corpus
    size = parameters * 4 / 1e6  # float32
    summary = [("layer", "output shape", "parameters")]
    summary += [
        (layer.class_name, str(layer.output_shape), figure(layer.parameters)) for layer in layers
    ]
    parts = [
        f"{visible(str(opened.path))}: {title(opened.model)}",
        table(summary, right=[2]),
        f"{parameters:,} parameters ({size:.2f} MB)",
        table(
            [
                ("text", _texts(opened)),
                ("characters", f"{corpus.characters:,}, {len(opened.vocabulary):,} distinct"),
                ("to learn from", figure(corpus.train_characters)),
                ("held out", figure(corpus.validation_characters)),
                ("sha256", visible(corpus.sha256)),
                ("vocabulary", visible("".join(opened.vocabulary.characters))),
            ]
        ),
        table(_settings(opened.model)),
        table(_settings(opened.training)),
        table([(visible(name), visible(value)) for name, value in opened.versions.items()]),
        _history(history),
    ]
    return "\n\n".join([part for part in [*parts, _curve(history)] if part])


def _texts(opened: "Checkpoint") -> str:
    """Return where the first texts of a run are, and how many more there are."""
    from chargen.checkpoint.sources import locate

    texts = opened.corpus.texts
    shown = ", ".join(locate(opened.path, text) for text in texts[:MOST_TEXTS])
    more = f" and {len(texts) - MOST_TEXTS:,} more" if len(texts) > MOST_TEXTS else ""
    return visible(shown) + more


def _settings(config: "Config") -> list[tuple[str, str]]:
    """Return the fields that are set, by name, with their values rounded."""
    return [
        (name, f"{value:.4g}" if isinstance(value, float) else visible(str(value)))
        for name, value in config.to_json().items()
        if value is not None and value is not False and name not in SHOWN_ABOVE
    ]


def _history(history: list[dict[str, Any]]) -> str:
    from chargen.checkpoint.directory import train_bits_of

    if not history:
        return "not evaluated yet"
    rows = [("step", "epoch", "seconds", "train bits", "held-out bits", "accuracy", "best")]
    for line in history[-RECENT:]:
        rows.append(
            (
                figure(line["step"]),
                figure(line["epoch"], 2),
                figure(line["seconds"], 1),
                figure(train_bits_of(line)),
                figure(line["validation_bits"]),
                figure(line["validation_accuracy"] or line["train_accuracy"]),
                "*" if line["best"] else "",
            )
        )
    earlier = len(history) - len(rows) + 1
    note = f"\n({earlier} earlier in history.jsonl)" if earlier > 0 else ""
    return table(rows, right=range(6)) + note


def _curve(history: list[dict[str, Any]]) -> str:
    """Return a plot of the bits per character over the epochs; nothing for a single evaluation.

    The bits are those of the held-out text, or of the training text if nothing is held out.
    """
    from chargen.checkpoint.directory import train_bits_of
    from chargen.plot import FEWEST_POINTS, Curve, draw, plot_width

    held_out = [(line["epoch"], line["validation_bits"]) for line in history]
    points = [point for point in held_out if point[1] is not None]
    name = "held-out bits"
    if not points:
        points = [(line["epoch"], train_bits_of(line)) for line in history]
        name = "train bits"
    points = [(epoch, bits) for epoch, bits in points if bits is not None]
    if len(points) < FEWEST_POINTS:
        return ""
    return draw([Curve(name, *zip(*points, strict=True))], "epoch", name, width=plot_width())
