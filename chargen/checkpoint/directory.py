"""The checkpoint directory, whose files are written atomically and checked when they are read.

    config.json       format version, model and training configuration, corpus, library versions
    vocabulary.json   the characters, in id order
    model.keras       the best weights so far, a stock Keras archive
    history.jsonl     one line per evaluation
    resume.safetensors  what a stopped run needs to resume (`chargen.training.state`)

Each file is replaced by writing a new one beside it, flushing that to disk and renaming it, so a
reader finds either the old or the new one. `config.json` is written last and removed first: a
directory that has it is a checkpoint. Reading needs no Keras and does not let a file choose which
objects are built.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chargen.checkpoint.architecture import describe
from chargen.checkpoint.archive import read_weights
from chargen.checkpoint.atomic import write_file
from chargen.config import DEFAULT_FOLDER, ModelConfig, Newlines, TrainConfig
from chargen.data.vocabulary import Vocabulary
from chargen.errors import CheckpointError, OptionError, reason_of, shortened
from chargen.plain import NATS_PER_BIT

__all__ = [
    "CONFIG",
    "FILES",
    "FORMAT",
    "HISTORY",
    "HISTORY_FIELDS",
    "MODEL",
    "RESUME",
    "Checkpoint",
    "CorpusRecord",
    "best_of",
    "bits_of",
    "find_checkpoints",
    "newest_checkpoint",
    "train_bits_of",
]

FORMAT = 1

CONFIG = "config.json"
VOCABULARY = "vocabulary.json"
MODEL = "model.keras"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
FILES = (CONFIG, VOCABULARY, MODEL, HISTORY, RESUME)

MOST_BYTES = {
    CONFIG: 1 << 24,  # the paths of 100,000 texts
    VOCABULARY: 1 << 25,  # every code point there is
    HISTORY: 1 << 27,  # 100,000 evaluations or more, each with a text
}
"""The size limit of each file: a malicious checkpoint is refused before it fills the memory."""
HISTORY_FIELDS = (
    "step",
    "epoch",
    "seconds",
    "characters",
    "learning_rate",
    "train_nats",
    "train_accuracy",
    "validation_nats",
    "validation_bits",
    "validation_accuracy",
    "best",
)
"""The fields of each line: numbers, true or false, or null if nothing is held out or the run
diverged.

Most lines have three more, which those of a divergence and of older runs lack: `gradient_norm`, the
mean norm of the gradient since the last evaluation, before it is clipped, `logit_factor`, what the
logits of these weights were multiplied by (see `chargen.scoring.calibration`), and `sample`, a text
that the model wrote.
"""
SAMPLE = "sample"
"""The field that is a text."""
ALWAYS_KNOWN = ("step", "epoch", "seconds")
"""The fields that are never null: a line says when it was written, even if the run diverged."""


@dataclass(frozen=True, kw_only=True)
class CorpusRecord:
    """The text a model was trained on, as `config.json` records it."""

    texts: tuple[str, ...]
    """Paths relative to the checkpoint, or "-" for standard input; older ones are absolute."""
    characters: int
    train_characters: int
    validation_characters: int
    sha256: str
    validation_sha256: str | None = None
    """The fingerprint of the ids of the held-out file, if a file is held out."""

    def __post_init__(self) -> None:
        sizes = (self.characters, self.train_characters, self.validation_characters)
        texts = isinstance(self.texts, tuple) and all(isinstance(t, str) for t in self.texts)
        sums = isinstance(self.sha256, str) and isinstance(self.validation_sha256, str | None)
        if not (texts and sums and all(type(n) is int for n in sizes)):
            raise TypeError("the corpus is not described by texts, sizes and a fingerprint")

    def to_json(self) -> dict[str, Any]:
        """Return all fields by name, ready for `json.dumps`."""
        return dataclasses.asdict(self) | {"texts": list(self.texts)}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory whose configuration and vocabulary have been read and checked."""

    path: Path
    model: ModelConfig
    training: TrainConfig
    corpus: CorpusRecord
    versions: dict[str, str]
    vocabulary: Vocabulary

    @classmethod
    def open(cls, path: Path) -> "Checkpoint":
        """Read `config.json` and `vocabulary.json`.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged or has another format.
        """
        config = _read_json(path, CONFIG)
        found = config.get("format") if isinstance(config, dict) else None
        if found != FORMAT:
            raise CheckpointError(
                f"{path / CONFIG} has format {shortened(repr(found))}; this chargen reads format "
                f"{FORMAT}: use the chargen that wrote it, or train again"
            )
        try:
            model = ModelConfig.from_json(config["model"])
            training = TrainConfig.from_json(config["training"])
            corpus = CorpusRecord(**config["corpus"] | {"texts": tuple(config["corpus"]["texts"])})
            versions = {str(name): str(value) for name, value in config["versions"].items()}
        except (KeyError, TypeError, AttributeError, OptionError) as error:
            raise _damaged(path, CONFIG, error) from None
        return cls(path, model, training, corpus, versions, _read_vocabulary(path, model))

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process may have another working directory.
        path = str(self.path.absolute())
        model, training, corpus = self.model, self.training, self.corpus
        return _remade, (path, model, training, corpus, self.versions, self.vocabulary)

    def write(self) -> None:
        """Write `vocabulary.json`, then `config.json`, which makes the directory a checkpoint."""
        for name, content in self._description().items():
            write_file(self.path / name, content)

    def mend(self) -> None:
        """Write those of the two files again that somebody has removed or changed."""
        for name, content in self._description().items():
            path = self.path / name
            if not (path.is_file() and path.read_bytes() == content):
                write_file(path, content)

    def _description(self) -> dict[str, bytes]:
        characters = list(self.vocabulary.characters)
        config = {
            "format": FORMAT,
            "model": self.model.to_json(),
            "training": self.training.to_json(),
            "corpus": self.corpus.to_json(),
            "versions": self.versions,
        }
        return {VOCABULARY: _dump({"characters": characters}), CONFIG: _dump(config)}

    @property
    def newlines(self) -> Newlines:
        """How newlines are best read in other texts: kept only if the model knows a CR."""
        return self.training.newlines if "\r" in self.vocabulary else "lf"

    def weights(self) -> list[NDArray[np.float32]]:
        """Read the model's arrays, float32, in the order of `architecture.describe`.

        Raises:
            CheckpointError: `model.keras` is missing or damaged, or does not contain the arrays
                that the configuration describes.
        """
        arrays = [array for layer in describe(self.model) for array in layer.arrays]
        try:
            return read_weights(_existing(self.path, MODEL), arrays)
        except (ValueError, OSError, MemoryError) as error:
            raise _damaged(self.path, MODEL, error) from None

    def history(self) -> list[dict[str, Any]]:
        """Read the evaluations, oldest first."""
        try:
            lines = _read(self.path, HISTORY).decode().split("\n")
            return [_checked_record(_parsed(line)) for line in lines if line]
        except (ValueError, RecursionError, OSError) as error:
            raise _damaged(self.path, HISTORY, error) from None

    def history_if_any(self) -> list[dict[str, Any]]:
        """Read the evaluations, oldest first; none if their file has not been copied along."""
        return self.history() if (self.path / HISTORY).is_file() else []

    def best(self) -> dict[str, Any] | None:
        """Return the evaluation whose weights are in `model.keras`, or None before the first."""
        return best_of(self.history())


def _remade(path: str, *fields: Any) -> Checkpoint:
    """Make a checkpoint from its pickle, whose path is a string that any Python reads."""
    return Checkpoint(Path(path), *fields)


def best_of(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the last evaluation that saved the best weights, or None before the first."""
    return next((line for line in reversed(history) if line.get("best")), None)


def train_bits_of(line: Mapping[str, Any]) -> float | None:
    """Return the bits per character of the training text; None where a run diverged."""
    nats: float | None = line["train_nats"]
    return None if nats is None else nats / NATS_PER_BIT


def bits_of(line: Mapping[str, Any]) -> float | None:
    """Return what a line of a history is judged by: the bits per held-out character.

    If nothing is held out, they are those of the text that is learned from.
    """
    held_out: float | None = line["validation_bits"]
    return train_bits_of(line) if held_out is None else held_out


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in and under `folder`, those with the newest weights last.

    Hidden directories are left out: one may belong to a run that is about to replace another.
    """
    found = [
        path.parent
        for path in folder.rglob(CONFIG)
        if (path.parent / MODEL).is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: ((path / MODEL).stat().st_mtime_ns, str(path)))


def newest_checkpoint(folder: Path = DEFAULT_FOLDER) -> Path:
    """Return the checkpoint with the newest weights in or under `folder`.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    found = find_checkpoints(folder)
    if not found:
        raise CheckpointError(
            f"no checkpoint under {folder}; train one with `chargen train TEXT`, or name one "
            "with --checkpoint or $CHARGEN_CHECKPOINT"
        )
    return found[-1]


def _dump(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _existing(path: Path, name: str) -> Path:
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint at {path}; train one with `chargen train TEXT -o {path}`"
        )
    if not path.is_dir():
        raise CheckpointError(f"{path} is a file; name the checkpoint's directory")
    if not (path / CONFIG).is_file():
        raise CheckpointError(
            f"{path} is not a checkpoint: it has no {CONFIG}; name another directory"
        )
    if not (path / name).is_file():
        raise CheckpointError(
            f"{path} is incomplete: it has no {name}; copy it again, or train again"
        )
    return path / name


def _damaged(path: Path, name: str, error: Exception) -> CheckpointError:
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return CheckpointError(
            f"cannot read {path / name}: {error.strerror}; check its permissions"
        )
    where, why = path / name, reason_of(error)
    return CheckpointError(f"{where} is damaged ({why}); copy the checkpoint again, or train again")


def _read(path: Path, name: str) -> bytes:
    """Return a file's bytes, unless there are more than such a file may have."""
    with _existing(path, name).open("rb") as file:
        data = file.read(MOST_BYTES[name] + 1)
    if len(data) > MOST_BYTES[name]:
        raise ValueError(f"it has more than {MOST_BYTES[name]:,} bytes")
    return data


def _checked_record(record: Any) -> dict[str, Any]:
    """Return a record of the history after checking that all its fields are there and finite."""
    if not isinstance(record, dict):
        raise ValueError("a line is not an object")
    if missing := [name for name in HISTORY_FIELDS if name not in record]:
        raise ValueError(f"a line lacks {missing[0]}")
    for name, value in record.items():
        if name == SAMPLE:
            if not isinstance(value, str | None):
                raise ValueError(f"in a line, {name} is not a text")
            continue
        if not isinstance(value, int | float | None) or (value is None and name in ALWAYS_KNOWN):
            raise ValueError(f"in a line, {name} is not a number")
        if value is not None and not abs(value) <= sys.float_info.max:  # as 1e400 is
            raise ValueError(f"in a line, {name} is not finite")
    return record


def _parsed(text: str | bytes) -> Any:
    """Parse strict JSON, without the NaN and Infinity that Python also accepts."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _read_json(path: Path, name: str) -> Any:
    try:
        return _parsed(_read(path, name))
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, name, error) from None


def _read_vocabulary(path: Path, model: ModelConfig) -> Vocabulary:
    try:
        vocabulary = Vocabulary(_read_json(path, VOCABULARY)["characters"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, VOCABULARY, error) from None
    if len(vocabulary) != model.vocabulary_size:
        size = f"{len(vocabulary)} characters; the model was made for {model.vocabulary_size}"
        raise _damaged(path, VOCABULARY, ValueError(size))
    return vocabulary
