"""Settle a run before Keras starts: where it goes, what it reads, what it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import cast

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint import CONFIG, DEFAULT_FOLDER, Checkpoint, CorpusRecord
from chargen.config import TrainConfig, TrainOptions
from chargen.data.corpus import STANDARD_INPUT, Ids, read_corpus
from chargen.data.vocabulary import Vocabulary
from chargen.errors import CheckpointError, OptionError, VocabularyError
from chargen.training.recipe import default_validation, resolve
from chargen.training.runtime import library_versions

__all__ = ["Plan", "default_checkpoint", "plan_new", "plan_resumed"]

EXTENDABLE = ("epochs", "patience")
"""Options that a resumed run may be given anew: how long it goes on. The rest are what it is."""
ADJUSTABLE = ("dropout", "window")
"""What a run that takes over a network may choose of its configuration."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, and from which weights.

    Attributes:
        checkpoint: the configuration, and where it goes; nothing is written yet.
        train_ids: to learn from.
        validation_ids: held out; may be empty.
        initial_weights: in the order of `chargen.architecture.describe`; None draws them.
    """

    checkpoint: Checkpoint
    train_ids: Ids
    validation_ids: Ids
    initial_weights: Sequence[NDArray[np.float32]] | None = None


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
    encoding = options.get("encoding", TrainConfig.encoding)
    min_count = options.get("min_count", TrainConfig.min_count)
    if not isinstance(min_count, int) or min_count < 1:
        raise OptionError(f"--min-count must be 1 or more; found {min_count!r}")
    corpus = read_corpus(sources, encoding=encoding, min_count=min_count)
    if initial is not None:
        _check_vocabulary(corpus.vocabulary, initial)
        options = _inherited(options, initial)
    validation = default_validation(len(corpus.ids), options)
    train_ids, validation_ids = corpus.split(validation, encoding)
    model, training = resolve(
        options,
        vocabulary_size=len(corpus.vocabulary),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        validation=_absolute(validation) if isinstance(validation, str) else validation,
    )
    record = CorpusRecord(
        texts=tuple(_absolute(source) for source in sources),
        characters=len(corpus.ids),
        train_characters=len(train_ids),
        validation_characters=len(validation_ids),
        sha256=corpus.sha256,
    )
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
    corpus = checkpoint.read_corpus(sources)
    train_ids, validation_ids = corpus.split(training.validation, training.encoding)
    return Plan(replace(checkpoint, training=training), train_ids, validation_ids)


def _check_free(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give a directory with --checkpoint")
    if not (folder / CONFIG).exists():
        return
    if not force:
        raise CheckpointError(
            f"{folder} already holds a checkpoint; give --resume to go on with it, --force to "
            "replace it, or another --checkpoint"
        )
    try:
        Checkpoint.open(folder)
    except CheckpointError as error:
        raise CheckpointError(
            f"--force replaces checkpoints only, and this is none it can read: {error}; remove "
            "it yourself, or give another --checkpoint"
        ) from None


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
