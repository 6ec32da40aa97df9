"""The texts of a checkpoint's run, which its configuration names, read again from where they are.

A checkpoint names its texts by their paths relative to itself, which still hold when a folder with
both is moved, and tell nothing of what is above that folder. A checkpoint may also come from a
stranger, so what it names is only read if it is a regular file.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from chargen.checkpoint.directory import Checkpoint
from chargen.checkpoint.ids import IdsFile
from chargen.config import TrainConfig
from chargen.data.corpus import Corpus, Ids, fingerprint, read_corpus, read_ids
from chargen.data.standard_input import STANDARD_INPUT
from chargen.data.text import TextFormat, read_text, split_into_parts
from chargen.errors import CorpusError, shortened
from chargen.plain import visible

__all__ = ["Sources", "locate", "name_of_text", "relative_to", "text_format_of"]


def text_format_of(training: TrainConfig) -> TextFormat:
    """Return how a run reads its texts."""
    return TextFormat(training.encoding, training.newlines, training.field)


def relative_to(checkpoint: Path, source: str) -> str:
    """Return a source as a checkpoint names it."""
    if source == STANDARD_INPUT:
        return source
    return Path(os.path.relpath(Path(source).resolve(), checkpoint.resolve())).as_posix()


def name_of_text(source: str) -> str:
    """Return what people call a text: its file's name, without the folders, or standard input.

    The folders are nobody's business where a page or a file is passed on.
    """
    return "standard input" if source == STANDARD_INPUT else visible(PurePosixPath(source).name)


def locate(checkpoint: Path, recorded: str) -> str:
    """Return where a source is that a checkpoint names.

    Where the checkpoint has been copied and its text has not, the text is looked for under each
    folder above the checkpoint and above the working directory, as it was under the folder that
    held both. It need not be the same one, which a fingerprint tells.
    """
    if recorded == STANDARD_INPUT:
        return recorded
    folder = checkpoint.resolve()
    first = Path(os.path.normpath(folder / recorded))
    within = Path(*(part for part in Path(recorded).parts if part != os.pardir))
    with suppress(OSError, ValueError):  # the name of a file cannot be like this
        if not (first.exists() or within.is_absolute()):
            for above in (*folder.parents, Path.cwd(), *Path.cwd().parents):
                if (above / within).is_file():
                    return str(above / within)
    return str(first)


class Sources:
    """The texts that a run was started with.

    Args:
        checkpoint: the run's checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._path, self._record = checkpoint.path, checkpoint.corpus
        self._training, self._vocabulary = checkpoint.training, checkpoint.vocabulary
        validation = self._training.validation
        self._validation = (
            locate(checkpoint.path, validation) if isinstance(validation, str) else validation
        )

    def corpus(self, sources: Sequence[str] = (), ids_file: IdsFile | None = None) -> Corpus:
        """Read the text that the run was started with again, and check that it is the same.

        Args:
            sources: where the text is now; empty if it is still where it was.
            ids_file: what holds the ids of a long text; None holds them in memory.

        Raises:
            CheckpointError: the file of the ids cannot be written.
            CorpusError: the text cannot be read, or is a different one.
        """
        record, training = self._record, self._training
        if not sources and STANDARD_INPUT in record.texts:
            kept = (ids_file or IdsFile(self._path)).corpus_of(record.sha256, self._vocabulary)
            if kept is not None:
                return kept
            raise CorpusError(
                f"the run in {self._path} read its text from standard input, which cannot be read "
                "again; give the whole text again to train, or the TEXT to score to evaluate"
            )
        recorded = [] if sources else [locate(self._path, text) for text in record.texts]
        held_out = [self._validation] if isinstance(self._validation, str) else []
        self._check_named([*recorded, *held_out])
        read = read_corpus if ids_file is None else ids_file.corpus
        # Some of the vocabulary may come from the checkpoint that the run began with.
        corpus = read(
            sources or recorded,
            text_format_of(training),
            min_count=training.min_count,
            known=self._vocabulary,
        )
        # The ids may come from a stranger's file, and other characters than the model's do harm.
        if corpus.sha256 != record.sha256 or corpus.vocabulary != self._vocabulary:
            raise CorpusError(
                f"this is not the text that the run in {self._path} was started with: that text "
                f"had {record.characters:,} characters, this one has {len(corpus.ids):,}, "
                "and they are not the same; give that text, or name another TEXT"
            )
        return corpus

    def split(self, corpus: Corpus) -> tuple[Ids, Ids]:
        """Return the ids to train on and the held-out ids.

        Raises:
            CorpusError: the held-out file cannot be read.
        """
        return corpus.split(self._validation, text_format_of(self._training))

    @cached_property
    def _recorded_corpus(self) -> Corpus:
        """The text from where it was, which takes long to read."""
        return self.corpus()

    def train_ids(self) -> Ids:
        """Read the text that the run was trained on again, from where it was.

        Raises:
            CorpusError: the text is missing or a different one.
        """
        corpus, validation = self._recorded_corpus, self._validation
        return corpus.ids if isinstance(validation, str) else corpus.split(validation)[0]

    def held_out_ids(self) -> Ids:
        """Read the run's own validation text again, from where it was.

        Raises:
            CorpusError: nothing was held out, or the text is missing or a different one.
        """
        if not self._record.validation_characters:
            raise CorpusError(f"the run in {self._path} held nothing out; name a TEXT to score")
        validation = self._validation
        if not isinstance(validation, str):
            return self._recorded_corpus.split(validation)[1]
        self._check_named([validation])
        ids = read_ids([validation], self._vocabulary, text_format_of(self._training))
        if fingerprint(ids) != self._record.validation_sha256:
            raise CorpusError(
                f"{validation} is not the text that the run in {self._path} held out; name the "
                "TEXT to score"
            )
        return ids

    def _check_named(self, texts: Sequence[str]) -> None:
        """Refuse anything that a stranger's checkpoint may name but a file, such as a device.

        Raises:
            CorpusError: a text is missing or not a regular file, or its name cannot be a file's.
        """
        for text in texts:
            try:
                is_file = stat.S_ISREG(Path(text).stat().st_mode)
            except FileNotFoundError:
                raise CorpusError(
                    f"{shortened(text)}, which the checkpoint {self._path} names as its text, is "
                    "not there; name the TEXT"
                ) from None
            except (OSError, ValueError):
                is_file = False
            if not is_file:
                raise CorpusError(
                    f"{shortened(text)}, which the checkpoint {self._path} names as its text, is "
                    "not a regular file; name the TEXT"
                )

    def held_out_parts(self, characters: int) -> Iterator[str]:
        """Yield the text of `held_out_ids` in parts of about `characters` characters.

        In a share of the corpus, the characters that `min_count` replaced are U+FFFD.
        """
        ids = self.held_out_ids()
        if isinstance(self._validation, str):
            text = read_text([self._validation], text_format_of(self._training))
            yield from split_into_parts(text, characters)
            return
        for start in range(0, len(ids), characters):
            yield self._vocabulary.decode(ids[start : start + characters])
