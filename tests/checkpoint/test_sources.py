"""The texts of a run are read again, and must be the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_checkpoint

from chargen.checkpoint.sources import Sources
from chargen.data.corpus import fingerprint, read_corpus
from chargen.errors import CorpusError


def test_the_text_of_a_run_is_read_again_and_must_be_the_same(tmp_path: Path):
    text = tmp_path / "text"
    text.write_text("abcdefghij")
    corpus = read_corpus([str(text)])
    checkpoint = make_checkpoint(tmp_path / "ck", "abcdefghij")
    with pytest.raises(CorpusError, match="from standard input, which cannot be read again"):
        Sources(checkpoint).corpus()
    with pytest.raises(CorpusError, match="held nothing out; name a TEXT"):
        Sources(checkpoint).held_out_ids()
    record = replace(
        checkpoint.corpus, texts=(str(text),), sha256=corpus.sha256, validation_characters=2
    )
    training = replace(checkpoint.training, validation=0.2)
    checkpoint = replace(checkpoint, corpus=record, training=training)
    assert Sources(checkpoint).held_out_ids().tolist() == [8, 9]
    assert list(Sources(checkpoint).held_out_parts(1)) == ["i", "j"]
    text.write_text("abcdefghiX")
    with pytest.raises(CorpusError, match="not the text that the run"):
        Sources(checkpoint).held_out_ids()
    text.write_text("jiX")
    ids = checkpoint.vocabulary.encode("jiX")
    record = replace(record, validation_sha256=fingerprint(ids))
    training = replace(training, validation=str(text))
    checkpoint = replace(checkpoint, corpus=record, training=training)
    assert Sources(checkpoint).held_out_ids().tolist() == [9, 8, 10]
    assert list(Sources(checkpoint).held_out_parts(2)) == ["jiX"]
