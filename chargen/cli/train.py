"""`chargen train`: a text in, a checkpoint out."""

from typing import Any

import click

from chargen.cli.options import chosen, complete_checkpoint, complete_file, quiet_option
from chargen.config import (
    ACTIVATIONS,
    CELLS,
    OPTIMIZERS,
    PRECISIONS,
    PREDICTIONS,
    PRESET_NAMES,
    SCHEDULES,
    TrainConfig,
    TrainOptions,
)

__all__ = ["ShareOrFile", "command"]


class ShareOrFile(click.ParamType):  # type: ignore[type-arg]  # which it takes since Click 8.4
    """A number is a share of the text, anything else a file."""

    name = "share or file"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        """Parse the option's value."""
        try:
            return float(value)
        except ValueError:
            return str(value)


@click.command(
    "train",
    short_help="Learn from a text.",
    epilog="Example: chargen train poems.txt --units 256 --epochs 20",
)
@click.argument("texts", nargs=-1, metavar="TEXT...", shell_complete=complete_file)
@click.option(
    "-o",
    "--checkpoint",
    metavar="DIR",
    shell_complete=complete_checkpoint,
    help="Directory to write.  [default: checkpoints/<stem of the first TEXT>]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the stopped run in --checkpoint; TEXT may then be left out, and --epochs "
    "may be raised.",
)
@click.option("--force", is_flag=True, help="Replace the checkpoint that is there.")
@click.option(
    "--init-from",
    metavar="DIR",
    shell_complete=complete_checkpoint,
    help="Start from the network and weights of another checkpoint with the same characters.",
)
@click.option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    help="A named recipe. tutorial: the textbook's SimpleRNN(50, relu) on windows of 3.",
)
@click.option(
    "--cell",
    type=click.Choice(CELLS),
    help="Recurrent layer: rnn is the vanilla one, lstm learns furthest, gru is between.  "
    "[default: lstm]",
)
@click.option("--units", type=int, metavar="N", help="Size of each layer.  [default: by the text]")
@click.option("--layers", type=int, metavar="N", help="Recurrent layers, stacked.  [default: 1]")
@click.option(
    "--bidirectional",
    is_flag=True,
    help="Read each window in both directions; only with --predict last.",
)
@click.option(
    "--embedding",
    type=int,
    metavar="N",
    help="Learn N numbers for each character as its input; 0 is one-hot.  [default: 0, or 64 "
    "above 256 distinct characters]",
)
@click.option(
    "--activation", type=click.Choice(ACTIVATIONS), help="Of the rnn cell.  [default: tanh]"
)
@click.option(
    "--dropout",
    type=float,
    metavar="F",
    help="Share of each layer's outputs dropped while training, against learning by heart.  "
    "[default: by the text]",
)
@click.option(
    "--window",
    type=int,
    metavar="N",
    help="Characters that gradients reach back over.  [default: by the text]",
)
@click.option(
    "--predict",
    type=click.Choice(PREDICTIONS),
    help="all: every character of a window predicts the next, state is carried on; last: each "
    "window predicts one character, from the zero state.  [default: all]",
)
@click.option(
    "--validation",
    type=ShareOrFile(),
    metavar="F|FILE",
    help="Hold out the last share F of the text, or use a file, to judge by; 0 holds out "
    "nothing.  [default: 0.1; less of very long texts, 0 of very short ones]",
)
@click.option(
    "--encoding", metavar="NAME", help=f"Of the texts.  [default: {TrainConfig.encoding}]"
)
@click.option(
    "--min-count",
    type=int,
    metavar="N",
    help="Fold characters that occur less than N times into U+FFFD.  [default: 1]",
)
@click.option(
    "--epochs", type=int, metavar="N", help="Passes over the text.  [default: by the text]"
)
@click.option(
    "--budget",
    metavar="DURATION",
    help="Time that the whole command may take, such as 90s, 10m or 1h30m: the size of the network "
    "and the schedule follow from it and from the speed of this machine.  [default: as long as the "
    "epochs take]",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help="Windows learned from at a time: parallel streams of the text with --predict all.  "
    "[default: by the text]",
)
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    help=f"What turns gradients into steps.  [default: {TrainConfig.optimizer}]",
)
@click.option(
    "--learning-rate",
    type=float,
    metavar="F",
    help="Size of a step, at its peak.  [default: by cell and optimizer]",
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    help="cosine: climb for 3 % of the steps, then fall to 2 % of the rate; constant: neither.  "
    f"[default: {TrainConfig.schedule}]",
)
@click.option(
    "--clip-norm",
    type=float,
    metavar="F",
    help="Longest a gradient may be, against explosions; 0 does not clip.  "
    f"[default: {TrainConfig.clip_norm:g}]",
)
@click.option(
    "--weight-decay",
    type=float,
    metavar="F",
    help="Pull weights towards 0 by this share of the rate a step.  "
    "[default: by the text and the optimizer]",
)
@click.option(
    "--weight-drop",
    type=float,
    metavar="F",
    help="Share of each recurrent kernel dropped while training, against learning by heart.  "
    "[default: by the text]",
)
@click.option(
    "--average",
    type=float,
    metavar="F",
    help="Keep the running average of the weights, with this weight of the past a step; 0 keeps "
    "the weights as they are.  [default: by the text]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Of the products' operands while training: auto is bfloat16 where the processor has "
    "instructions for it, else float32.  [default: auto]",
)
@click.option(
    "--patience",
    type=int,
    metavar="N",
    help="Stop after N evaluations without a better validation figure; 0 never stops.  "
    f"[default: {TrainConfig.patience}]",
)
@click.option(
    "--random-seed",
    type=int,
    metavar="N",
    help="The same seed, text, options and machine give the same model.  [default: random]",
)
@click.option(
    "--save-every",
    metavar="DURATION",
    help="Save what --resume needs so often, beside each evaluation: what a run that is killed "
    f"loses at most.  [default: {TrainConfig.save_every:g}s]",
)
@click.option(
    "--threads",
    type=int,
    metavar="N",
    help="Threads that TensorFlow computes with.  [default: one for each core]",
)
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    texts: tuple[str, ...],
    checkpoint: str | None,
    resume: bool,
    force: bool,
    init_from: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Learn from TEXT and print the checkpoint's path.

    TEXT is a file, .gz, .bz2 and .xz included, or - for standard input; several are joined. With
    no options, the size of the network and all else follow from the size of the text. Ctrl-C
    saves and stops; --resume goes on.
    """
    from chargen.training.support import check_support

    check_support()  # before Rich is imported, which a light install leaves out
    from chargen.cli.console import TrainingDisplay
    from chargen.training.run import train

    given = {name: options[name] for name in TrainOptions.__annotations__ if chosen(context, name)}
    with TrainingDisplay(quiet=quiet) as display:
        path = train(
            texts,
            checkpoint=checkpoint,
            resume=resume,
            force=force,
            init_from=init_from,
            report=display.report,
            **given,
        )
    click.echo(path)
