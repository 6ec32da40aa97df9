"""Settle a run before Keras starts: where it goes, what it reads, what it is."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import GATES, parameter_count
from chargen.checkpoint.directory import (
    CONFIG,
    FILES,
    RESUME,
    Checkpoint,
    CorpusRecord,
)
from chargen.config import DEFAULT_FOLDER, ModelConfig, TrainConfig, TrainOptions
from chargen.data.corpus import STANDARD_INPUT, Ids, fingerprint, read_corpus
from chargen.data.vocabulary import Vocabulary
from chargen.errors import CheckpointError, OptionError, TrainingError, VocabularyError
from chargen.training.recipe import default_validation, resolve
from chargen.training.runtime import library_versions

__all__ = ["Plan", "default_checkpoint", "plan_new", "plan_resumed"]

EXTENDABLE = ("epochs", "budget", "patience", "save_every", "threads")
"""Options that a resumed run may be given anew: how long it goes on, on what. The rest are what
it is."""
GROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
"""What Linux lets a container have."""
WEIGHT_COPIES = 5
"""Of the weights, at least: their gradients, Adam's two moments, and those that are exported."""
ADJUSTABLE = ("dropout", "window")
"""What a run that takes over a network may choose of its configuration."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, and from which weights.

    Attributes:
        checkpoint: the configuration, and where it goes; nothing is written yet.
        train_ids: to learn from.
        validation_ids: held out; may be empty.
        initial_weights: in the order of `chargen.checkpoint.architecture.describe`; None draws
            them.
        extended: whether a resumed run was given other options than it had.
    """

    checkpoint: Checkpoint
    train_ids: Ids
    validation_ids: Ids
    initial_weights: Sequence[NDArray[np.float32]] | None = None
    extended: bool = False


def default_checkpoint(source: str) -> Path:
    """`checkpoints/<stem>` of the first text; a compression's ending is no part of the stem."""
    if source == STANDARD_INPUT:
        return DEFAULT_FOLDER / "stdin"
    name = PurePath(source)
    if name.suffix in {".gz", ".bz2", ".xz"}:
        name = name.with_suffix("")
    return DEFAULT_FOLDER / (name.stem or "text")


def plan_new(
    folder: Path,
    sources: Sequence[str],
    options: TrainOptions,
    *,
    force: bool = False,
    init_from: Path | None = None,
    speed: Callable[[], float] | None = None,
) -> Plan:
    """Plan a run from the start.

    Args:
        folder: where the checkpoint goes.
        sources: the texts.
        options: the caller's choices.
        force: replace a checkpoint that is there.
        init_from: a checkpoint to take the network and its weights from.
        speed: measures how fast this machine learns; see `chargen.training.recipe.resolve`.
    """
    _check_free(folder, force)
    initial = Checkpoint.open(init_from) if init_from is not None else None
    if initial is None:
        _check_options(options)
    encoding = options.get("encoding", TrainConfig.encoding)
    min_count = options.get("min_count", TrainConfig.min_count)
    corpus = read_corpus(sources, encoding=encoding, min_count=min_count)
    if initial is not None:
        _check_vocabulary(corpus.vocabulary, initial)
        options = _inherited(options, initial)
    validation = default_validation(len(corpus.ids), options)
    train_ids, validation_ids = corpus.split(validation, encoding)
    if isinstance(validation, str) and (validation_ids == corpus.vocabulary.unknown).all():
        raise TrainingError(
            f"--validation {validation} holds no character of the text to learn from; give another"
        )
    model, training = resolve(
        options,
        vocabulary_size=len(corpus.vocabulary),
        characters=len(corpus.ids),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        validation=_absolute(validation) if isinstance(validation, str) else validation,
        speed=speed,
    )
    record = CorpusRecord(
        texts=tuple(_absolute(source) for source in sources),
        characters=len(corpus.ids),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        sha256=corpus.sha256,
        validation_sha256=fingerprint(validation_ids) if isinstance(validation, str) else None,
    )
    _check_memory(model, training)
    checkpoint = Checkpoint(folder, model, training, record, library_versions(), corpus.vocabulary)
    _check_writable(folder)
    weights = initial.weights() if initial is not None else None
    return Plan(checkpoint, train_ids, validation_ids, weights)


def plan_resumed(folder: Path, sources: Sequence[str], options: TrainOptions) -> Plan:
    """Plan to go on with the run in `folder`.

    Args:
        folder: its checkpoint.
        sources: its texts; none where they can be read again from where they were.
        options: as far as given, those of the run; epochs and patience may differ.
    """
    checkpoint = Checkpoint.open(folder)
    if not (folder / RESUME).is_file():
        raise CheckpointError(
            f"{folder} cannot be resumed: it has no {RESUME}; start a new run from its weights "
            f"with --init-from {folder}"
        )
    recorded = checkpoint.model.to_json() | checkpoint.training.to_json()
    given: dict[str, object] = dict(options)
    if isinstance(path := given.get("validation"), str):
        given["validation"] = _absolute(path)
    for name, value in given.items():
        if name not in EXTENDABLE and recorded[name] != value:
            option = name.replace("_", "-")
            raise OptionError(
                f"--{option} {value} does not go with --resume: this run was started with "
                f"{recorded[name]}; leave it out, or start a new run"
            )
    extended = {name: given[name] for name in EXTENDABLE if name in given}
    training = TrainConfig.from_json(checkpoint.training.to_json() | extended)
    _check_memory(checkpoint.model, training)
    corpus = checkpoint.read_corpus(sources)
    train_ids, validation_ids = corpus.split(training.validation, training.encoding)
    record = checkpoint.corpus
    if isinstance(training.validation, str) and (
        fingerprint(validation_ids) != record.validation_sha256
    ):
        raise TrainingError(
            f"{training.validation} is not the text that this run held out; put that back, or "
            "start a new run"
        )
    if sources and STANDARD_INPUT not in sources:  # where the text is now
        record = replace(record, texts=tuple(_absolute(source) for source in sources))
    opened = replace(checkpoint, training=training, corpus=record)
    return Plan(opened, train_ids, validation_ids, extended=training != checkpoint.training)


def _check_free(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give a directory with --checkpoint")
    found = [name for name in FILES if (folder / name).exists()]
    if found and not force:
        what = "a checkpoint" if CONFIG in found else f"{found[0]}, a name of a checkpoint's files"
        raise CheckpointError(
            f"{folder} already holds {what}; give --resume to go on with it, --force to replace "
            "it, or another --checkpoint"
        )
    if CONFIG in found and _is_foreign(folder / CONFIG):
        raise CheckpointError(
            f"{folder / CONFIG} is not of chargen, and --force would replace it; give another "
            "--checkpoint"
        )


def _is_foreign(config: Path) -> bool:
    """Whether a `config.json` is whole and yet not a checkpoint's."""
    try:
        content = json.loads(config.read_bytes())
    except (ValueError, RecursionError, OSError):
        return False  # damaged: nobody's loss
    return not (isinstance(content, dict) and {"format", "model", "training"} <= content.keys())


def _check_options(options: TrainOptions) -> None:
    """Refuse what no text could make right before minutes go into reading one."""
    plenty = 10**9
    resolve(
        options,
        vocabulary_size=100,
        characters=plenty,
        train_characters=plenty,
        validation_characters=0,
        validation=default_validation(plenty, options),
    )


def _check_memory(model: ModelConfig, training: TrainConfig) -> None:
    """Refuse what cannot fit, rather than have the system end the process, or others."""
    weights = WEIGHT_COPIES * parameter_count(model)
    # Of each layer, its gates at each time step of each stream.
    layers = model.layers * (2 if model.bidirectional else 1) * GATES[model.cell] * model.units
    activations = training.batch_size * model.window * (layers + model.vocabulary_size)
    needed, there = 4 * (weights + activations), _memory_bytes()
    if needed > there:
        raise TrainingError(
            f"training this takes {needed / 1e9:,.1f} GB of memory at least, and this machine has "
            f"{there / 1e9:,.1f}: choose fewer --units, --layers or --batch-size, or a shorter "
            "--window"
        )


def _memory_bytes() -> int:
    """Of this machine, or as much of it as this process may have."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # another system, or no limit: then it says "max"
        found.append(int(GROUP_MEMORY.read_text()))
    return min(found)


def _check_writable(folder: Path) -> None:
    """Find out before minutes of training that there is no place to keep them."""
    trial = folder / ".chargen-trial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise CheckpointError(
            f"cannot write to {folder}: {error.strerror}; give another --checkpoint"
        ) from None


def _check_vocabulary(vocabulary: Vocabulary, initial: Checkpoint) -> None:
    if vocabulary == initial.vocabulary:
        return
    new = "".join(c for c in vocabulary if c not in initial.vocabulary)
    missing = "".join(c for c in initial.vocabulary if c not in vocabulary)
    differences = [
        f"{label} {characters[:20]!r}{'...' if len(characters) > 20 else ''}"
        for label, characters in (("only in the text:", new), ("only in the model:", missing))
        if characters
    ]
    raise VocabularyError(
        f"--init-from {initial.path} needs a text with the same characters; "
        f"{', '.join(differences)}: train from the start, or make the texts' characters the same"
    )


def _inherited(options: TrainOptions, initial: Checkpoint) -> TrainOptions:
    """The caller's options with the architecture of the checkpoint to start from."""
    model = initial.model.to_json()
    del model["vocabulary_size"]
    for name, value in options.items():
        if name in model and name not in ADJUSTABLE and model[name] != value:
            raise OptionError(
                f"--{name} {value} does not go with --init-from {initial.path}, whose network "
                f"has {model[name]}; leave it out"
            )
    if "preset" in options:
        raise OptionError("--preset and --init-from both say what the network is; give one of them")
    adjusted = {name: value for name, value in options.items() if name not in model}
    kept = {name: options.get(name, value) for name, value in model.items()}
    return cast("TrainOptions", adjusted | kept)


def _absolute(source: str) -> str:
    return source if source == STANDARD_INPUT else str(Path(source).resolve())
