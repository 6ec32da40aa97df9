"""What is expected at each character agrees with how the text is scored."""

from pathlib import Path

import numpy as np
import pytest
from conftest import CLOSE, FABLES, make_checkpoint

from chargen.analysis.predictions import expected
from chargen.model import Model

KINDS = [
    {},
    {"cell": "gru", "layers": 2},
    {"predict": "last"},
    {"predict": "last", "bidirectional": True, "layers": 2},
]


@pytest.mark.numeric
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_the_bits_are_those_of_the_surprise(options: dict[str, object], tmp_path: Path):
    text = FABLES[:1500] + "漢" + FABLES[1500:1600]
    for characters in (FABLES[:1600], FABLES[:1600].replace("\n", ""), FABLES[:1600] + "\ufffd"):
        model = Model(make_checkpoint(tmp_path / "ck", characters, **options))
        found = expected(model, text, 5)
        assert found.bits.tolist() == pytest.approx(
            model.surprise(text).tolist(), nan_ok=True, **CLOSE
        )


def test_the_likeliest_come_first_with_their_probabilities(tmp_path: Path):
    model = Model(make_checkpoint(tmp_path / "ck", FABLES[:1600]))
    text = FABLES[:300]
    found = expected(model, text, 5)
    assert (np.diff(found.probabilities, axis=1) <= 0).all()
    logits = model.logits([*model.vocabulary.start_of_text, *model.vocabulary.encode(text)])
    for place in (0, 1, 150, 299):
        shares = np.exp(logits[place] - np.logaddexp.reduce(logits[place]))
        best = np.argsort(-shares)[:5]
        assert found.likeliest[place].tolist() == best.tolist()
        assert found.probabilities[place].tolist() == pytest.approx(shares[best].tolist(), 1e-4)


def test_a_small_vocabulary_has_fewer_likely_characters(tmp_path: Path):
    model = Model(make_checkpoint(tmp_path / "ck", "ab"))
    found = expected(model, "abba", 5)
    assert found.likeliest.shape == (4, 2)
    assert found.likeliest[0].tolist() == [-1, -1]
    assert np.isnan(found.bits[0])
    assert found.probabilities[1:].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert expected(model, "", 5).bits.shape == (0,)
