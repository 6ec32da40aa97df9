"""A text's score is the mean surprise of its characters, however it is read."""

import itertools
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from rounding import CLOSE

import chargen
from chargen.data.vocabulary import REPLACEMENT
from chargen.errors import NumericalError
from chargen.model import Model
from chargen.network.network import Network
from chargen.scoring import score as score_module
from chargen.scoring.score import LineScorer, _Alignment, _count_streams, score_each, score_ids
from chargen.scoring.tally import CharacterScores, join_scores

pytestmark = pytest.mark.numeric


def reference(model: Model, text: str) -> list[float]:
    """Nats of each known character, one position at a time, in float64."""
    ids = model.vocabulary.encode(text)
    ids = ids[ids < len(model.vocabulary)].astype(np.int64)
    start = model.vocabulary.newline
    if start is not None:
        ids = np.concatenate([[start], ids])
    logits = model.logits(ids[:-1]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), ids[1:]]
    return [n for n, i in zip(nats, ids[1:], strict=True) if i != model.vocabulary.replacement]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"cell": "gru", "layers": 2},
        {"predict": "last"},
        {"predict": "last", "bidirectional": True},
    ],
)
@pytest.mark.parametrize("characters", ["\n abc", "abc "])
def test_the_figure_is_the_mean_surprise(tmp_path: Path, model: dict[str, Any], characters: str):
    make_checkpoint(tmp_path, characters, **model)
    loaded = chargen.load(tmp_path)
    text = "abc cab bac" * 5
    score = loaded.evaluate(text)
    expected = reference(loaded, text)
    given_first = 0 if "\n" in characters else 1
    assert len(expected) == len(text) - given_first
    nats = np.mean(expected)
    assert score.nats_per_character == pytest.approx(nats, abs=CLOSE)
    assert score.bits_per_character == pytest.approx(nats / math.log(2), abs=CLOSE)
    assert score.perplexity == pytest.approx(math.exp(nats), rel=CLOSE, abs=CLOSE)
    assert score.characters == len(text)
    assert score.unknown_characters == 0


def random_ids(model: Model, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, len(model.vocabulary), count).astype(np.uint8)


def calm(path: Path, threads: int | None = None, **options: Any) -> Model:
    """A model that forgets how it began, as trained ones do."""
    checkpoint = make_checkpoint(path, **options)
    model = chargen.load(path, threads=threads)
    model.network = Network(checkpoint.model, [w * 0.4 for w in checkpoint.weights()])
    return model


def assert_same(some: CharacterScores, others: CharacterScores) -> None:
    np.testing.assert_allclose(some.nats, others.nats, rtol=0, atol=CLOSE)
    assert abs(some.nats.mean() - others.nats.mean()) < CLOSE / 10
    assert some.correct.mean() == pytest.approx(others.correct.mean(), abs=CLOSE)
    np.testing.assert_array_equal(some.scored, others.scored)
    np.testing.assert_array_equal(some.unknown, others.unknown)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_many_streams_score_as_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, threads: int
):
    model = calm(tmp_path, threads, layers=2, cell=cell)
    ids = random_ids(model, 30_001)
    many = model.scorer().score(ids)
    monkeypatch.setattr(score_module, "FEWEST_CHARACTERS", 10**9)
    assert_same(many, model.scorer().score(ids))


@pytest.mark.parametrize(
    "options",
    [{}, {"layers": 2, "cell": "gru"}, {"predict": "last"}, {"predict": "last", "window": 1}],
)
@pytest.mark.parametrize("characters", ["\n abc", " abc"])
def test_a_text_in_parts_scores_as_in_one(tmp_path: Path, options: dict[str, Any], characters: str):
    model = calm(tmp_path, characters=characters, **options)
    ids = random_ids(model, 12_000)
    ids[:2] = ids[7:9] = ids[5_000] = model.vocabulary.unknown
    scorer = model.scorer()
    cuts = [0, 1, 2, 3, 8, 8, 20, 5_500, 12_000]
    parts = [scorer.score(ids[start:end]) for start, end in itertools.pairwise(cuts)]
    together = CharacterScores(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("nats", "correct", "scored", "unknown")
        ),
        seconds=1,
    )
    assert_same(model.scorer().score(ids), together)


def test_streams_are_as_many_as_pay():
    found = [_count_streams(10**power) for power in range(2, 9)]
    groups, rows = zip(*found, strict=True)
    assert list(groups) == [0, 0, 2, 2, 4, 8, 8]
    assert rows[:2] == (0, 0)  # one stream
    counts = [group * row for group, row in found]
    assert counts == sorted(counts)
    assert 64 < counts[3] < 10**5 / score_module.WARM_UP
    assert rows[-1] == max(rows) == score_module.MOST_STREAMS


@pytest.mark.parametrize(
    "options",
    [
        {"units": 100},
        {"units": 100, "cell": "gru", "layers": 2},
        {"units": 100, "cell": "rnn", "predict": "last", "window": 12},
    ],
)
def test_the_number_of_threads_changes_no_figure(tmp_path: Path, options: dict[str, Any]):
    make_checkpoint(tmp_path, **options)
    longest = 20_000 if "predict" in options else 280_000
    found = []
    for threads in (1, 2, 3):
        model = chargen.load(tmp_path, threads=threads)
        ids = random_ids(model, longest)
        scores = [model.scorer().score(ids[:count]) for count in (1500, 5000, longest)]
        for count in (5, 65, 300):
            parts = np.array_split(ids[: count * 7], count)
            scores += score_each(model, parts)
        found.append(join_scores(scores))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].nats, other.nats)
        np.testing.assert_array_equal(found[0].correct, other.correct)


def test_a_failure_in_a_thread_is_raised(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, cell="rnn", activation="relu")
    model = chargen.load(tmp_path, threads=2)
    model.network = Network(checkpoint.model, [w * 1e3 for w in checkpoint.weights()])
    with pytest.raises(NumericalError, match="are not finite numbers"):
        model.scorer().score(random_ids(model, 30_000))


def test_unknown_characters_are_counted_and_left_out(tmp_path: Path):
    make_checkpoint(tmp_path)
    model = chargen.load(tmp_path)
    clean, dirty = model.evaluate("abcabc"), model.evaluate("abXcaYbc")
    assert dirty.unknown_characters == 2
    assert dirty.characters == 8
    assert dirty.nats_per_character == pytest.approx(clean.nats_per_character, abs=CLOSE)


@pytest.mark.parametrize("characters", ["\n abc", " abc"])
@pytest.mark.parametrize("text", ["abXcaYbc", "XabcYabc"])
def test_unknown_characters_are_read_as_the_replacement_where_it_is_known(
    tmp_path: Path, characters: str, text: str
):
    make_checkpoint(tmp_path, characters + REPLACEMENT)
    model = chargen.load(tmp_path)
    assert model.evaluate(text).unknown_characters == 2
    expected = np.mean(reference(model, text))
    assert model.evaluate(text).nats_per_character == pytest.approx(expected, abs=CLOSE)
    folded = model.evaluate(text.replace("X", REPLACEMENT).replace("Y", REPLACEMENT))
    assert folded.unknown_characters == 2
    assert folded.nats_per_character == model.evaluate(text).nats_per_character


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_that_overflow_are_an_error_not_a_figure(tmp_path: Path, layers: int):
    checkpoint = make_checkpoint(tmp_path, cell="rnn", activation="relu", layers=layers)
    weights = [w * 1e3 for w in checkpoint.weights()]
    model = chargen.load(tmp_path)
    model.network = Network(checkpoint.model, weights)
    with pytest.raises(NumericalError, match="are not finite numbers"):
        model.evaluate("abc cab bac" * 200)
    for temperature in (0, 1):
        with pytest.raises(NumericalError, match="are not finite numbers"):
            model.sample("abc", length=2000, temperature=temperature)


@pytest.mark.parametrize("text", ["", "XYZ"])
def test_a_text_of_nothing_known_has_a_score_of_no_numbers(checkpoint: Path, text: str):
    score = chargen.load(checkpoint).evaluate(text)
    assert score.characters == score.unknown_characters == len(text)
    assert math.isnan(score.nats_per_character)
    assert math.isnan(score.perplexity)
    assert math.isnan(score.accuracy)


def test_accuracy_is_the_share_of_first_choices(checkpoint: Path):
    model = chargen.load(checkpoint)
    greedy = model.sample("", length=50, temperature=0)
    assert model.evaluate(greedy).accuracy == 1
    worst = "".join(
        model.vocabulary.characters[int(row.argmin())]
        for row in model.logits(model.vocabulary.encode("\n"))
    )
    assert model.evaluate(worst).accuracy == 0


def test_a_long_text_takes_no_more_memory_than_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    make_checkpoint(tmp_path)
    model = chargen.load(tmp_path, threads=1)
    monkeypatch.setattr(score_module, "PART", 1 << 16)
    peaks = []
    for parts in (2, 8):
        ids = random_ids(model, parts << 16)
        tracemalloc.start()
        score_ids(model, ids)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


NETWORKS: list[dict[str, Any]] = [
    {},
    {"cell": "gru", "layers": 2},
    {"predict": "last", "window": 5},
    {"predict": "last", "bidirectional": True, "cell": "rnn"},
]


def is_clear(model: Model, ids: np.ndarray) -> np.ndarray:
    """Where rounding cannot decide whether a text's character is the first choice."""
    path = _Alignment(model.vocabulary, np.array(model.vocabulary.start_of_text, np.intp), ids)
    logits, rows = model.logits(path.inputs), np.arange(len(path.targets))
    chosen = logits[rows, path.targets]
    logits[rows, path.targets] = -np.inf
    clear = np.abs(chosen - logits.max(axis=1)) > CLOSE
    return path.scores(np.stack([chosen, clear]), 0.0).correct


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("characters", ["\n abc", "abc ", f"abc {REPLACEMENT}"])
def test_texts_read_side_by_side_score_as_each_alone(
    tmp_path: Path, network: dict[str, Any], characters: str
):
    make_checkpoint(tmp_path, characters, **network)
    model = chargen.load(tmp_path, threads=2)
    rng = np.random.default_rng(0)
    texts = ["", "a", "X", "aXb", *("".join(rng.choice(list("abc X"), n)) for n in range(3, 90, 7))]
    texts.append("abc " * 700)
    ids = [model.vocabulary.encode(text) for text in texts]
    for one, scores in zip(ids, score_each(model, ids), strict=True):
        expected = model.scorer().score(one)
        np.testing.assert_array_equal(scores.scored, expected.scored)
        np.testing.assert_array_equal(scores.unknown, expected.unknown)
        clear = is_clear(model, one)
        np.testing.assert_array_equal(scores.correct[clear], expected.correct[clear])
        np.testing.assert_allclose(scores.nats, expected.nats, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("network", NETWORKS)
def test_lines_scored_by_themselves_are_texts_of_their_own(tmp_path: Path, network: dict[str, Any]):
    make_checkpoint(tmp_path, "\n abc", **network)
    model = chargen.load(tmp_path)
    lines = ["abc\n", "\n", "a cab\n", "aX\n", "bac bac"]
    expected = [model.scorer().score(model.vocabulary.encode(line)) for line in lines]
    for cuts in ([], [4], [2], [4, 5], [2, 7, 13]):  # parts of the text, also within a line
        scorer = LineScorer(model)
        text, nats = "".join(lines), []
        for start, end in itertools.pairwise([0, *cuts, len(text)]):
            nats.append(scorer.score(text[start:end]).nats)
        np.testing.assert_allclose(
            np.concatenate(nats), np.concatenate([s.nats for s in expected]), rtol=0, atol=CLOSE
        )
