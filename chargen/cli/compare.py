"""`chargen compare`: train several networks on the same text, side by side in a table."""

import json
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from chargen.cli.options import (
    Command,
    complete_checkpoint,
    complete_file,
    field_options,
    glob_option,
    json_option,
    option,
    quiet_option,
    was_given,
)
from chargen.cli.train import command as train
from chargen.cli.train import time_in_words, unread_messages_ignored
from chargen.errors import OptionError
from chargen.plain import counted, figure, table, visible
from chargen.training.tries import COMPARE_OPTIONS, TRY_OPTIONS, refusal

if TYPE_CHECKING:
    from chargen.config import TrainOptions
    from chargen.training.compare import Beginning
    from chargen.training.comparison import Comparison, Contender
    from chargen.training.events import Event

__all__ = ["command"]

MOST_CURVES = 6
"""As many as have a colour and a marker of their own."""
ENOUGH_SEEDS = 3
"""The fewest random seeds that tell something of chance."""


@click.command(
    "compare",
    cls=Command,
    short_help="Train several networks and compare them.",
    epilog='Example: chargen compare poems.txt --try "--units 64" --try "--units 256"',
)
@click.argument("texts", nargs=-1, metavar="TEXT...", shell_complete=complete_file)
@option(
    "--try",
    "tries",
    multiple=True,
    group="network",
    metavar="OPTIONS",
    default_words="the three cells",
    help="A network: in quotes, its own options for the network, the learning and the precision, "
    "as `chargen train` has them. Give it once for each.",
)
@option(
    "-o",
    "--output",
    group="where",
    metavar="DIR",
    shell_complete=complete_checkpoint,
    default_words="checkpoints/compare-<stem of the first TEXT>",
    help="The folder to write: a checkpoint for each run, and comparison.json.",
)
@option(
    "--resume",
    is_flag=True,
    group="where",
    help="Continue the comparison in --output: runs that have ended are kept. TEXT and all options "
    "may then be left out; another --try and more --seeds are added, and a larger --budget or more "
    "--epochs make every run go on.",
)
@option(
    "--force",
    is_flag=True,
    group="where",
    help="Remove the runs of the same names that are there.",
)
@field_options(*COMPARE_OPTIONS.values())
@glob_option("the texts", "text")
@json_option
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    texts: tuple[str, ...],
    tries: tuple[str, ...],
    output: str | None,
    resume: bool,
    force: bool,
    glob: str,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train several networks on TEXT, and show what each learned in equal time.

    The networks are the three cells, or one for each --try. They are trained one after another,
    each for --budget, or for --epochs. TEXT is a file or a directory; several are joined. The other
    options are for all networks. Each run stays as a checkpoint. Ctrl-C saves the run and stops;
    --resume continues the comparison.
    """
    chosen = [_parsed(context, text, number) for number, text in enumerate(tries, 1)]
    from chargen.training.compare import Beginning, compare

    begun: Beginning | None = None

    def note(event: "Beginning | Event") -> None:
        nonlocal begun
        if isinstance(event, Beginning):
            if not quiet:
                click.echo(_heading(event, is_first=begun is None), err=True)
            begun = event

    try:
        with unread_messages_ignored():
            comparison = compare(
                texts,
                tries=chosen,
                output=output,
                resume=resume,
                force=force,
                glob=glob,
                verbose=not quiet,
                report=note,
                **{name: options[name] for name in COMPARE_OPTIONS if was_given(context, name)},
            )
    except (KeyboardInterrupt, SystemExit):
        if begun and not quiet:
            folder = visible(shlex.quote(str(begun.folder)))
            click.echo(f"continue with: chargen compare --resume -o {folder}", err=True)
        raise
    if begun and not quiet:
        click.echo(err=True)  # between the last run and the table
    click.echo(json.dumps(comparison.to_json(), indent=2) if as_json else _page(comparison))
    if (best := comparison.best) and not quiet:
        path = visible(shlex.quote(str(best.checkpoint.path)))
        click.echo(f"write text with the best: chargen sample -c {path}", err=True)


def _parsed(context: click.Context, text: str, number: int) -> "TrainOptions":
    """Return the options of a network, as `chargen train` reads them.

    Raises:
        OptionError: `chargen train` has no such options, or they do not belong in a try.
    """
    from chargen.cli import misuse

    where = f"try {number} ({text})"
    reader = Command("train")
    reader.params = [each for each in train.params if isinstance(each, click.Option)]
    try:
        parsed = reader.make_context("train", shlex.split(text), context.parent)
    except click.UsageError as error:
        raise OptionError(f"{where}: {misuse(error)}") from None
    except ValueError as error:
        raise OptionError(
            f"{where}: {str(error).lower()}; put quotes around the whole, and others within"
        ) from None
    given = [each for each in reader.params if each.name and was_given(parsed, each.name)]
    for each in given:
        if each.name not in TRY_OPTIONS:
            refused = refusal(each.name or "", getattr(each, "group", "output"))
            raise OptionError(f"{where}: {refused.as_typed}")
    return cast("TrainOptions", {each.name: parsed.params[each.name] for each in given})


def _heading(event: "Beginning", *, is_first: bool) -> str:
    """Return the line above a run, and above the first one what is to come."""
    question, heading = event.question, f"\n{event.number} of {event.count}: {visible(event.name)}"
    if not is_first:
        return heading
    if question.budget is None:
        equal, in_all = counted(question.options["epochs"], "epoch"), ""
    else:
        equal = f"{question.budget:g} seconds"
        seconds = question.budget * event.count
        # When a comparison is resumed, part of the time has passed.
        in_all = f", about {time_in_words(seconds)} in all" if event.number == 1 else ""
    return (
        f"{counted(len(question.tries), 'network')}, {equal} each, with "
        f"{counted(len(question.random_seeds), 'random seed')}: {counted(event.count, 'run')}, one "
        f"after another{in_all}{heading}"
    )


def _page(comparison: "Comparison") -> str:
    networks = comparison.networks
    parts = [_table(comparison, networks), _curves(comparison, networks)]
    return "\n\n".join(part for part in [*parts, _conclusions(comparison, networks)] if part)


def _table(comparison: "Comparison", networks: Sequence["Contender"]) -> str:
    seeds = len(comparison.question.random_seeds)
    spread = [f"{seeds} seeds"] if seeds > 1 else []
    bits = "held out" if comparison.is_held_out else "train"  # as `train` heads them
    heading = ["network", "parameters", "char/s", "steps", bits, *spread]
    rows = [[*heading, "accuracy", "gradient"]]
    for network in networks:
        range_of_bits = network.all_bits
        words = f"{range_of_bits[0]:.3f}-{range_of_bits[-1]:.3f}" if range_of_bits else "-"
        rows.append(
            [
                visible(network.name),
                figure(network.parameters),
                figure(network.characters_per_second, 0),
                figure(network.steps),
                _bits(network),
                *([words] if spread else []),
                figure(network.accuracy, 3),
                "-" if network.gradient_norm is None else f"{network.gradient_norm:.3g}",
            ]
        )
    return table(rows, right=range(1, len(rows[0])))


def _bits(network: "Contender") -> str:
    if network.bits is not None:
        return f"{network.bits:.3f}"
    return "failed" if any(run.error for run in network.runs) else "-"


def _curves(comparison: "Comparison", networks: Sequence["Contender"]) -> str:
    """Return a plot of the bits of each network's first run, by what all have the same of."""
    from chargen.checkpoint.directory import bits_of
    from chargen.plot import FEWEST_POINTS, Curve, draw, plot_width

    across = "epoch" if comparison.question.budget is None else "seconds"
    curves = []
    for network in [each for each in networks if each.runs][:MOST_CURVES]:
        lines = [(line[across], bits_of(line)) for line in network.runs[0].history]
        points = [(place, bits) for place, bits in lines if bits is not None]
        if len(points) >= FEWEST_POINTS:
            curves.append(Curve(visible(network.name), *zip(*points, strict=True)))
    if not curves:
        return ""
    bits = "held-out bits" if comparison.is_held_out else "train bits"
    return draw(curves, across, bits, width=plot_width())


def _conclusions(comparison: "Comparison", networks: Sequence["Contender"]) -> str:
    """Return in sentences which network is best, and how far that can be trusted."""
    question = comparison.question
    lines = [_verdict(comparison, networks)]
    if len(question.random_seeds) > 1:
        lines.append(
            f"bits are means over {len(question.random_seeds)} random seeds, with the lowest and "
            f"the highest; the curves are those of random seed {question.random_seeds[0]}"
        )
    if not comparison.is_held_out:
        lines.append(
            "nothing is held out, so these are bits of the text learned from: they say how well it "
            "was memorised"
        )
    steps = [each.steps for each in networks if each.steps is not None and each.bits is not None]
    if question.budget is None and len(set(steps)) > 1:
        lines.append(
            "an epoch has more steps where windows or batches are smaller, so not all took the "
            "same number"
        )
    for network in networks:
        for run in network.runs:
            where = f"{network.name}, random seed {run.random_seed}"
            if run.error is not None:
                lines.append(f"{where}: {visible(run.error)}")
            elif run.bits is None:
                lines.append(
                    f"{where}: the time was up before the first step; give a larger --budget"
                )
            elif run.recoveries:
                times = counted(run.recoveries, "time")
                lines.append(f"{where}: diverged {times}, and went on with a lower learning rate")
    return "\n".join(lines)


def _verdict(comparison: "Comparison", networks: Sequence["Contender"]) -> str:
    question, ended = comparison.question, [each for each in networks if each.bits is not None]
    what = "held-out character" if comparison.is_held_out else "character"
    if not ended:
        return "no network could be trained"
    best = ended[0]
    assert best.bits is not None
    equal = (
        f"after {counted(question.options['epochs'], 'epoch')}"
        if question.budget is None
        else f"after {question.budget:g} seconds"
    )
    found = f"{best.name} is best {equal}, with {best.bits:.3f} bits per {what}"
    if len(ended) == 1:
        return f"{best.name} has {best.bits:.3f} bits per {what} {equal}"
    second = ended[1]
    assert second.bits is not None
    found += f": {second.bits - best.bits:.3f} fewer than {second.name}"
    seeds = len(question.random_seeds)
    if seeds == 1:
        folder = visible(shlex.quote(str(comparison.folder)))
        return (
            f"{found}\none random seed cannot tell this from chance; to add more: chargen compare "
            f"--resume -o {folder} --seeds {ENOUGH_SEEDS}"
        )
    if best.all_bits[-1] < second.all_bits[0]:
        return (
            f"{found}\neach random seed of {best.name} is better than each of {second.name}, so "
            "that the difference is larger than the spread"
        )
    return f"{found}\nthe random seeds of the two overlap, so that the difference may be chance"
