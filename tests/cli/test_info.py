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


def test_info_leaves_out_what_is_not_set_and_rounds_the_rest(tutorial: Path, run: Run):
    page = run("info", tutorial).stdout.decode()
    words = [line.split() for line in page.splitlines()]
    for row in (["window", "3"], ["activation", "relu"], ["predict", "last"], ["dropout", "0"]):
        assert row in words
    assert ["learning_rate", "0.001"] in words
    names = [row[0] for row in words if row]
    assert not {"budget", "bidirectional", "validation_sha256"} & set(names)
    assert "None" not in names
    assert "None" not in page.split("17 distinct")[1]


def test_info_draws_the_bits_of_the_run(tutorial: Path, run: Run):
    for columns in ("80", "120", "40"):
        page = run("info", tutorial, COLUMNS=columns).stdout.decode()
        plot = page[page.index("(train bits) ^") :].splitlines()
        assert len(plot) == 14
        assert "(epoch)" in plot[-2]
        assert max(map(len, plot)) <= max(80, int(columns))
    # The lowest line of the plot is where the run ended, and the highest where it began.
    drawn = [line.split("|")[1].rstrip("\N{BRAILLE PATTERN BLANK} ") for line in plot[1:-2]]
    assert len(drawn[-2]) > len(drawn[1])


def test_a_run_without_a_curve_has_none(checkpoint: Path, run: Run):
    assert "^" not in run("info", checkpoint).stdout.decode()
