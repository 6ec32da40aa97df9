"""The networks that `gradients` looks into: of a checkpoint, before and after, or of a text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from chargen.config import CELLS, Activation, ModelConfig, Newlines, TrainConfig
from chargen.errors import CorpusError, TrainingError
from chargen.plain import counted

if TYPE_CHECKING:
    from chargen.analysis.backpropagation import Floats
    from chargen.checkpoint.directory import Checkpoint
    from chargen.checkpoint.sources import Sources
    from chargen.data.text import TextFormat
    from chargen.data.vocabulary import Ids

__all__ = ["NamedText", "Subject", "of_checkpoint", "untrained"]

Note = Callable[[str], None]
"""Is told in a sentence what was left out."""


@dataclass(frozen=True)
class Subject:
    """A network whose reach is to be found.

    Attributes:
        name: what the plot and the tables call it.
        source: its checkpoint, or the text that it was made for.
        trained: whether it has learned.
    """

    name: str
    source: str
    trained: bool
    model: ModelConfig
    training: TrainConfig
    weights: "Sequence[Floats]"
    ids: "Ids"


class NamedText:
    """The text that networks read, which may come from a pipe and so be read only once.

    Args:
        source: its path, or "-" for standard input.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._decoded: str | None = None
        self._found: dict[Newlines, str] = {}

    def read(self, how: "TextFormat") -> str:
        """Return the text; networks may differ in how they read newlines, and in nothing else."""
        from chargen.data.text import TextFormat, read_decoded, read_text

        if self._decoded is None:
            self._decoded = "".join(read_text([self._source], TextFormat(how.encoding, "keep")))
        if how.newlines not in self._found:
            self._found[how.newlines] = read_decoded(self._decoded, self._source, how)
        return self._found[how.newlines]


def untrained(
    source: str, prefix: str, how: "TextFormat", options: dict[str, Any]
) -> Iterator[Subject]:
    """Yield a network of each cell, as `train` would make it for a text."""
    from chargen.training.defaults import check_options
    from chargen.training.plan import plan_new
    from chargen.training.start import draw_weights
    from chargen.training.support import check_libraries

    check_libraries(("tensorflow", "keras"), "making networks for a TEXT")
    # The sizes do not depend on the cell, so the text is read, and the run planned, only once. The
    # folder is not looked at.
    reading = {"encoding": how.encoding, "newlines": how.newlines, "field": how.field}
    of_all = {name: value for name, value in options.items() if name != "activation"}
    plan = plan_new(Path(), [source], check_options(cast("Any", reading | of_all)), note=how.note)
    training = plan.checkpoint.training
    for cell in CELLS:
        chosen = options.get("activation", ModelConfig.activation)
        activation: Activation = chosen if cell == "rnn" else ModelConfig.activation
        model = replace(plan.checkpoint.model, cell=cell, activation=activation)
        weights = draw_weights(model, training.random_seed, plan.counts)
        name = f"{prefix}{cell} untrained"
        yield Subject(name, source, False, model, training, weights, plan.train_ids)


def of_checkpoint(
    checkpoint: "Checkpoint", name: str, text: NamedText | None, how: "TextFormat", note: Note
) -> Iterator[Subject]:
    """Yield the network of a checkpoint before it was trained, if that is known, and after."""
    from chargen.analysis.reach import most_steps
    from chargen.checkpoint.sources import Sources
    from chargen.training.start import initial_weights

    weights, sources = checkpoint.weights(), Sources(checkpoint)
    ids = _known(_ids(checkpoint, sources, text, how), checkpoint, note)
    most_steps(checkpoint.model, len(ids))  # refuses a text, before drawing weights takes seconds
    after = Subject(
        f"{name} after",
        str(checkpoint.path),
        True,
        checkpoint.model,
        checkpoint.training,
        weights,
        ids,
    )
    try:
        train_ids = sources.train_ids()
    except CorpusError:
        train_ids = None
    before = None
    try:
        before = initial_weights(checkpoint, train_ids)
    except TrainingError as error:
        note(f"{name} before training is left out: {error.as_typed}")
    if before is not None:
        yield replace(after, name=f"{name} before", trained=False, weights=before)
    yield after


def _ids(
    checkpoint: "Checkpoint", sources: "Sources", text: NamedText | None, how: "TextFormat"
) -> "Ids":
    """Return the text that a network reads: the one that was named, or one of its run."""
    if text is not None:
        return checkpoint.vocabulary.encode(text.read(how))
    try:
        held_out = checkpoint.corpus.validation_characters
        return sources.held_out_ids() if held_out else sources.train_ids()
    except CorpusError as error:
        reason = error.as_typed.rpartition(";")[0] or error.as_typed
        raise CorpusError(f"{reason}; give a text with --text") from None


def _known(ids: "Ids", checkpoint: "Checkpoint", note: Note) -> "Ids":
    """Return the ids without those of characters that the network cannot read."""
    known = ids < len(checkpoint.vocabulary)
    if not known.all():
        count = int((~known).sum())
        are = "is" if count == 1 else "are"
        note(
            f"{counted(count, 'character')} of the text {are} unknown to {checkpoint.path} and "
            f"{are} left out"
        )
    return ids[known]
