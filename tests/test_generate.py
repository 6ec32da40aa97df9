from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from chargen.config import SampleConfig
from chargen.data.vocabulary import REPLACEMENT
from chargen.inference.generate import Generation, _overlap
from chargen.inference.network import Network


def generation(path: Path, seed: str = "", random_seed: int = 0, **options: Any) -> Generation:
    from chargen.checkpoint import Checkpoint

    checkpoint = Checkpoint.open(path)
    ids = checkpoint.vocabulary.encode_seed(seed)
    config = SampleConfig(**options)
    return Generation(Network.load(checkpoint), checkpoint.vocabulary, ids, config, random_seed)


def test_text_is_yielded_a_character_at_a_time(checkpoint: Path):
    pieces = list(generation(checkpoint, length=20))
    assert [len(piece) for piece in pieces] == [1] * 20


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
    written = "".join(generation(checkpoint, "", length=40, random_seed=3))
    # A seed that is a line end by itself is read after the one that is always there.
    doubled = "".join(generation(checkpoint, "\n", length=40, random_seed=3))
    assert written != doubled


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
