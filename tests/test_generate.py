from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from chargen.checkpoint import Checkpoint
from chargen.config import SampleConfig
from chargen.data.vocabulary import REPLACEMENT
from chargen.errors import NumericalError
from chargen.inference import decoding, generate
from chargen.inference.decoding import Noise
from chargen.inference.generate import (
    CHUNK,
    FEWEST_TOGETHER,
    Generation,
    _overlap,
    write_together,
)
from chargen.inference.network import Network
from chargen.inference.streams import Streams

pytestmark = pytest.mark.numeric


def generation(path: Path, seed: str = "", random_seed: int = 0, **options: Any) -> Generation:
    checkpoint = Checkpoint.open(path)
    ids = checkpoint.vocabulary.encode_seed(seed)
    config = SampleConfig(**options)
    return Generation(Network.load(checkpoint), checkpoint.vocabulary, ids, config, random_seed)


def test_the_first_character_is_yielded_at_once_and_later_ones_in_pieces(checkpoint: Path):
    pieces = list(generation(checkpoint, length=300))
    assert len(pieces[0]) == 1
    assert max(map(len, pieces)) == CHUNK
    assert len("".join(pieces)) == 300


@pytest.mark.parametrize("count", [1, FEWEST_TOGETHER])
@pytest.mark.parametrize("length", [1, 20, 500])
def test_no_more_is_drawn_than_is_asked_for(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, count: int, length: int
):
    taken = []
    take = Noise.take
    monkeypatch.setattr(Noise, "take", lambda noise, n: taken.append(n) or take(noise, n))
    opened = Checkpoint.open(checkpoint)
    config = SampleConfig(length=length)
    texts = write_together(Network.load(opened), opened.vocabulary, [[1]] * count, config, 0)
    assert [len("".join(text)) for text in texts] == [length] * count
    assert sum(taken) == count * length


def test_length_counts_what_follows_the_seed(checkpoint: Path):
    for length in (0, 1, 17):
        text = generation(checkpoint, "abc", length=length)
        assert len("".join(text)) == length
        assert text.stopped == "length"


def test_the_same_random_seed_writes_the_same_and_another_another(checkpoint: Path):
    texts = ["".join(generation(checkpoint, random_seed=n, length=80)) for n in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("model", [{}, {"predict": "last"}, {"predict": "last", "cell": "gru"}])
def test_greedy_text_is_what_the_logits_say(tmp_path: Path, model: dict[str, Any]):
    """The loop that carries state equals predicting afresh from all that came before."""
    checkpoint = make_checkpoint(tmp_path, **model)
    text = "".join(generation(tmp_path, "ab", length=30, temperature=0))
    network = Network.load(checkpoint)
    ids = checkpoint.vocabulary.encode("\nab").tolist()
    for character in text:
        best = int(network.logits(np.array(ids))[-1].argmax())
        assert checkpoint.vocabulary.characters[best] == character
        ids.append(best)


def test_a_text_begins_as_if_after_a_line_end(checkpoint: Path):
    network = Network.load(Checkpoint.open(checkpoint))
    vocabulary = Checkpoint.open(checkpoint).vocabulary
    for seed in ("", "\n", "a"):
        expected = network.logits(vocabulary.encode("\n" + seed))[-1].argmax()
        first = "".join(generation(checkpoint, seed, length=1, temperature=0))
        assert first == vocabulary.characters[expected]


def test_without_a_line_end_and_a_seed_the_bias_predicts_the_first(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, "abcd")
    bias = checkpoint.weights()[-1]
    first = next(iter(generation(tmp_path, temperature=0)))
    assert first == "abcd"[int(bias.argmax())]


def test_the_replacement_character_is_never_written(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path, "ab" + REPLACEMENT)
    network = Network.load(checkpoint)
    favourite = checkpoint.vocabulary.replacement
    network.dense_bias[favourite] = 50
    text = Generation(network, checkpoint.vocabulary, [0], SampleConfig(length=50), 0)
    assert set("".join(text)) <= {"a", "b"}


@given(st.text("ab", min_size=1, max_size=4), st.integers(0, 30))
def test_stop_ends_before_its_first_appearance(
    tmp_path_factory: pytest.TempPathFactory, stop: str, random_seed: int
):
    path = tmp_path_factory.getbasetemp() / "stop"
    if not path.exists():
        make_checkpoint(path, "ab")
    whole = "".join(generation(path, "a", random_seed, length=40, temperature=2))
    stopped = generation(path, "a", random_seed, length=40, temperature=2, stop=stop)
    text = "".join(stopped)
    if stop in whole:
        assert text == whole[: whole.index(stop)]
        assert stopped.stopped == "stop"
    else:
        assert text == whole
        assert stopped.stopped == "length"


def test_what_may_become_the_stop_string_is_held_back():
    assert _overlap("xab", "abc") == 2
    assert _overlap("xaa", "aab") == 2
    assert _overlap("xyz", "abc") == 0
    assert _overlap("abc", "") == 0


def test_endless_goes_on(checkpoint: Path):
    endless = iter(generation(checkpoint, length=None))
    assert len([next(endless) for _ in range(2000)]) == 2000


SEEDS = ["", "a", "bc", "abcdefghij", "j", "", "dead", "a"]


def assert_together_as_alone(path: Path, threads: int = 2, **options: Any) -> list[str]:
    checkpoint = Checkpoint.open(path)
    seeds = [checkpoint.vocabulary.encode_seed(seed) for seed in SEEDS]
    config = SampleConfig(**options)
    network = Network.load(checkpoint)
    together = write_together(network, checkpoint.vocabulary, seeds, config, 7, threads)
    texts = ["".join(text) for text in together]
    for index, (seed, text) in enumerate(zip(SEEDS, together, strict=True)):
        alone = generation(path, seed, 7 + index, **options)
        assert texts[index] == "".join(alone)
        assert text.stopped == alone.stopped
        assert text.random_seed == 7 + index
    return texts


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("model", [{}, {"layers": 3}, {"embedding": 4}, {"predict": "last"}])
def test_together_each_text_is_as_alone(tmp_path: Path, cell: str, model: dict[str, Any]):
    make_checkpoint(tmp_path, cell=cell, **model)
    for options in ({"length": 100}, {"length": 0}, {"length": 30, "temperature": 0}):
        assert_together_as_alone(tmp_path, **options)
    assert_together_as_alone(tmp_path, length=40, temperature=2, top_k=5, top_p=0.8, min_p=0.1)


def test_together_without_a_line_end_each_text_is_as_alone(tmp_path: Path):
    make_checkpoint(tmp_path, "abcdefghij" + REPLACEMENT, predict="last", bidirectional=True)
    assert_together_as_alone(tmp_path, length=30)


def test_texts_that_are_finished_leave_the_others_as_they_were(checkpoint: Path):
    texts = assert_together_as_alone(checkpoint, length=300, temperature=1.5, stop="ab")
    lengths = {len(text) for text in texts}
    assert len(lengths) > 2
    assert max(lengths) == 300


def test_many_texts_are_dealt_out_to_threads(checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generate, "LONG_PRODUCT_BYTES", 1)
    monkeypatch.setattr(generate, "FEWEST_IN_TURNS", 2)
    for threads in (1, 2):
        assert_together_as_alone(checkpoint, threads=threads, length=300, temperature=1.5)
        assert_together_as_alone(checkpoint, threads=threads, length=50, stop="ab")


def test_a_failure_among_several_texts_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(generate, "LONG_PRODUCT_BYTES", 1)
    monkeypatch.setattr(generate, "FEWEST_IN_TURNS", 2)
    checkpoint = make_checkpoint(tmp_path, cell="rnn", activation="relu")
    network = Network(checkpoint.model, [w * 1e3 for w in checkpoint.weights()])
    config = SampleConfig(length=500)
    texts = write_together(network, checkpoint.vocabulary, [[1]] * 8, config, 0, 2)
    with pytest.raises(NumericalError, match="no longer numbers"):
        "".join(texts[0])


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"top_p": 0.9}, {"top_k": 3}])
def test_a_choice_that_rounding_might_turn_is_made_by_the_text_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
):
    """A batch that computes too roughly still writes what each text alone would."""
    exact = Streams.logits

    def rough(self: Streams) -> np.ndarray:
        logits = exact(self)
        noise = np.random.default_rng(0).uniform(-0.02, 0.02, logits.shape)
        return (logits + noise).astype(np.float32)

    monkeypatch.setattr(Streams, "logits", rough)
    with pytest.raises(AssertionError):
        assert_together_as_alone(checkpoint, length=200, **options)
    monkeypatch.setattr(decoding, "MARGIN", 0.05)
    assert_together_as_alone(checkpoint, length=200, **options)
