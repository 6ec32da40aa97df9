"""Settle all of a run before it starts: where it goes, what it reads, what it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.directory import (
    CONFIG,
    FILES,
    RESUME,
    Checkpoint,
    CorpusRecord,
)
from chargen.config import DEFAULT_FOLDER, TrainConfig, TrainOptions
from chargen.data.corpus import STANDARD_INPUT, Ids, fingerprint, read_corpus
from chargen.data.vocabulary import Vocabulary
from chargen.errors import CheckpointError, OptionError, TrainingError, VocabularyError
from chargen.training import runtime
from chargen.training.defaults import (
    TextSize,
    check_memory,
    check_options,
    default_validation,
    settle,
)
from chargen.training.machine import learning_speed, this_machine

__all__ = ["Plan", "default_checkpoint", "plan_new", "plan_resumed"]

EXTENDABLE = ("epochs", "budget", "patience", "save_every", "threads")
"""Options that a resumed run may be given anew: how long it goes on, on what. The rest are what
it is."""
OLDER_STATE = "resume.npz"
"""What held the state of a run before `RESUME` did."""
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
        resumed: whether the checkpoint's directory holds a run to be continued.
        extended: whether that was given other options than it had.
    """

    checkpoint: Checkpoint
    train_ids: Ids
    validation_ids: Ids
    initial_weights: Sequence[NDArray[np.float32]] | None = None
    resumed: bool = False
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
) -> Plan:
    """Plan a run from the start.

    Args:
        folder: where the checkpoint goes.
        sources: the texts.
        options: the caller's choices.
        force: replace a checkpoint that is there.
        init_from: a checkpoint to take the network and its weights from.
    """
    _check_free(folder, force)
    initial = Checkpoint.open(init_from) if init_from is not None else None
    if initial is None:
        check_options(options)
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
    _check_writable(folder)
    threads = options.get("threads")
    model, training = settle(
        options,
        TextSize(
            vocabulary=len(corpus.vocabulary),
            characters=len(corpus.ids),
            train=len(train_ids),
            validation=len(validation_ids),
        ),
        validation=_absolute(validation) if isinstance(validation, str) else validation,
        speed=learning_speed(threads),
        machine=partial(this_machine, threads),
    )
    record = CorpusRecord(
        texts=tuple(_absolute(source) for source in sources),
        characters=len(corpus.ids),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        sha256=corpus.sha256,
        validation_sha256=fingerprint(validation_ids) if isinstance(validation, str) else None,
    )
    versions = runtime.library_versions()
    checkpoint = Checkpoint(folder, model, training, record, versions, corpus.vocabulary)
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
        given["validation"] = _absolute(path)
    for name, value in given.items():
        if name not in EXTENDABLE and recorded[name] != value:
            option = name.replace("_", "-")
            raise OptionError(
                f"--{option} {value} does not go with --resume: this run was started with "
                f"{recorded[name]}; leave it out, or start a new run"
            )
    anew = {name: given[name] for name in EXTENDABLE if name in given}
    training = TrainConfig.from_json(checkpoint.training.to_json() | anew)
    check_memory(checkpoint.model, training.batch_size)
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
    runtime.start(training.threads)
    opened = replace(checkpoint, training=training, corpus=record)
    extended = training != checkpoint.training
    return Plan(opened, train_ids, validation_ids, resumed=True, extended=extended)


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
