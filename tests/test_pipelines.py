"""Scoring and bulk generation as parts of a pipeline, by the real command."""

import json
import math
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COMMAND, FABLES, Run, make_checkpoint
from rounding import CLOSE, HALF_A_DIGIT

import chargen

pytestmark = pytest.mark.numeric

TEXT = "abc\n\nfade gag\nXYZ\naXbc\n" * 3 + "the end"


def records(run: Run, checkpoint: Path, *options: str) -> list[dict[str, Any]]:
    command = ("evaluate", "-", "-c", checkpoint, "--json", *options)
    result = run(*command, stdin=TEXT.encode())
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_each_line_is_scored_before_the_next_is_sent(checkpoint: Path, terminal: bool):
    reading, writing = pty.openpty() if terminal else os.pipe()
    # What is written at one end of a terminal is read at the other.
    ours, theirs = (reading, writing) if terminal else (writing, reading)
    command = [*COMMAND, "evaluate", "-", "-c", str(checkpoint), "--per", "line"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stdout is not None
        for number, line in enumerate(("abc", "fade", "gag"), start=1):
            os.write(ours, f"{line}\n".encode())
            cells = process.stdout.readline().decode().rstrip("\n").split("\t")
            assert cells[0] == str(number)
            assert cells[5] == line
        if terminal:
            os.write(ours, b"\x04")  # Ctrl-D
        else:
            os.close(ours)
        assert process.stdout.read() == b""
        assert process.wait(30) == 0
    if terminal:
        os.close(ours)


@pytest.mark.parametrize("reset", ["none", "line"])
def test_characters_lines_and_the_text_sum_up(checkpoint: Path, run: Run, reset: str):
    (total,) = records(run, checkpoint, "--reset", reset)
    scored = total["characters"] - total["unknown_characters"]
    bits = scored * total["bits_per_character"]
    characters = records(run, checkpoint, "--reset", reset, "--per", "char")
    # Each figure is known to half a digit of its seven, the total too.
    near = {"rel": 2 * HALF_A_DIGIT, "abs": 0}
    assert sum(c["bits"] or 0 for c in characters) == pytest.approx(bits, **near)
    lines = records(run, checkpoint, "--reset", reset, "--per", "line")
    assert sum(
        (line["characters"] - line["unknown_characters"]) * (line["bits_per_character"] or 0)
        for line in lines
    ) == pytest.approx(bits, **near)


def test_lines_that_are_reset_do_not_depend_on_those_before(checkpoint: Path, run: Run):
    lines = records(run, checkpoint, "--per", "line", "--reset", "line")
    scores: dict[str, list[float]] = {}
    for line in lines:
        scores.setdefault(line["text"], []).append(line["bits_per_character"] or 0)
    assert all(len(found) == 3 for text, found in scores.items() if text != "the end")
    for found in scores.values():
        assert max(found) - min(found) < CLOSE
    carried = records(run, checkpoint, "--per", "line")
    found = [line["bits_per_character"] for line in carried if line["text"] == "abc"]
    assert max(found) - min(found) > 100 * CLOSE
    first, alone = (some[0]["bits_per_character"] for some in (carried, lines))
    assert first == pytest.approx(alone, abs=CLOSE)


def test_a_threshold_parts_the_odd_lines_from_the_others(checkpoint: Path, run: Run):
    lines = records(run, checkpoint, "--per", "line")
    threshold = sorted(line["bits_per_character"] or 0 for line in lines)[len(lines) // 2]
    options = ("--per", "line", "--threshold", str(threshold))
    above = records(run, checkpoint, *options)
    below = records(run, checkpoint, *options, "--invert")
    assert 0 < len(above) < len(lines)
    assert sorted(line["line"] for line in above + below) == [line["line"] for line in lines]
    assert all((line["bits_per_character"] or math.inf) > threshold for line in above)
    assert all(line["bits_per_character"] <= threshold for line in below)
    assert [line["line"] for line in above] == sorted(line["line"] for line in above)


def test_lines_are_ranked(checkpoint: Path, run: Run):
    options = ("--per", "line", "--reset", "line")
    lines = records(run, checkpoint, *options)
    ranked = records(run, checkpoint, *options, "--rank")
    # Empty lines are not judged, and come last.
    full = [line for line in ranked if line["text"]]
    assert ranked[: len(full)] == full
    figures = [line["bits_per_character"] for line in full]
    assert figures == sorted(figures, reverse=True)
    assert sorted(line["line"] for line in ranked) == [line["line"] for line in lines]
    lowest = records(run, checkpoint, *options, "--rank", "--invert")
    assert [line["bits_per_character"] for line in lowest[: len(full)]] == figures[::-1]
    assert not any(line["text"] for line in lowest[len(full) :])


def test_a_line_of_unknown_characters_is_odd_and_an_unscored_one_is_not(tmp_path: Path, run: Run):
    path = make_checkpoint(tmp_path / "ck", "abc ").path  # knows no line end either
    text = b"\xc3\xa9\xc3\xa9\nabc\n"
    command = ("evaluate", "-", "-c", path, "--per", "line", "--reset", "line")
    odd = run(*command, "--threshold", "99", stdin=text).stdout.decode().splitlines()
    assert [row.split("\t")[0] for row in odd] == ["1"]
    assert odd[0].split("\t")[1:5] == ["-", "-", "3", "3"]
    ranked = run(*command, "--rank", stdin=text).stdout.decode().splitlines()
    assert [row.split("\t")[0] for row in ranked] == ["1", "2"]


def written(run: Run, checkpoint: Path, *options: str | Path) -> list[dict[str, Any]]:
    result = run("sample", "-c", checkpoint, "--jsonl", "-q", *options)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_record_of_a_text_can_be_made_again_and_scored(checkpoint: Path, run: Run):
    options = ("--seed", "ab", "-n", "12", "--random-seed", "3")
    records = written(run, checkpoint, *options, "--count", "3", "--stop", "j")
    assert [record["index"] for record in records] == [0, 1, 2]
    model = chargen.load(checkpoint)
    for record in records:
        again = model.sample("ab", length=12, stop="j", random_seed=record["random_seed"])
        assert record["text"] == again
        scores = model.scorer().score(model.vocabulary.encode("ab" + again))
        expected = scores.tally(2).score().bits_per_character
        found = record["bits_per_character"]
        assert found == (pytest.approx(expected, abs=CLOSE) if again else None)


def test_unique_texts_that_match_are_written_and_counted(
    checkpoint: Path, run: Run, tmp_path: Path
):
    (tmp_path / "corpus").write_text("a\nbb\nc\n")
    options = ("-c", checkpoint, "-n", "2", "--count", "40", "--random-seed", "0", "--unique")
    more = ("--corpus", "corpus", "--match", "[a-h]*", "--reject", "dd")
    result = run("sample", *options, *more)
    assert result.returncode == 0, result.stderr.decode()
    texts = result.stdout.decode().splitlines()
    assert len(set(texts)) == len(texts) == 40
    assert "bb" not in texts
    assert all(set(text) <= set("abcdefgh") and text != "dd" for text in texts)
    report = result.stderr.decode()
    assert report.startswith("40 texts out of ")
    assert "did not match" in report
    assert report.count("\n") == 1
    quiet = run("sample", *options, *more, "-q", "--jsonl")
    assert quiet.stderr == b""
    assert [json.loads(line)["text"] for line in quiet.stdout.splitlines()] == texts


def test_a_corpus_from_standard_input_serves_both_guards(checkpoint: Path, run: Run):
    known = run("sample", "-c", checkpoint, "-n", "300", "--random-seed", "1").stdout
    options = ("--unique", "--max-copy", "3", "--count", "4", "-n", "60", "--random-seed", "1")
    result = run("sample", "-c", checkpoint, *options, "--corpus", "-", stdin=known)
    assert result.returncode == 0, result.stderr.decode()
    passages = {known[k : k + 3] for k in range(len(known) - 2)}
    for text in result.stdout.splitlines():
        assert not any(text[k : k + 3] in passages for k in range(len(text) - 2))


def test_the_corpus_may_have_another_encoding(run: Run, tmp_path: Path):
    make_checkpoint(tmp_path / "ck", "é\nab")
    (tmp_path / "corpus").write_bytes("é\na\nb".encode("latin-1"))
    options = ("--unique", "--corpus", "corpus", "-n", "1", "--tries", "50", "--random-seed", "0")
    result = run("sample", "-c", "ck", *options, "--encoding", "latin-1")
    assert result.stdout == b"\n\n", result.stderr  # all other characters are lines of the corpus
    assert run("sample", "-c", "ck", *options).returncode == 1


def test_a_field_of_records_is_scored_compared_and_not_copied(run: Run, tmp_path: Path):
    make_checkpoint(tmp_path / "ck", "ab\n")
    lines = b'{"n": 1, "t": "ab"}\n{"n": 2, "t": "ba"}\n{"n": 3}\n'
    rows = b"n,t\n1,ab\n2,ba\n3,\n"
    (tmp_path / "plain").write_text("ab\nba\n")
    (tmp_path / "rows.csv").write_bytes(rows)
    expected = run("evaluate", "plain", "-c", "ck", "--per", "line").stdout
    for source in (lines, rows):
        command = ("evaluate", "-", "-c", "ck", "--field", "t", "--per", "line")
        result = run(*command, stdin=source)
        assert result.stdout == expected
        assert b"1 of 3 records has no text in 't' and is left out" in result.stderr
        assert run(*command, "-q", stdin=source).stderr == b""
    found = run("novelty", "plain", "--field", "t", "--corpus", "rows.csv", "--json")
    assert json.loads(found.stdout)["longest"]["text"] == "ab\nba\n"
    options = ("--unique", "--corpus", "rows.csv", "--field", "t", "-n", "2", "--count", "2")
    kept = run("sample", "-c", "ck", *options, "--match", "[ab]+", "--random-seed", "0")
    assert set(kept.stdout.split()) == {b"aa", b"bb"}, kept.stderr


@pytest.mark.parametrize("jsonl", [False, True])
def test_too_few_texts_are_an_error_after_those_that_were_found(
    checkpoint: Path, run: Run, jsonl: bool
):
    options = ("--unique", "--match", "[ab]", "-n", "1", "--count", "3", "--tries", "50")
    options += ("--random-seed", "0")  # some draw neither a nor b often enough
    result = run("sample", "-c", checkpoint, *options, *(["--jsonl"] if jsonl else []))
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 2
    shown = result.stderr.decode()
    assert shown.startswith("chargen: error: found 2 of 3 texts in 150 tries (")
    assert shown.count("\n") == 1


def test_max_copy_lets_no_passage_of_the_corpus_be_copied(
    checkpoint: Path, run: Run, tmp_path: Path
):
    free = run("sample", "-c", checkpoint, "-n", "400", "--random-seed", "1").stdout.decode()
    (tmp_path / "corpus").write_text(free)
    options = ("--random-seed", "1", "--max-copy", "3", "--corpus", "corpus")
    result = run("sample", "-c", checkpoint, "-n", "400", *options)
    assert result.returncode == 0, result.stderr.decode()
    (tmp_path / "text").write_bytes(result.stdout.removesuffix(b"\n"))
    novelty = run("novelty", "text", "--corpus", "corpus", "--json")
    assert json.loads(novelty.stdout)["longest"]["length"] == 2


def test_the_repetition_guard_ends_a_loop(checkpoint: Path, run: Run):
    options = ("sample", "-c", checkpoint, "-n", "300", "-t", "0")
    loop = run(*options).stdout.decode()
    assert len({loop[k : k + 24] for k in range(277)}) < 150
    for guard, length in ((["--repetition-guard"], 24), (["--repetition-guard", "9"], 9)):
        text = run(*options, *guard).stdout.decode().removesuffix("\n")
        windows = [text[k : k + length] for k in range(len(text) - length + 1)]
        assert len(set(windows)) == len(windows)


def test_a_beam_finds_the_most_likely_texts(checkpoint: Path, run: Run):
    model = chargen.load(checkpoint)
    rows = run("sample", "-c", checkpoint, "--beam", "9", "--count", "4", "-n", "5", "-s", "ab")
    cells = [row.split("\t") for row in rows.stdout.decode().splitlines()]
    totals = [float(total) for total, _ in cells]
    assert len(cells) == 4
    assert totals == sorted(totals, reverse=True)
    records = written(run, checkpoint, "--beam", "9", "--count", "4", "-n", "5", "-s", "ab")
    for record, total in zip(records, totals, strict=True):
        assert record["log_probability"] == pytest.approx(total, abs=CLOSE)
        scores = model.scorer().score(model.vocabulary.encode("ab" + record["text"]))
        assert -float(scores.nats[2:].sum()) == pytest.approx(total, abs=5 * CLOSE)
    one = run("sample", "-c", checkpoint, "--beam", "9", "-n", "5", "-s", "ab").stdout.decode()
    assert one == "ab" + records[0]["text"] + "\n"


WILD = {"cell": "rnn", "units": 700}
"""A network that magnifies rounding: a last digit shows as another text a few characters later."""
SAME_WITH_ANY_THREADS = {
    "one": ["-n", "90"],
    "many": ["-n", "60", "--count", "70"],
    "guards": ["-n", "60", "--count", "7", "--repetition-guard", "3", "--max-copy", "4"],
    "chosen": ["-n", "20", "--count", "40", "--unique", "--jsonl", "--top-p", "0.9"],
    "beam": ["-n", "20", "--beam", "9", "--count", "4", "--jsonl"],
}


@pytest.mark.parametrize("name", SAME_WITH_ANY_THREADS)
def test_sample_writes_the_same_bytes_with_any_threads(name: str, run: Run, tmp_path: Path):
    make_checkpoint(tmp_path / "ck", **WILD)
    (tmp_path / "corpus").write_text("abcdefghij ja" * 3)
    options = SAME_WITH_ANY_THREADS[name]
    if "--max-copy" in options or "--unique" in options:
        options = [*options, "--corpus", "corpus"]
    if name != "beam":
        options = [*options, "--random-seed", "5"]
    written = [
        run("sample", "-c", "ck", *options, "--threads", str(threads)) for threads in (1, 2, 3)
    ]
    assert [result.returncode for result in written] == [0, 0, 0], written[0].stderr.decode()
    assert len(written[0].stdout) > 60
    assert written[0].stdout == written[1].stdout == written[2].stdout


@pytest.mark.parametrize("per", ["text", "line", "char"])
@pytest.mark.parametrize("reset", ["none", "line"])
def test_evaluate_writes_the_same_bytes_with_any_threads(
    per: str, reset: str, run: Run, tmp_path: Path
):
    make_checkpoint(tmp_path / "ck", **WILD)
    rng = np.random.default_rng(0)
    (tmp_path / "text").write_text("".join(rng.choice(list("\n abcdefghijX"), 4000)))
    options = ("evaluate", "text", "-c", "ck", "--json", "--per", per, "--reset", reset)
    written = []
    for threads in (1, 2, 3):
        result = run(*options, "--threads", str(threads))
        assert result.returncode == 0, result.stderr.decode()
        found = [json.loads(line) for line in result.stdout.splitlines()]
        for record in found:  # all but the time that it took
            record.pop("seconds", None)
            record.pop("characters_per_second", None)
        written.append(found)
    assert (
        len(written[0])
        == {"text": 1, "line": (tmp_path / "text").read_text().count("\n") + 1, "char": 4000}[per]
    )
    assert written[0] == written[1] == written[2]


@pytest.mark.parametrize("held_out", ["0.2", pytest.param("held-out", marks=pytest.mark.slow)])
def test_baselines_stand_beside_the_model(run: Run, tmp_path: Path, held_out: str):
    (tmp_path / "text").write_text(FABLES[:5_000])
    (tmp_path / "held-out").write_text(FABLES[5_000:6_000])
    options = ("--units", "8", "--epochs", "1", "--validation", held_out, "--precision", "float32")
    assert run("train", "text", "-o", "ck", "-q", *options).returncode == 0
    found = json.loads(run("evaluate", "-c", "ck", "--baselines", "--json").stdout)
    others = found["baselines"]
    assert list(others) == ["order_0", "ngram", "order", "gzip", "bzip2", "xz", "zstd"]
    assert 1 <= others["order"] <= 8
    assert others["ngram"] < others["order_0"]
    model = chargen.load(tmp_path / "ck")
    learnt = 5_000 if held_out == "held-out" else 4_000
    alphabet = {character: index for index, character in enumerate(model.vocabulary)}
    counts = np.bincount([alphabet[c] for c in FABLES[:learnt]], minlength=len(alphabet))
    frequencies = (counts + 1e-9) / counts.sum()
    text = [c for c in FABLES[learnt : learnt + 1_000] if c in alphabet and counts[alphabet[c]]]
    plain = -np.log2([frequencies[alphabet[c]] for c in text]).mean()
    assert others["order_0"] == pytest.approx(plain, abs=0.1)
    sheet = run("evaluate", "-c", "ck", "--baselines").stdout.decode()
    assert "this model: LSTM 1x8" in sheet
    assert f"n-grams, {others['order']} characters before" in sheet
    # The text itself, which they have all seen, costs the compressors next to nothing.
    seen = json.loads(run("evaluate", "text", "-c", "ck", "--baselines", "--json").stdout)
    assert seen["baselines"]["xz"] < others["xz"] / 2
    (tmp_path / "text").write_text("another one")
    gone = run("evaluate", "-c", "ck", "text", "--baselines")
    assert gone.returncode == 1
    assert gone.stderr.startswith(b"chargen: error: this is not the text that the run")
