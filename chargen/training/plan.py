"""Settle everything about a run before it starts: its directory, its texts, its configuration."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.atomic import try_to_write
from chargen.checkpoint.directory import (
    CONFIG,
    FILES,
    RESUME,
    Checkpoint,
    CorpusRecord,
)
from chargen.checkpoint.ids import IdsFile
from chargen.checkpoint.sources import Sources, locate, relative_to
from chargen.config import (
    DEFAULT_FOLDER,
    DRAWN,
    TRAIN_OPTIONS,
    TrainConfig,
    TrainOptions,
    check_network,
)
from chargen.data.corpus import Corpus, Ids, fingerprint, read_corpus
from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.statistics import log_frequencies, perplexity
from chargen.data.text import DECOMPRESSORS, TextFormat
from chargen.errors import CheckpointError, OptionError, TrainingError
from chargen.plain import counted
from chargen.training import runtime
from chargen.training.cluster import ALONE, Cluster
from chargen.training.defaults import default_validation, settle, with_preset
from chargen.training.growth import grow_weights
from chargen.training.limits import TextSize, check_memory
from chargen.training.machine import Machine, this_machine, training_throughput
from chargen.training.start import Counts

__all__ = ["Plan", "check_folder", "default_checkpoint", "plan_new", "plan_resumed"]

EXTENDING = ("epochs", "budget", "patience")
"""Options that say how long a run goes on."""
EXTENDABLE = (*EXTENDING, "save_every", "threads", "keep_ids")
"""Options that may change when a run is resumed. The others make the run what it is."""
OLDER_STATE = "resume.npz"
"""The file that held a run's state before `RESUME` did."""
ADJUSTABLE = ("dropout", "window")
"""Options of the network that may still be chosen with --init-from."""
SHOWN = 40
"""The most new characters that are named: what fits on a line."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, and from which weights.

    Attributes:
        checkpoint: the configuration and the directory, to which nothing is written yet.
        train_ids: the text to learn from.
        validation_ids: the held-out text; may be empty.
        counts: what counting the text says of its first weights; None leaves them as Keras draws
            them.
        initial_weights: float32 arrays in the order of
            `chargen.checkpoint.architecture.describe`; None draws them at random.
        resumed: whether the directory holds a run to be continued.
        extended: whether that run is given other options of `EXTENDING` than it had.
    """

    checkpoint: Checkpoint
    train_ids: Ids
    validation_ids: Ids
    counts: Counts | None = None
    initial_weights: Sequence[NDArray[np.float32]] | None = None
    resumed: bool = False
    extended: bool = False


def default_checkpoint(source: str) -> Path:
    """Return `checkpoints/<stem of the first text>`, without a suffix such as .gz."""
    if source == STANDARD_INPUT:
        return DEFAULT_FOLDER / "stdin"
    name = PurePath(source)
    if name.name in ("", ".."):  # a directory that is named by where it is
        name = Path(source).resolve()
    if name.suffix in DECOMPRESSORS:
        name = name.with_suffix("")
    return DEFAULT_FOLDER / (name.stem or "text")


def check_folder(folder: Path, *, force: bool, option: str = "--checkpoint") -> None:
    """Refuse a directory that a new run cannot have, before minutes of training find that out.

    Args:
        folder: the directory for the checkpoint; it exists, and is locked.
        force: the run may replace the checkpoint that is there.
        option: the option that names the directory, for messages.

    Raises:
        CheckpointError: the directory is taken or cannot be written.
    """
    found = [name for name in FILES if (folder / name).exists()]
    if found and not force:
        what = "a checkpoint" if CONFIG in found else f"{found[0]}, a file that checkpoints have"
        raise CheckpointError(
            f"{folder} already holds {what}; give --resume to continue its run, --force to replace "
            f"it, or another {option}"
        )
    if CONFIG in found and _is_foreign(folder / CONFIG):
        raise CheckpointError(
            f"{folder / CONFIG} was not written by chargen, and --force would replace it; give "
            f"another {option}"
        )
    try:
        try_to_write(folder)
    except OSError as error:
        raise CheckpointError(
            f"cannot write to {folder}: {error.strerror}; give another {option}"
        ) from None


def plan_new(
    folder: Path,
    sources: Sequence[str],
    options: TrainOptions,
    *,
    init_from: Path | None = None,
    cluster: Cluster = ALONE,
    note: Callable[[str], None],
    ids_file: IdsFile | None = None,
) -> Plan:
    """Plan a new run.

    Args:
        folder: the directory for the checkpoint, which planning does not look at.
        sources: the paths of the texts; "-" is standard input.
        options: what the caller chose, from `check_options`.
        init_from: a checkpoint whose network and weights to start from.
        cluster: the processes that train together.
        note: is told in a sentence what was changed in the texts.
        ids_file: what holds the ids of a long text; None holds them in memory.

    Raises:
        CheckpointError: `init_from` is missing or damaged, or the file of the ids cannot be
            written.
        CorpusError: a text cannot be read.
        OptionError: an option is out of range, or two options conflict.
        TrainingError: the text or the memory does not suffice.
    """
    # First all that can be refused without the text: that may come from a pipe, and come only once.
    initial, weights = None, list[NDArray[np.float32]]()
    if init_from is None:
        check_network(with_preset(options))
    else:
        initial = Checkpoint.open(init_from)
        options, weights = _inherited(options, initial), initial.weights()
    newlines = "lf" if initial is None else initial.training.newlines
    options = {"newlines": newlines} | options
    text_format = TextFormat(
        options.get("encoding", TrainConfig.encoding),
        options["newlines"],
        options.get("field"),
        note,
    )
    min_count = options.get("min_count", TrainConfig.min_count)
    known = () if initial is None else initial.vocabulary
    read = read_corpus if ids_file is None else ids_file.corpus
    corpus = read(sources, text_format, min_count=min_count, known=known)
    threads = cluster.threads or options.get("threads")
    throughput = cluster.size * training_throughput(threads)
    validation = default_validation(
        len(corpus.ids), options, vocabulary=len(corpus.vocabulary), throughput=throughput
    )
    train_ids, validation_ids = corpus.split(validation, text_format)
    if isinstance(validation, str) and (validation_ids == corpus.vocabulary.unknown).all():
        raise TrainingError(
            f"--validation {validation} has no character in common with the text to learn from; "
            "give another file"
        )
    frequencies = log_frequencies(train_ids, len(corpus.vocabulary))
    model, training = settle(
        options,
        TextSize(
            vocabulary=len(corpus.vocabulary),
            perplexity=perplexity(frequencies),
            characters=len(corpus.ids),
            train=len(train_ids),
            validation=len(validation_ids),
        ),
        validation=relative_to(folder, validation) if isinstance(validation, str) else validation,
        throughput=throughput,
        machine=partial(this_machine, threads, cluster.size),
        workers=cluster.size,
        initial=None if initial is None else initial.training,
    )
    began = DRAWN if init_from is None else relative_to(folder, str(init_from))
    training = replace(training, init_from=began)
    record = CorpusRecord(
        texts=tuple(relative_to(folder, source) for source in sources),
        characters=len(corpus.ids),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        sha256=corpus.sha256,
        validation_sha256=fingerprint(validation_ids) if isinstance(validation, str) else None,
    )
    versions = runtime.library_versions()
    checkpoint = Checkpoint(folder, model, training, record, versions, corpus.vocabulary)
    if initial is not None:
        if corpus.vocabulary != initial.vocabulary:
            note(_growth(initial, corpus))
            weights = grow_weights(
                weights, initial.model, initial.vocabulary, corpus.vocabulary, train_ids
            )
        return Plan(checkpoint, train_ids, validation_ids, initial_weights=weights)
    if "preset" in options:  # a preset is a recipe to the letter
        return Plan(checkpoint, train_ids, validation_ids)
    return Plan(checkpoint, train_ids, validation_ids, Counts.of(train_ids, frequencies, model))


def plan_resumed(
    folder: Path,
    sources: Sequence[str],
    options: TrainOptions,
    *,
    cluster: Cluster = ALONE,
    ids_file: IdsFile | None = None,
) -> Plan:
    """Plan to continue the run in a directory.

    Args:
        folder: the run's checkpoint, which is locked.
        sources: the paths of its texts; if there are none, the recorded paths are read.
        options: what the caller chose, from `check_options`; only those in `EXTENDABLE` may differ
            from the run's.
        cluster: the processes that train together; they need not be as many as before.
        ids_file: what holds the ids of a long text; None holds them in memory.

    Raises:
        CheckpointError: there is no run to be resumed, or its checkpoint is damaged.
        CorpusError: a text cannot be read, or is not the run's.
        OptionError: an option differs that may not.
        TrainingError: the validation text is not the run's, or the memory does not suffice.
    """
    checkpoint = Checkpoint.open(folder)
    if (folder / OLDER_STATE).is_file() and not (folder / RESUME).exists():
        raise CheckpointError(
            f"{folder} cannot be resumed: its {OLDER_STATE} was written by an older chargen; start "
            f"a new run from its weights with --init-from {folder}"
        )
    if not (folder / RESUME).is_file():
        raise CheckpointError(
            f"{folder} cannot be resumed: it has no {RESUME}; start a new run from its weights "
            f"with --init-from {folder}"
        )
    recorded = checkpoint.model.to_json() | checkpoint.training.to_json()
    given: dict[str, object] = dict(options)
    if isinstance(path := given.get("validation"), str):
        named = recorded["validation"]
        same = isinstance(named, str) and locate(folder, named) == str(Path(path).resolve())
        given["validation"] = named if same else path
    if given.get("precision") == "auto" and checkpoint.training.precision_reason is not None:
        del given["precision"]  # it was `auto`, and stays what that became
    for name, value in given.items():
        if name not in EXTENDABLE and recorded[name] != value:
            field = TRAIN_OPTIONS[name]
            raise OptionError(
                f"{field.shown(value)} does not go with --resume, as this run has "
                f"{field.shown(recorded[name])}; leave it out, or start a new run"
            )
    changed = {name: given[name] for name in EXTENDABLE if name in given}
    training = TrainConfig.from_json(checkpoint.training.to_json() | changed)
    check_memory(checkpoint.model, training.batch_size)
    if training.shards < cluster.size:
        fewest = Machine(threads=1, workers=cluster.size)
        shards = fewest.shards(checkpoint.model, training.batch_size)
        training = replace(training, shards=shards)
    sources_of_run = Sources(checkpoint)
    corpus = sources_of_run.corpus(sources, ids_file)
    train_ids, validation_ids = sources_of_run.split(corpus)
    record = checkpoint.corpus
    if isinstance(training.validation, str) and (
        fingerprint(validation_ids) != record.validation_sha256
    ):
        raise TrainingError(
            f"{training.validation} is not the text that this run held out; restore that text, or "
            "start a new run"
        )
    if sources and STANDARD_INPUT not in sources:  # the texts may have moved
        record = replace(record, texts=tuple(relative_to(folder, source) for source in sources))
    opened = replace(checkpoint, training=training, corpus=record)
    extended = any(recorded[name] != getattr(training, name) for name in EXTENDING)
    return Plan(opened, train_ids, validation_ids, resumed=True, extended=extended)


def _is_foreign(config: Path) -> bool:
    """Return whether a `config.json` is valid JSON but not a checkpoint's."""
    try:
        content = json.loads(config.read_bytes())
    except (ValueError, RecursionError, OSError):
        return False  # it is damaged, so nothing is lost
    return not (isinstance(content, dict) and {"format", "model", "training"} <= content.keys())


def _growth(initial: Checkpoint, corpus: Corpus) -> str:
    """Say which characters a network is given that it does not know yet."""
    new = [character for character in corpus.vocabulary if character not in initial.vocabulary]
    kept, added = counted(len(initial.vocabulary), "character"), f"{len(new):,}"
    shown = "".join(new[:SHOWN]) + ("..." if len(new) > SHOWN else "")
    are = "is" if len(new) == 1 else "are"
    return f"the {kept} that {initial.path} knows are kept, and {added} {are} new: {shown!r}"


def _inherited(options: TrainOptions, initial: Checkpoint) -> TrainOptions:
    """Return the caller's options, with the architecture of the checkpoint to start from."""
    model = initial.model.to_json()
    del model["vocabulary_size"]
    for name, value in options.items():
        if name in model and name not in ADJUSTABLE and model[name] != value:
            field = TRAIN_OPTIONS[name]
            raise OptionError(
                f"{field.shown(value)} does not go with --init-from {initial.path}, whose network "
                f"has {field.shown(model[name])}; leave it out"
            )
    if "preset" in options:
        raise OptionError("--preset and --init-from both determine the network; give one of them")
    adjusted = {name: value for name, value in options.items() if name not in model}
    kept = {name: options.get(name, value) for name, value in model.items()}
    if "dropout" not in options:  # which is no part of what was learned, and follows from the text
        del kept["dropout"]
    return cast("TrainOptions", adjusted | kept)
