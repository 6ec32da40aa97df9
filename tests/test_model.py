from pathlib import Path

import numpy as np
import pytest

import chargen
from chargen.errors import CheckpointError, OptionError, VocabularyError

pytestmark = pytest.mark.numeric


def test_sample_is_what_stream_yields(checkpoint: Path):
    model = chargen.load(checkpoint)
    options = {"length": 60, "temperature": 1.2, "top_k": 5, "top_p": 0.9, "min_p": 0.01}
    text = model.sample("abc", random_seed=4, **options)  # type: ignore[arg-type]
    assert text == "".join(model.stream("abc", random_seed=4, **options))  # type: ignore[arg-type]
    assert len(text) == 60


def test_without_a_random_seed_each_text_is_another(checkpoint: Path):
    model = chargen.load(str(checkpoint))
    assert len({model.sample(length=50) for _ in range(3)}) == 3


def test_sample_refuses_what_it_cannot_do(checkpoint: Path):
    model = chargen.load(checkpoint)
    with pytest.raises(VocabularyError, match="the model never saw 'X'"):
        model.sample("aXb")
    assert model.sample("aXb", unknown="skip", random_seed=1) == model.sample("ab", random_seed=1)
    with pytest.raises(OptionError, match="--temperature must be 0 or more"):
        model.stream(temperature=-1)


def test_logits_are_float32_rows_of_the_vocabulary(checkpoint: Path):
    model = chargen.load(checkpoint)
    logits = model.logits(model.vocabulary.encode("abc"))
    assert logits.shape == (3, len(model.vocabulary))
    assert logits.dtype == np.float32
    assert model.logits([]).shape == (0, len(model.vocabulary))
    assert model.config.units == 12
    for wrong in ([-1], [len(model.vocabulary)], [[0]], [1.5], ["a"], [True]):
        with pytest.raises(ValueError, match="ids must be"):
            model.logits(wrong)  # type: ignore[arg-type]


def test_load_says_what_is_missing(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        chargen.load(tmp_path / "nowhere")
