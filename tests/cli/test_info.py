"""`chargen info` shows what a checkpoint is."""

import json
from pathlib import Path

from conftest import SENTENCE, Run


def test_info_shows_what_a_checkpoint_is(tutorial: Path, run: Run):
    document = json.loads(run("info", tutorial, "--json").stdout)
    assert list(document) == [
        "model",
        "parameters",
        "layers",
        "vocabulary_size",
        "corpus",
        "training",
        "best",
    ]
    assert document["model"]["cell"] == "rnn"
    assert document["parameters"] == 17 * 50 + 50 * 50 + 50 + 50 * 17 + 17
    assert document["vocabulary_size"] == 17
    assert document["corpus"]["characters"] == len(SENTENCE)
    assert document["training"]["preset"] == "tutorial"
    assert document["best"]["step"] == 200
    page = run("info", tutorial).stdout.decode()
    for part in ("SimpleRNN", "3,400", "4,267 parameters", "GTaefghiknorstuw"):
        assert part in page
