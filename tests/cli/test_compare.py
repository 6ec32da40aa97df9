"""`chargen compare` prints a table, curves and what to make of them."""

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, FABLES, HANG, Run, make_checkpoint, make_training, run_here

from chargen.checkpoint.directory import HISTORY_FIELDS, CorpusRecord
from chargen.training.comparison import COMPARISON, Comparison, Question
from chargen.training.comparison import Run as TrainingRun
from cli.conftest import on_terminal_entirely

HELD_OUT = CorpusRecord(
    texts=("-",), characters=90, train_characters=60, validation_characters=30, sha256="0" * 64
)


def made(
    folder: Path, bits: dict[str, Sequence[float | None]], *, held_out: bool = True, **options: Any
) -> None:
    """Write a comparison in `ck` that has ended: for each cell, what each run came to.

    None stands for a run that has failed.
    """
    (folder / "text").write_text("abc")
    seeds = max(map(len, bits.values()))
    question = Question(
        texts=(str(folder / "text"),),
        tries=tuple({"cell": cell} for cell in bits),  # type: ignore[typeddict-item]
        options={"seeds": seeds, **(options or {"epochs": 2})},  # type: ignore[typeddict-item]
    ).checked()
    runs = {}
    for index, (cell, ends) in enumerate(bits.items()):
        for seed, end in enumerate(ends):
            path = folder / "ck" / question.run_name(index, seed)
            checkpoint = replace(
                make_checkpoint(path, cell=cell), training=make_training(random_seed=seed)
            )
            if held_out:
                checkpoint = replace(checkpoint, corpus=HELD_OUT)
            checkpoint.write()
            history = [line(step, 1 + (end or 8) * 2 / step, held_out) for step in (1, 2)]
            (path / "history.jsonl").write_text(
                "".join(json.dumps(each) + "\n" for each in history)
            )
            error = "training diverged: at step 2" if end is None else None
            runs[index, seed] = TrainingRun(checkpoint, history, error)
    comparison = Comparison(folder / "ck", question, runs)
    comparison.write()


def line(step: int, bits: float, held_out: bool) -> dict[str, Any]:
    """A line of a history; the second has a bit more than was asked for."""
    return dict.fromkeys(HISTORY_FIELDS) | {
        "step": step,
        "epoch": step,
        "seconds": 5 + step,
        "characters": 1000 * step,
        "train_nats": bits,
        "train_accuracy": 0.25,
        "validation_bits": bits if held_out else None,
        "validation_accuracy": 0.5 if held_out else None,
        "best": True,
        "gradient_norm": 0.125,
    }


def page(folder: Path, *more: str) -> list[str]:
    result = run_here(folder, "compare", "--resume", "-o", "ck", *more)
    assert result.returncode == 0, result.stderr.decode()
    assert "-q" not in more or result.stderr == b""
    return result.stdout.decode().splitlines()


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def test_the_table_has_a_row_for_each_network_the_best_first(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5], "lstm": [None]})
    shown = page(tmp_path)
    assert cells(shown[0]) == [
        "network", "parameters", "char/s", "steps", "held out", "accuracy", "gradient",
    ]  # fmt: skip
    assert [cells(row) for row in shown[1:4]] == [
        ["gru", "1,092", "1,000", "2", "2.500", "0.500", "0.125"],
        ["rnn", "456", "1,000", "2", "4.000", "0.500", "0.125"],
        ["lstm", "1,356", "1,000", "2", "failed", "-", "0.125"],
    ]
    assert not shown[4]
    assert max(map(len, shown[:4])) <= 80
    assert "gru is best after 2 epochs, with 2.500 bits per held-out character: 1.500 fewer than " \
        "rnn" in shown  # fmt: skip
    assert "lstm, random seed 0: training diverged: at step 2" in shown
    assert any("(held-out bits)" in row for row in shown)
    assert any("> (epoch)" in row for row in shown)
    legend = next(row for row in shown if "o gru" in row)
    assert legend.split() == ["o", "gru", "x", "rnn", "+", "lstm"]


def test_the_best_is_the_run_with_the_fewest_bits(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0, 3.1], "gru": [None, 1.5]})
    result = run_here(tmp_path, "compare", "--resume", "-o", "ck")
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b"write text with the best: chargen sample -c ck/gru-seed1\n"
    shutil.rmtree(tmp_path / "ck")
    made(tmp_path, {"rnn": [None], "gru": [None]})
    assert run_here(tmp_path, "compare", "--resume", "-o", "ck").stderr == b""


def test_a_run_whose_time_was_up_before_the_first_step_is_told_with_a_remedy(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5]}, budget=90.0)
    (tmp_path / "ck" / "gru" / "history.jsonl").write_text("")
    shown = page(tmp_path)
    assert cells(shown[2]) == ["gru", "1,092", "-", "0", "-", "-", "-"]
    sentence = "the time was up before the first step; give a larger --budget"
    assert f"gru, random seed 0: {sentence}" in shown


def test_the_curves_are_over_seconds_where_time_is_equal(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5]}, budget=90.0)
    shown = page(tmp_path)
    assert any("> (seconds)" in row for row in shown)
    assert any(row.startswith("gru is best after 90 seconds, with 2.500") for row in shown)


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [
        ({"rnn": [3.0], "gru": [1.5]}, "one random seed cannot tell this from chance"),
        ({"rnn": [3.0, 2.8], "gru": [1.5, 2.7]}, "each random seed of gru is better than each"),
        ({"rnn": [3.0, 2.0], "gru": [1.5, 2.5]}, "so that the difference may be chance"),
    ],
)
def test_how_far_the_best_can_be_trusted_is_said(
    tmp_path: Path, bits: dict[str, Sequence[float]], verdict: str
):
    made(tmp_path, bits)
    shown = page(tmp_path)
    ((first, second),) = (
        (row, after) for row, after in pairwise(shown) if row.startswith("gru is best")
    )
    assert verdict in second
    seeds = len(bits["gru"])
    assert ("2 seeds" in shown[0]) == (seeds == 2)
    if seeds == 2:
        low, high = (1 + each for each in sorted(bits["gru"]))
        assert f"{low:.3f}-{high:.3f}" in shown[1]
        assert max(map(len, shown[:4])) <= 80
        assert f"with {(low + high) / 2:.3f} bits" in first


def test_one_network_alone_is_not_called_the_best(tmp_path: Path):
    made(tmp_path, {"gru": [1.5, 2.5]})
    assert "gru has 3.000 bits per held-out character after 2 epochs" in page(tmp_path)
    shutil.rmtree(tmp_path / "ck")
    made(tmp_path, {"gru": [None, None]})
    assert "no network could be trained" in page(tmp_path)


def test_where_nothing_is_held_out_that_is_said(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5]}, held_out=False)
    shown = page(tmp_path)
    assert " train " in shown[0]
    assert any("(train bits)" in row for row in shown)
    assert any(row.startswith("nothing is held out, so these are bits of") for row in shown)


def test_json_is_what_the_file_holds(tmp_path: Path):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5]})
    document = json.loads("\n".join(page(tmp_path, "--json", "-q")))
    written = json.loads((tmp_path / "ck" / COMPARISON).read_text())
    assert document == written
    assert [each["name"] for each in document["networks"]] == ["gru", "rnn"]
    assert [each["checkpoint"] for each in document["networks"][0]["runs"]] == ["gru"]


def test_a_real_comparison_shows_each_run_and_then_the_table(compared: Path, tmp_path: Path):
    shown, printed = ((compared / name).read_text() for name in ("shown", "printed"))
    assert shown.startswith("2 networks, 2 epochs each, with 1 random seed: 2 runs, one after")
    assert "\n1 of 2: rnn-relu-sgd-learning-rate-1e+30-constant-clip-norm-0\n" in shown
    assert "\n2 of 2: gru\n" in shown
    assert shown.count("finished in") == 1
    assert shown.endswith("write text with the best: chargen sample -c ck/gru\n")
    assert "\x1b" not in shown + printed
    rows = printed.splitlines()
    assert cells(rows[1])[0] == "gru"
    assert "failed" in rows[2]
    assert "random seed 1: training diverged: at step" in printed
    # The same is printed again, by a process that finds nothing to do.
    shutil.copytree(compared, tmp_path / "again")
    again = run_here(tmp_path / "again", "compare", "--resume", "-o", "ck")
    assert (again.returncode, again.stdout.decode()) == (0, printed)
    assert again.stderr == b"write text with the best: chargen sample -c ck/gru\n"


def test_the_checkpoints_of_a_comparison_are_used_like_others(
    compared: Path, run: Run, tmp_path: Path
):
    shutil.copytree(compared / "ck", tmp_path / "checkpoints" / "compare-text")
    assert len(run("sample", "-c", "compare-text/gru", "-n", "5", "-q").stdout) >= 5
    listed = json.loads(run("list", "--json").stdout)
    assert listed[-1]["path"] == "checkpoints/compare-text/gru"
    missing = run("sample", "-c", "compare-text")
    assert b"there is checkpoints/compare-text/gru" in missing.stderr


def test_several_curves_have_colours_on_a_terminal_unless_they_are_unwanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made(tmp_path, {"rnn": [3.0], "gru": [1.5]})
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in on_terminal_entirely(["compare", "--resume", "-o", "ck"], tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_terminal_entirely(["compare", "--resume", "-o", "ck"], tmp_path)


def test_help_in_a_try_is_that_of_train(run: Run):
    result = run("compare", "text", "--try", "--help")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"Usage: chargen train [OPTIONS]\n")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest(run: Run, tmp_path: Path):
    (tmp_path / "text").write_text(FABLES[:4000], encoding="utf-8")
    options = ("--units", "8", "--epochs", "4", "--try", "--cell gru", "--try", "--cell lstm")
    process = subprocess.Popen(
        [*COMMAND, "compare", "text", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    try:
        shown = b""
        while b"2 of 2: lstm\n" not in shown or b"char/s" not in shown.split(b"2 of 2")[1]:
            shown += process.stderr.readline()
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=HANG)
    finally:
        process.kill()
    assert process.returncode == 130
    assert output == b""
    folder = Path("checkpoints") / "compare-text"
    assert errors.decode().strip().endswith(f"continue with: chargen compare --resume -o {folder}")
    document = json.loads((tmp_path / folder / COMPARISON).read_text())
    assert [len(each["runs"]) for each in document["networks"]] == [1, 0]
    model = tmp_path / folder / "gru" / "model.keras"
    before = model.stat().st_mtime_ns
    rest = run("compare", "text", *options, "--resume", "--json", "-q")
    assert (rest.returncode, rest.stderr) == (0, b"")
    ended = [run for each in json.loads(rest.stdout)["networks"] for run in each["runs"]]
    assert [each["best"]["epoch"] for each in ended] == [4, 4]
    assert model.stat().st_mtime_ns == before
