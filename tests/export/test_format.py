"""The names and the metadata of an exported file describe the model, not where it was trained."""

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import make_checkpoint

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.config import ModelConfig
from chargen.export.format import metadata, named_weights


def test_the_metadata_hold_what_a_program_needs(tmp_path: Path):
    checkpoint = make_checkpoint(
        tmp_path, "\n\0é\N{BEAR FACE}\N{REPLACEMENT CHARACTER}", cell="gru"
    )
    found = metadata(checkpoint)
    assert ModelConfig.from_json(json.loads(found.pop("model"))) == checkpoint.model
    assert json.loads(found.pop("vocabulary")) == list(checkpoint.vocabulary)
    assert found == {
        "format": "chargen",
        "format_version": "1",
        "begins_after": "\n",
        "never_written": "\N{REPLACEMENT CHARACTER}",
        "corpus_sha256": "0" * 64,
        "chargen_version": chargen.__version__,
    }


def test_a_vocabulary_may_lack_the_newline_and_the_replacement(tmp_path: Path):
    found = metadata(make_checkpoint(tmp_path, "abc"))
    assert (found["begins_after"], found["never_written"]) == ("", "")


def test_names_are_in_the_order_of_the_model(tmp_path: Path):
    options = {"layers": 2, "embedding": 5, "predict": "last", "bidirectional": True}
    shapes = {
        name: values.shape
        for name, values in named_weights(make_checkpoint(tmp_path, **options)).items()
    }
    assert shapes == {  # 12 characters and units, LSTM
        "embedding.weight": (12, 5),
        "layers.0.kernel": (5, 48),
        "layers.0.recurrent_kernel": (12, 48),
        "layers.0.bias": (48,),
        "layers.0.backward.kernel": (5, 48),
        "layers.0.backward.recurrent_kernel": (12, 48),
        "layers.0.backward.bias": (48,),
        "layers.1.kernel": (24, 48),
        "layers.1.recurrent_kernel": (12, 48),
        "layers.1.bias": (48,),
        "layers.1.backward.kernel": (24, 48),
        "layers.1.backward.recurrent_kernel": (12, 48),
        "layers.1.backward.bias": (48,),
        "output.kernel": (24, 12),
        "output.bias": (12,),
    }


@pytest.mark.parametrize("sha256", ["\ud800", "\x1b[2J"])
def test_a_fingerprint_that_somebody_made_up_is_written_as_text(tmp_path: Path, sha256: str):
    path = make_checkpoint(tmp_path).path / "config.json"
    config = json.loads(path.read_text())
    config["corpus"]["sha256"] = sha256
    path.write_text(json.dumps(config))
    assert metadata(Checkpoint.open(tmp_path))["corpus_sha256"].isprintable()


def with_paths(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint, trained on texts in somebody's home."""
    home = "/home/somebody/"
    corpus = dataclasses.replace(checkpoint.corpus, texts=(f"{home}text.txt",))
    training = dataclasses.replace(checkpoint.training, validation=f"{home}held.txt")
    return dataclasses.replace(checkpoint, corpus=corpus, training=training)


def test_the_metadata_name_no_path(tmp_path: Path):
    checkpoint = with_paths(make_checkpoint(tmp_path / "somewhere"))
    text = json.dumps(metadata(checkpoint))
    assert "somebody" not in text
    assert "somewhere" not in text
