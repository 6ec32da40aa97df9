"""The texts of a run are read again, and must be the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_checkpoint

from chargen.checkpoint.sources import Sources, locate, name_of_text, relative_to
from chargen.data.corpus import fingerprint, read_corpus
from chargen.errors import CorpusError


@pytest.mark.parametrize(
    ("source", "name"),
    [("-", "standard input"), ("../a/b.txt", "b.txt"), ("/home/me/c\x1b", "c\\x1b")],
)
def test_a_text_is_called_by_its_file_without_folders(source: str, name: str):
    assert name_of_text(source) == name


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


@pytest.mark.parametrize("place", ["text", "folder/text", "project/text", "project/runs/one/text"])
def test_a_text_is_named_relative_to_the_checkpoint_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "project" / "runs" / "one"
    checkpoint.mkdir(parents=True)
    text = tmp_path / place
    text.parent.mkdir(exist_ok=True)
    text.write_text("abc")
    recorded = relative_to(checkpoint, place)
    assert not Path(recorded).is_absolute()
    assert locate(checkpoint, recorded) == str(text)
    assert relative_to(Path("project/runs/one"), str(text)) == recorded
    assert locate(tmp_path / "project" / ".." / "project" / "runs" / "one", recorded) == str(text)
    # Both are moved.
    moved = (tmp_path / "project").rename(tmp_path / "elsewhere") / "runs" / "one"
    if place.startswith("project"):
        assert locate(moved, recorded) == str(text).replace("project", "elsewhere")


@pytest.mark.parametrize("place", ["text", "project/text", "project/texts/text"])
@pytest.mark.parametrize("copied", ["copy", "a/b/c/copy"])
def test_a_text_is_found_when_the_checkpoint_alone_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, copied: str
):
    text = tmp_path / place
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("abc")
    recorded = relative_to(tmp_path / "project" / "checkpoints" / "one", str(text))
    monkeypatch.chdir(text.parent)
    (tmp_path / copied).mkdir(parents=True)
    assert locate(tmp_path / copied, recorded) == str(text)
    missing = locate(tmp_path / copied, "../../nothing")
    assert not Path(missing).exists()


def test_older_checkpoints_name_their_texts_by_absolute_paths(tmp_path: Path):
    assert locate(tmp_path, "/nowhere/text") == "/nowhere/text"
    assert locate(tmp_path, "-") == relative_to(tmp_path, "-") == "-"


@pytest.mark.parametrize("name", ["\0", "a" * 5000, "../" * 4000 + "x"])
def test_what_cannot_be_the_name_of_a_file_is_refused(tmp_path: Path, name: str):
    checkpoint = make_checkpoint(tmp_path / "ck", "abc")
    record = replace(checkpoint.corpus, texts=(name,), validation_characters=1)
    with pytest.raises(CorpusError):
        Sources(replace(checkpoint, corpus=record)).corpus()
