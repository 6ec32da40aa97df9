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
from chargen.cli.plain import figure, table, visible

if TYPE_CHECKING:
    from chargen.checkpoint.architecture import LayerDescription
    from chargen.checkpoint.directory import Checkpoint

__all__ = ["command"]

RECENT = 5
"""Evaluations shown; all of them are in history.jsonl."""


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
                ("text", visible(", ".join(corpus.texts))),
                ("characters", f"{corpus.characters:,}, {len(opened.vocabulary):,} distinct"),
                ("to learn from", figure(corpus.train_characters)),
                ("held out", figure(corpus.validation_characters)),
                ("sha256", visible(corpus.sha256)),
                ("vocabulary", visible("".join(opened.vocabulary.characters))),
            ]
        ),
        table([(name, visible(str(value))) for name, value in opened.training.to_json().items()]),
        table([(visible(name), visible(value)) for name, value in opened.versions.items()]),
        _history(history),
    ]
    return "\n\n".join(parts)


def _history(history: list[dict[str, Any]]) -> str:
    if not history:
        return "not evaluated yet"
    rows = [("step", "epoch", "seconds", "train nats", "held-out nats", "held-out bits", "best")]
    for line in history[-RECENT:]:
        rows.append(
            (
                figure(line["step"]),
                figure(line["epoch"], 2),
                figure(line["seconds"], 1),
                figure(line["train_nats"]),
                figure(line["validation_nats"]),
                figure(line["validation_bits"]),
                "*" if line["best"] else "",
            )
        )
    earlier = len(history) - len(rows) + 1
    note = f"\n({earlier} earlier in history.jsonl)" if earlier > 0 else ""
    return table(rows, right=range(6)) + note
