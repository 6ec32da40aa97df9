"""`chargen gradients` shows how far learning reaches."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    FABLES,
    Run,
    make_checkpoint,
    make_training,
    model_archive,
    random_weights,
    run_here,
)

from chargen.analysis.reach import gradient_reach
from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.directory import Checkpoint

TEXT = FABLES[:3000]
CHARACTERS = "".join(sorted(set(TEXT)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A text, and checkpoints whose own text is gone."""
    (tmp_path / "text").write_text(TEXT, encoding="utf-8")
    for cell in ("rnn", "lstm"):
        make_checkpoint(tmp_path / "checkpoints" / cell, CHARACTERS, cell=cell)
    return tmp_path


def networks(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `--json` writes of each network."""
    result = run_here(folder, "gradients", *arguments, "--json", "-q")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.count(b"\n") == 1

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found: list[dict[str, Any]] = json.loads(result.stdout, parse_constant=refuse)["networks"]
    return found


def test_the_page_has_a_plot_tables_and_a_sentence_for_each_network(folder: Path):
    result = run_here(folder, "gradients", "rnn", "lstm", "--text", "text", "--steps", "60")
    assert result.returncode == 0
    page = result.stdout.decode()
    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) <= 80
    assert "log10 of the norm" in page
    heading = next(line for line in page.splitlines() if line.startswith("steps back"))
    assert heading.split() == ["steps", "back", "0", "10", "50", "60", "<", "1", "%"]
    for name in ("rnn", "lstm"):
        parameters = parameter_count(Checkpoint.open(folder / "checkpoints" / name).model)
        rows = [line for line in page.splitlines() if line.startswith(f"{name} after")]
        assert len(rows) == 3  # of two tables, and a sentence
        assert f"{parameters:,}" in rows[1]
        assert rows[2].startswith(f"{name} after: the gradient ")
    notes = result.stderr.decode().splitlines()
    assert [note.split(":")[:2] for note in notes] == [
        ["chargen", f" {name} before training is left out"] for name in ("rnn", "lstm")
    ]
    assert "began with the frequencies of the characters of its text, which is gone" in notes[0]


@pytest.mark.parametrize("columns", ["40", "60", "200"])
def test_the_page_suits_the_terminal(columns: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", columns)
    result = run_here(folder, "gradients", "lstm", "--text", "text", "--steps", "30", "-q")
    assert result.stderr == b""
    lines = result.stdout.decode().splitlines()
    assert max(map(len, lines)) <= max(52, min(80, int(columns)))


@pytest.mark.numeric
def test_json_has_what_the_library_finds(folder: Path):
    (found,) = networks(folder, "lstm", "--text", "text", "--steps", "30", "--threads", "2")
    checkpoint = Checkpoint.open(folder / "checkpoints" / "lstm")
    ids = checkpoint.vocabulary.encode(TEXT)
    training = make_training()
    reach = gradient_reach(checkpoint.model, training, checkpoint.weights(), ids, steps=30)
    about = {
        "name": "lstm after",
        "source": "checkpoints/lstm",
        "trained": True,
        "random_seed": 0,
        "model": checkpoint.model.to_json(),
        "parameters": parameter_count(checkpoint.model),
    }
    assert found == about | reach.to_json()


def test_networks_of_one_name_are_told_apart_by_their_paths(folder: Path):
    shutil.copytree(folder / "checkpoints" / "rnn", folder / "other" / "rnn")
    found = networks(folder, "rnn", "other/rnn", "lstm", "--text", "text", "--steps", "5")
    assert [each["name"] for each in found] == [
        "checkpoints/rnn after",
        "other/rnn after",
        "lstm after",
    ]


def test_a_text_that_is_piped_in_is_read_once_for_all_networks(folder: Path):
    named = networks(folder, "rnn", "lstm", "--text", "text", "--steps", "5")
    result = run_here(
        folder,
        *("gradients", "rnn", "lstm", "--text", "-", "--steps", "5", "--json", "-q"),
        stdin=TEXT.encode(),
    )
    assert json.loads(result.stdout)["networks"] == named


def test_a_text_that_is_piped_in_has_the_newlines_of_each_network(folder: Path):
    """One reads CRLF as LF, another keeps it; what comes through a pipe comes only once."""
    make_checkpoint(folder / "keeps", CHARACTERS + "\r")
    (folder / "dos").write_bytes(TEXT.replace("\n", "\r\n").encode())
    named = networks(folder, "lstm", "keeps", "--text", "dos", "--steps", "5")
    result = run_here(
        folder,
        *("gradients", "lstm", "keeps", "--text", "-", "--steps", "5", "--json", "-q"),
        stdin=(folder / "dos").read_bytes(),
    )
    assert json.loads(result.stdout)["networks"] == named


def test_a_layer_and_both_directions_can_be_shown(folder: Path):
    options = {"predict": "last", "bidirectional": True, "layers": 2}
    make_checkpoint(folder / "both", CHARACTERS, **options)
    result = run_here(folder, "gradients", "both", "--text", "text", "--layer", "2")
    page = result.stdout.decode()
    assert "by the state of layer 2" in page
    assert "both after backward: the gradient" in page.replace("\n  ", " ")
    (found,) = networks(folder, "both", "--text", "text")
    assert [(each["layer"], each["direction"]) for each in found["layers"]] == [
        (layer, direction) for layer in (1, 2) for direction in ("forward", "backward")
    ]
    assert "7 steps back instead of 200, as the network predicts from windows of 8" in (
        result.stderr.decode()
    )


def test_a_short_text_and_unknown_characters_are_noted(folder: Path):
    (folder / "short").write_text(TEXT[:50] + "£" * 3)
    result = run_here(folder, "gradients", "lstm", "--text", "short")
    assert result.returncode == 0
    said = result.stderr.decode()
    assert "3 characters of the text are unknown to checkpoints/lstm and are left out" in said
    assert "24 steps back instead of 200, as the text has 50 characters" in said
    (found,) = networks(folder, "lstm", "--text", "short")
    assert (found["steps"], len(found["layers"][0]["norms"])) == (24, 25)


def explode(checkpoint: Path) -> None:
    """Give a checkpoint weights that overflow."""
    config = Checkpoint.open(checkpoint).model
    weights = [np.abs(array) * np.float32(1e30) for array in random_weights(config)]
    (checkpoint / "model.keras").write_bytes(model_archive(config, weights))


def test_a_network_that_overflows_is_an_error_or_left_out_beside_others(folder: Path):
    path = make_checkpoint(folder / "wild", CHARACTERS, cell="rnn", activation="relu").path
    explode(path)
    alone = run_here(folder, "gradients", "wild", "--text", "text", "-q")
    assert (alone.returncode, alone.stdout) == (1, b"")
    assert alone.stderr.startswith(b"chargen: error: the network's outputs are not finite numbers")
    result = run_here(folder, "gradients", "wild", "lstm", "--text", "text", "--steps", "9")
    assert result.returncode == 0
    assert b"wild after is left out: the network's outputs are not finite" in result.stderr
    assert b"lstm after: the gradient" in result.stdout
    assert b"wild" not in result.stdout


def test_clipping_has_a_curve_where_it_changes_much(folder: Path):
    path = make_checkpoint(folder / "steep", CHARACTERS, cell="rnn", activation="relu").path
    config = Checkpoint.open(path).model
    weights = [array * np.float32(2) for array in random_weights(config)]
    (path / "model.keras").write_bytes(model_archive(config, weights))
    page = run_here(folder, "gradients", "steep", "--text", "text", "--steps", "9", "-q").stdout
    (found,) = networks(folder, "steep", "--text", "text", "--steps", "9")
    assert found["clip_factor"] == pytest.approx(1 / found["gradient_norm"], rel=1e-6)
    assert found["clip_factor"] < 1e-3
    assert b"steep after, clipped" in page
    calm = run_here(folder, "gradients", "lstm", "--text", "text", "--steps", "9", "-q").stdout
    assert b", clipped\n" not in calm


def test_a_picture_is_drawn_beside_the_page(folder: Path):
    result = run_here(
        folder, "gradients", "lstm", "--text", "text", "--steps", "9", "-q", "-o", "reach.svg"
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"lstm after: the gradient" in result.stdout
    assert "<!-- lstm after -->" in (folder / "reach.svg").read_text(encoding="utf-8")


def test_without_matplotlib_the_extra_is_named(folder: Path):
    code = """
import sys
sys.modules["matplotlib"] = None  # as if it were not installed
sys.argv = ["chargen", "gradients", "lstm", "--text", "text", "-o", "reach.png"]
from chargen.cli import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.endswith(b"install it with: pip install 'chargen[report]'\n")
    assert result.stderr.count(b"\n") == 1


def test_a_run_is_shown_before_and_after_its_training(tutorial: Path, run: Run, tmp_path: Path):
    (tmp_path / "text").write_text("a software training institute")
    result = run("gradients", tutorial, "--text", "text", "--json")
    assert result.returncode == 0, result.stderr.decode()
    before, after = json.loads(result.stdout)["networks"]
    assert [each["name"] for each in (before, after)] == ["stdin before", "stdin after"]
    assert [each["trained"] for each in (before, after)] == [False, True]
    assert before["model"] == after["model"]
    assert before["steps"] == 2
    assert before["clip_norm"] == 0
    assert before["clip_factor"] == 1
    assert before["layers"] != after["layers"]


def test_a_text_is_answered_with_untrained_networks_of_each_cell(run: Run, tmp_path: Path):
    options = ["--units", "8", "--window", "6", "--random-seed", "3", "--activation", "relu"]
    result = run("gradients", "-", *options, "--steps", "9", "--json", stdin=TEXT.encode())
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b""
    found = json.loads(result.stdout)["networks"]
    assert [each["name"] for each in found] == ["rnn untrained", "lstm untrained", "gru untrained"]
    assert [each["model"]["activation"] for each in found] == ["relu", "tanh", "tanh"]
    for each in found:
        assert each["source"] == "-"
        assert not each["trained"]
        assert each["random_seed"] == 3
        assert each["model"]["units"] == 8
        assert each["steps"] == 9
        assert each["gradient_norm"] > 0
