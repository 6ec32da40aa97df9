"""`chargen.Model` samples and scores as it says, and refuses wrong calls."""

import copy
import json
import pickle
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import CLOSE, FABLES, make_checkpoint

import chargen
from chargen.checkpoint.architecture import title
from chargen.checkpoint.directory import HISTORY_FIELDS, Checkpoint
from chargen.errors import (
    CheckpointError,
    CorpusError,
    NumericalError,
    OptionError,
    VocabularyError,
)

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
    with pytest.raises(OptionError, match="temperature must be 0 or more"):
        model.stream(temperature=-1)


def test_numbers_of_numpy_are_numbers(checkpoint: Path, tmp_path: Path):
    model = chargen.load(checkpoint)
    expected = model.sample("a", length=5, temperature=0.5, random_seed=3)
    written = model.sample(
        "a", length=np.int64(5), temperature=np.float32(0.5), random_seed=np.uint8(3)
    )
    assert written == expected
    with pytest.raises(OptionError, match=r"length must be 0 or more; found -5$"):
        model.sample(length=np.int64(-5))
    with pytest.raises(OptionError, match="must be 0 or more, and finite; found inf"):
        model.sample(temperature=np.float32("inf"))
    assert chargen.load(checkpoint, threads=np.int64(1)).threads == 1  # type: ignore[arg-type]
    (tmp_path / "text").write_text("abcdefghij" * 3)
    copies = model.copy_index(tmp_path / "text", np.uint8(3))  # type: ignore[arg-type]
    same = model.copy_index(tmp_path / "text", 3)
    options = {"length": 40, "random_seed": 2}
    assert model.sample(copies=copies, **options) == model.sample(copies=same, **options)  # type: ignore[arg-type]


def test_a_callers_mistake_is_an_error_of_chargen(checkpoint: Path):
    model = chargen.load(checkpoint)
    for seed in (-1, 2**70, 0.5, True):
        with pytest.raises(OptionError, match="random_seed must be"):
            model.sample("a", random_seed=seed)
    with pytest.raises(OptionError, match="unknown must be one of"):
        model.sample("a", unknown="x")
    with pytest.raises(CorpusError, match=r"the lone surrogate U\+DC80"):
        model.evaluate("ab\udc80")
    with pytest.raises(OptionError, match="must not be empty"):
        chargen.load("")
    with pytest.raises(OptionError, match="length must be a number.* use `stream`"):
        model.sample("a", length=None)
    for function in (model.sample, model.stream):
        with pytest.raises(TypeError, match="unexpected keyword argument 'heat'"):
            function("a", heat=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", [f"x{chr(0xDC80)}", f"x{chr(0xD800)}", "x\0y"], ids=ascii)
def test_a_path_that_cannot_be_shown_is_an_error_that_can(name: str):
    with pytest.raises(CheckpointError, match="train one with") as refused:
        chargen.load(name)
    assert str(refused.value).encode()
    assert "\\ud" in str(refused.value) or "\0" in name


def test_weights_that_overflow_warn_of_nothing(tmp_path: Path):
    made = make_checkpoint(tmp_path, cell="rnn", activation="relu", embedding=3)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        huge = [np.full_like(array, 3e38) for array in made.weights()]
        patch.setattr(Checkpoint, "weights", lambda _: huge)
        model = chargen.load(tmp_path)
        with pytest.raises(NumericalError, match="are not finite numbers"):
            model.sample("a", length=3)


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


def test_surprise_is_what_each_character_costs(checkpoint: Path):
    model = chargen.load(checkpoint)
    text = "abc\ndXef" * 3
    bits = model.surprise(text)
    assert bits.dtype == np.float32
    assert bits.shape == (len(text),)
    assert [bool(each) for each in np.isnan(bits)] == [character == "X" for character in text]
    score = model.evaluate(text)
    assert np.nanmean(bits) == pytest.approx(score.bits_per_character, **CLOSE)
    assert model.surprise("").shape == (0,)


def test_the_first_character_costs_nothing_where_nothing_comes_before_it(tmp_path: Path):
    model = chargen.load(make_checkpoint(tmp_path / "ck", "abc").path)  # which knows no newline
    assert list(np.isnan(model.surprise("abc"))) == [True, False, False]


def test_objects_say_what_they_are(checkpoint: Path, tmp_path: Path):
    model = chargen.load(checkpoint)
    name = title(model.checkpoint.model)
    assert repr(model) == f"<Model {checkpoint}: {name}, {len(model.vocabulary)} characters>"
    score = repr(model.evaluate("abcX" * 500))
    assert re.fullmatch(
        r"<Score \d\.\d{4} bits per character, accuracy 0\.\d{4}, 2,000 characters, 500 unknown>",
        score,
    )
    assert "unknown" not in repr(model.evaluate("abc"))
    assert "nan bits" in repr(model.evaluate(""))
    (tmp_path / "text").write_text("abcdefghij" * 3)
    index = model.copy_index(tmp_path / "text", 4)
    assert repr(index) == f"<CopyIndex of 10 passages of 4 characters, {index.nbytes:,} bytes>"


def test_the_history_is_that_of_the_run(tmp_path: Path):
    path = make_checkpoint(tmp_path / "ck").path
    lines = [dict.fromkeys(HISTORY_FIELDS, number) for number in range(3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "history.jsonl").write_text(text)
    assert chargen.load(path).history == lines


def test_texts_are_scored_side_by_side_as_each_alone(checkpoint: Path):
    model = chargen.load(checkpoint)
    texts = ["abc\n", "", "X", "a\ncab", "abcde" * 900]
    scores = model.evaluate_each(iter(texts))
    assert [score.characters for score in scores] == list(map(len, texts))
    assert [score.unknown_characters for score in scores] == [0, 0, 1, 0, 0]
    for text, score in zip(texts, scores, strict=True):
        assert score.bits_per_character == pytest.approx(
            model.evaluate(text).bits_per_character, **CLOSE, nan_ok=True
        )
    assert model.evaluate_each([]) == []
    with pytest.raises(OptionError, match="found one; use `evaluate`"):
        model.evaluate_each("one text")


LARGE = {"characters": FABLES, "units": 96, "layers": 2}


@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "gru"}, {"cell": "rnn", "embedding": 8}, {"predict": "last", "window": 5}],
    ids=str,
)
def test_a_model_computes_the_same_after_it_was_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
):
    monkeypatch.chdir(tmp_path)
    make_checkpoint(Path("ck"), **LARGE | options)
    model = chargen.load("ck", threads=2)
    text = FABLES[:300]
    before = pickle.dumps(model)
    expected = model.sample("The", length=50, random_seed=1), model.surprise(text).tobytes()
    data = pickle.dumps(model)
    assert len(data) == len(before), "what was derived since then is not part of it"
    size = sum(array.nbytes for array in model.checkpoint.weights())
    assert size < len(data) < size + 4000
    shutil.rmtree("ck")
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert again.sample("The", length=50, random_seed=1) == expected[0]
    assert again.surprise(text).tobytes() == expected[1]
    ids = model.vocabulary.encode(text)
    np.testing.assert_array_equal(again.logits(ids), model.logits(ids))
    assert again.threads == 2
    assert again.vocabulary == model.vocabulary
    assert (again.config, again.checkpoint.corpus) == (model.config, model.checkpoint.corpus)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}/ck, and that is not on this machine"):
        again.history  # noqa: B018


def test_the_history_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_checkpoint(tmp_path / "ck")
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(chargen.load("ck"))
    monkeypatch.chdir("/")
    assert pickle.loads(data).history == []


def test_a_copy_shares_the_weights_and_a_deep_copy_shares_nothing(checkpoint: Path):
    model = chargen.load(checkpoint, threads=2)
    text = model.sample("a", length=30, random_seed=1)
    shallow, deep = copy.copy(model), copy.deepcopy(model)
    shallow.threads = 1
    assert model.threads == 2
    assert shallow.network is model.network
    cells = [[layer.cell for layer in each.network.forward] for each in (model, deep)]
    for own, copied in zip(*cells, strict=True):
        assert not np.shares_memory(own.recurrent_kernel, copied.recurrent_kernel)
    deep.network.dense_kernel[...] = 0
    assert shallow.sample("a", length=30, random_seed=1) == text
    assert model.sample("a", length=30, random_seed=1) == text
    assert deep.sample("a", length=30, random_seed=1) != text


def test_a_configuration_that_was_pickled_is_checked(checkpoint: Path):
    config = chargen.load(checkpoint).config
    make, (values,) = config.__reduce__()
    assert make(values) == config
    with pytest.raises(OptionError, match="has unknown fields: depth"):
        make(values | {"depth": 3})
