"""The real command as a real process: what it prints where, and how it ends."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import (
    CLOSE,
    HANG,
    ROOT,
    TINY_SHAKESPEARE,
    Run,
    make_checkpoint,
    needs_tinyshakespeare,
    run_here,
)
from safetensors import safe_open

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.cli import cli
from chargen.cli.list_checkpoints import _time_of
from chargen.cli.options import GroupedOption
from chargen.config import SAMPLE_OPTIONS, TRAIN_OPTIONS
from chargen.data.windows import make_windows
from chargen.fields import GROUPS, Field, flag_of
from chargen.scoring import score as score_module

COMMAND = [sys.executable, "-m", "chargen"]
SENTENCE = "This is GeeksforGeeks a software training institute"
EVALUATE_NAMES = [
    "characters",
    "unknown_characters",
    "nats_per_character",
    "bits_per_character",
    "perplexity",
    "accuracy",
    "seconds",
    "characters_per_second",
]


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def options(name: str) -> list[GroupedOption]:
    """The options of a command, each of which must be in a group."""
    found = [each for each in commands()[name].params if isinstance(each, click.Option)]
    assert all(isinstance(each, GroupedOption) for each in found)
    return [each for each in found if isinstance(each, GroupedOption)]


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_an_example(name: str, run: Run):
    result = run(name, "--help")
    assert result.returncode == 0
    assert f"Example: chargen {name}" in result.stdout.decode()
    assert result.stderr == b""
    for parameter in options(name):
        assert parameter.help, f"{name} {parameter.opts} has no help"
        words = parameter.help.split("  [default: ")[0]
        assert words.endswith("."), f"{name} {parameter.opts}: {words}"


@pytest.mark.parametrize("name", commands())
def test_each_option_stands_in_its_group(name: str, run: Run):
    result = run(name, "--help", COLUMNS="80")
    lines = result.stdout.decode().split("\n")
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    groups = {parameter.group for parameter in options(name)}
    if len(groups) < 2:
        assert headings == ["Options:"]
        return
    assert headings == [f"{group.capitalize()}:" for group in GROUPS if group in groups]
    heading, found = "", {}
    for line in lines:
        if line in headings:
            heading = line
        elif line.startswith("  -"):
            found[re.findall(r"--[\w-]+", line)[0]] = heading
    for parameter in options(name):
        long = next(option for option in parameter.opts if option.startswith("--"))
        assert found.pop(long) == f"{parameter.group.capitalize()}:"
    assert found == {"--help": "Output:"}


@pytest.mark.parametrize(
    ("name", "fields"),
    [("train", TRAIN_OPTIONS), ("sample", SAMPLE_OPTIONS)],
    ids=["train", "sample"],
)
def test_the_options_are_those_of_the_fields(name: str, fields: dict[str, Field]):
    found = {parameter.name: parameter for parameter in options(name)}
    for field in fields.values():
        option = found[field.name]
        assert flag_of(field.name) in option.opts
        assert str(option.help).startswith(field.option.help)
        assert option.group == field.option.group
        if field.default_words and field.option.bare is None:
            assert f"[default: {field.default_words}]" in str(option.help)
        if field.choices:
            assert isinstance(option.type, click.Choice)
            assert tuple(option.type.choices) == field.choices


def test_the_readme_documents_every_option():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, command in commands().items():
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    assert f"`{option}" in readme, f"README does not mention {option} of {name}"


def test_version_and_unknown_commands(run: Run):
    assert run("--version").stdout.startswith(b"chargen, version ")
    result = run("frobnicate")
    assert result.returncode == 2
    assert result.stderr.decode().startswith("chargen: error: No such command 'frobnicate'")


def test_the_tutorial_continues_its_sentence(tutorial: Path, run: Run):
    result = run("sample", "-c", tutorial, "--seed", "This is G", "-t", "0", "-n", "42")
    assert result.returncode == 0
    text = result.stdout.decode()
    assert len(text) == len("This is G") + 42 + 1
    assert text.startswith("This is Geeks")
    lines = [json.loads(line) for line in (tutorial / "history.jsonl").read_text().splitlines()]
    assert lines[-1]["train_accuracy"] >= 0.9
    assert len(lines) == 100
    assert all(line["validation_nats"] is None for line in lines)


def test_training_prints_the_path_and_nothing_else_on_standard_output(
    tutorial: Path, run: Run, tmp_path: Path
):
    # The fixture has seen to standard output.
    shown = (tutorial.parent.parent / "shown").read_text()
    assert "SimpleRNN 1x50" in shown
    assert "finished" in shown
    assert "\x1b" not in shown, "control codes in a pipe"
    shutil.copytree(tutorial, tmp_path / "checkpoints" / "stdin")
    text = (ROOT / "corpora" / "tunes.abc").read_bytes()
    again = run("train", "-", stdin=text)
    assert again.returncode == 1
    assert again.stdout == b""
    assert "already holds a checkpoint" in again.stderr.decode()
    options = ("--epochs", "1", "--units", "9", "--force", "-q")
    forced = run_here(tmp_path, "train", "-", *options, stdin=text)
    assert forced.stdout == b"checkpoints/stdin\n"
    assert forced.stderr == b""
    # The newest under ./checkpoints is used where none is named.
    info = json.loads(run("info", "--json").stdout)
    assert info["model"]["units"] == 9


def test_sample_writes_the_seed_and_its_continuation(checkpoint: Path, run: Run):
    options = ("sample", "-c", checkpoint, "-s", "abc", "-n", "20", "--random-seed", "3")
    echoed = run(*options)
    bare = run(*options, "--no-echo")
    assert echoed.returncode == 0
    assert echoed.stdout == b"abc" + bare.stdout
    assert len(bare.stdout) == 21
    assert echoed.stderr == b""
    assert run(*options).stdout == echoed.stdout
    named = run(*options[:1], *options[3:], CHARGEN_CHECKPOINT=str(checkpoint))
    assert named.stdout == echoed.stdout
    assert named.stderr == b""
    for spelling in ("--seed", "--prompt"):
        same = run(*(spelling if option == "-s" else option for option in options))
        assert (same.stdout, same.stderr) == (echoed.stdout, b"")


@pytest.mark.parametrize("arguments", ["sample -n 3", "evaluate -", "info", "info --json"])
def test_a_checkpoint_that_was_not_named_is_said(
    arguments: str, checkpoint: Path, run: Run, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "poems\x1b[2J")
    said = run(*arguments.split(), stdin=b"abc")
    assert said.returncode == 0
    assert said.stderr == b"chargen: using checkpoints/poems\\x1b[2J\n"
    quiet = run(*arguments.split(), "-q", stdin=b"abc")
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    assert len(quiet.stdout) > 3


def test_novelty_says_that_it_reads_a_terminal(tmp_path: Path, run: Run):
    (tmp_path / "corpus").write_text("the heron counted the moons")
    for more, said in ((["-q"], b""), ([], b"chargen: reading TEXT from standard input")):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "novelty", "--corpus", "corpus", "--json", *more],
            cwd=tmp_path,
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(slave)
        os.write(master, b"the heron counts\n\x04")
        try:
            output, errors = process.communicate(timeout=HANG)
        finally:
            process.kill()
            os.close(master)
        assert process.returncode == 0
        assert json.loads(output)["longest"]["text"] == "the heron count"
        assert errors.startswith(said)
        assert errors.count(b"\n") == len(said[:1])
    assert run("novelty", "--corpus", "corpus", stdin=b"the heron").stderr == b""


@pytest.mark.numeric
def test_jsonl_has_the_contracts_names(checkpoint: Path, run: Run):
    result = run(
        "sample", "-c", checkpoint, "-s", "ab", "--jsonl", "--count", "3", "-n", "9", "--stop", "c",
        "--random-seed", "10",
    )  # fmt: skip
    records = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert [record["index"] for record in records] == [0, 1, 2]
    assert [record["random_seed"] for record in records] == [10, 11, 12]
    for record in records:
        assert list(record) == [
            "seed", "text", "index", "random_seed", "stopped", "bits_per_character"
        ]  # fmt: skip
        assert record["seed"] == "ab"
        assert "c" not in record["text"]
        assert record["stopped"] == ("length" if len(record["text"]) == 9 else "stop")
        alone = run(
            "sample", "-c", checkpoint, "-s", "ab", "-n", "9", "--stop", "c", "--no-echo",
            "--random-seed", record["random_seed"],
        )  # fmt: skip
        assert alone.stdout.decode() == record["text"] + "\n"


@pytest.mark.numeric
def test_texts_written_together_are_those_of_their_random_seeds(checkpoint: Path, run: Run):
    options = ("sample", "-c", checkpoint, "-s", "ab", "--jsonl", "-n", "60", "--random-seed", "5")
    many = run(*options, "--count", "300")
    assert many.stderr == b""
    model = chargen.load(checkpoint)
    for index, line in enumerate(many.stdout.decode().splitlines()):
        record = json.loads(line)
        assert record["random_seed"] == 5 + index
        assert record["text"] == model.sample("ab", length=60, random_seed=5 + index)
    assert index == 299
    assert run(*options, "--count", "300", "--threads", "1").stdout == many.stdout


def test_the_seeds_before_a_refused_one_are_answered(checkpoint: Path, run: Run, tmp_path: Path):
    (tmp_path / "seeds").write_bytes(b"ab\ncd\nXY\nef")
    result = run("sample", "-c", checkpoint, "--seeds", "seeds", "-n", "3", "--jsonl")
    records = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert [record["seed"] for record in records] == ["ab", "cd"]
    assert result.returncode == 1
    assert result.stderr.startswith(b"chargen: error: the model never saw 'X'")
    (tmp_path / "seeds").write_bytes(b"ab\ncd\n\xff\nef")
    result = run("sample", "-c", checkpoint, "--seeds", "seeds", "-n", "3", "--jsonl")
    assert result.stdout.count(b"\n") == 2
    assert b"seeds is not utf-8: byte 0xff at offset 6 (line 3)" in result.stderr


@pytest.mark.numeric
@pytest.mark.parametrize("part", [1, 7, 30, 1000])
def test_records_do_not_depend_on_how_much_is_scored_at_a_time(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
):
    text = tmp_path / "text"
    text.write_text("abc\n\ndefX ghij\n" * 5 + "the end")

    def records(*options: str) -> list[dict[str, Any]]:
        arguments = ["evaluate", str(text), "-c", str(checkpoint), "--json", *options]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    whole = {per: records("--per", per) for per in ("text", "line", "char")}
    monkeypatch.setattr(score_module, "PART", part)
    for per, expected in whole.items():
        found = records("--per", per)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            for name in ("line", "text", "character", "position", "characters"):
                assert one.get(name) == other.get(name)
            for name in ("bits", "bits_per_character", "accuracy"):
                wanted = other.get(name)
                assert one.get(name) == (wanted and pytest.approx(wanted, **CLOSE))
    bits = [record["bits"] for record in whole["char"] if record["bits"] is not None]
    lines = [
        record["bits_per_character"] * (record["characters"] - record["unknown_characters"])
        for record in whole["line"]
        if record["bits_per_character"] is not None
    ]
    total = whole["text"][0]["bits_per_character"] * len(bits)
    assert sum(bits) == pytest.approx(total, **CLOSE)
    assert sum(lines) == pytest.approx(total, **CLOSE)


def test_seeds_come_from_a_file_or_a_pipe(checkpoint: Path, run: Run, tmp_path: Path):
    seeds = tmp_path / "seeds"
    seeds.write_bytes(b"abc\r\n\ndef")
    options = ("sample", "-c", checkpoint, "-n", "5", "--random-seed", "0", "--jsonl")
    from_file = run(*options, "--seeds", seeds, "--count", "2")
    records = [json.loads(line) for line in from_file.stdout.decode().splitlines()]
    assert [record["seed"] for record in records] == ["abc", "abc", "", "", "def", "def"]
    from_pipe = run(*options, "--seeds", "-", "--count", "2", stdin=seeds.read_bytes())
    assert from_pipe.stdout == from_file.stdout
    seeds.write_bytes("abc\r\n\ndef".encode("utf-16"))
    encoded = run(*options, "--seeds", seeds, "--count", "2", "--encoding", "utf-16")
    assert encoded.stdout == from_file.stdout
    assert from_pipe.stderr == b""


def test_each_seed_is_answered_before_the_next_is_sent(checkpoint: Path):
    process = subprocess.Popen(
        [*COMMAND, "sample", "-c", str(checkpoint), "--seeds", "-", "-n", "4", "--top-k", "3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for seed in (b"ab", b"cd"):
        process.stdin.write(seed + b"\n")
        process.stdin.flush()
        answer = process.stdout.read(len(seed) + 5)
        assert answer.startswith(seed)
    process.stdin.close()
    assert process.wait(HANG) == 0
    process.stdout.close()


def test_endless_text_dies_silently_with_its_reader(checkpoint: Path, tmp_path: Path):
    command = " ".join([*COMMAND, "sample", "-c", str(checkpoint), "--endless"])
    result = subprocess.run(
        ["bash", "-c", f"{command} | head -c 100; status=${{PIPESTATUS[0]}}; echo; echo $status"],
        capture_output=True,
        timeout=HANG,
        check=False,
    )
    written, _, status = result.stdout.rpartition(b"\n")[0].rpartition(b"\n")
    assert len(written) == 100
    assert status == b"141"  # 128 + SIGPIPE
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_signals_end_a_sample_with_their_status(
    checkpoint: Path, number: signal.Signals, status: int
):
    process = subprocess.Popen(
        [*COMMAND, "sample", "-c", str(checkpoint), "--endless"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        process.stdout.read(1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=HANG)
    finally:
        process.kill()
    assert process.returncode == status
    assert b"Traceback" not in errors


def test_text_is_utf8_whatever_the_locale(tmp_path: Path, run: Run):
    make_checkpoint(tmp_path / "ck", "\né中🙂")
    for environment in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}):
        result = run("sample", "-c", "ck", "-s", "é中", "-n", "30", **environment)
        assert result.returncode == 0, result.stderr
        assert len(result.stdout.decode()) == 33


def test_unknown_seed_characters(checkpoint: Path, run: Run):
    options = ("sample", "-c", checkpoint, "-s", "aéb", "-n", "5")
    refused = run(*options)
    assert refused.returncode == 1
    assert "the model never saw 'é' (U+00E9)" in refused.stderr.decode()
    assert refused.stdout == b""
    for unknown in ("skip", "replace"):
        assert run(*options, "--unknown", unknown).stdout.decode().startswith("aéb")


@pytest.mark.numeric
def test_evaluate_has_the_contracts_names_and_its_parts_sum(checkpoint: Path, run: Run):
    text = b"abc\n\ndefXg\nhij"
    whole = run("evaluate", "-", "-c", checkpoint, "--json", stdin=text)
    assert whole.stderr == b""
    total = json.loads(whole.stdout)
    assert list(total) == EVALUATE_NAMES
    assert total["characters"] == len(text)
    assert total["unknown_characters"] == 1
    known = total["characters"] - total["unknown_characters"]

    per_char = run("evaluate", "-", "-c", checkpoint, "--per", "char", "--json", stdin=text)
    characters = [json.loads(line) for line in per_char.stdout.splitlines()]
    assert [record["character"] for record in characters] == list(text.decode())
    assert [record["position"] for record in characters] == list(range(len(text)))
    assert all(list(record) == ["position", "character", "bits"] for record in characters)
    assert [record["bits"] is None for record in characters] == [c == "X" for c in text.decode()]
    bits = sum(record["bits"] or 0 for record in characters)
    assert bits == pytest.approx(total["bits_per_character"] * known, **CLOSE)

    per_line = run("evaluate", "-", "-c", checkpoint, "--per", "line", "--json", stdin=text)
    lines = [json.loads(line) for line in per_line.stdout.splitlines()]
    assert [record["text"] for record in lines] == text.decode().split("\n")
    assert [record["line"] for record in lines] == [1, 2, 3, 4]
    assert all(list(record) == [*EVALUATE_NAMES, "line", "text"] for record in lines)
    summed = sum(
        (record["characters"] - record["unknown_characters"]) * (record["bits_per_character"] or 0)
        for record in lines
    )
    assert summed == pytest.approx(bits, **CLOSE)


def test_evaluate_for_people(checkpoint: Path, run: Run):
    sheet = run("evaluate", "-", "-c", checkpoint, stdin=b"abcX").stdout.decode()
    assert "unknown characters" in sheet
    assert "bits per character" in sheet
    clean = run("evaluate", "-", "-c", checkpoint, stdin=b"abc").stdout.decode()
    assert "unknown" not in clean
    rows = run("evaluate", "-", "-c", checkpoint, "--per", "line", stdin=b"abc\nd\te\n").stdout
    cells = [row.split("\t") for row in rows.decode().splitlines()]
    assert [len(row) for row in cells] == [6, 6]
    assert [row[5] for row in cells] == ["abc", r"d\te"]
    marks = run("evaluate", "-", "-c", checkpoint, "--per", "char", stdin=b"a\n").stdout.decode()
    assert [row.split("\t")[2] for row in marks.splitlines()] == ["a", "\N{RETURN SYMBOL}"]
    nothing = run("evaluate", "-", "-c", checkpoint, "--json", stdin=b"")
    assert nothing.returncode == 0
    assert json.loads(nothing.stdout)["bits_per_character"] is None


@pytest.mark.numeric
def test_evaluate_without_a_text_scores_the_held_out_one(run: Run, tmp_path: Path):
    text = (ROOT / "corpora" / "tunes.abc").read_bytes()
    (tmp_path / "tunes.abc").write_bytes(text)
    options = ("--epochs", "1", "--units", "8")
    assert run_here(tmp_path, "train", "tunes.abc", *options).returncode == 0
    score = json.loads(run("evaluate", "--json").stdout)
    held_out = text[int(len(text) * 0.9) :]
    assert score["characters"] == len(held_out)
    best = Checkpoint.open(tmp_path / "checkpoints" / "tunes").best()
    assert best is not None
    assert score["nats_per_character"] == pytest.approx(best["validation_nats"], **CLOSE)
    named = json.loads(run("evaluate", "-", "--json", stdin=held_out).stdout)
    assert named["nats_per_character"] == pytest.approx(score["nats_per_character"], **CLOSE)
    rows = run("evaluate", "--per", "char").stdout.splitlines()
    assert len(rows) == len(held_out)
    (tmp_path / "tunes.abc").write_bytes(text + b"!")
    changed = run("evaluate")
    assert changed.returncode == 1
    assert "not the text that the run" in changed.stderr.decode()


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


def test_list_shows_the_checkpoints_and_passes_over_broken_ones(
    checkpoint: Path, run: Run, tmp_path: Path
):
    assert run("list").returncode == 1
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    empty = run("list")
    assert (empty.returncode, empty.stdout) == (0, b"")
    shutil.copytree(checkpoint, folder / "good")
    shutil.copytree(checkpoint, folder / "bad")
    (folder / "bad" / "config.json").write_text("{")
    result = run("list")
    assert result.returncode == 0
    assert "checkpoints/good" in result.stdout.decode()
    assert "checkpoints/bad" not in result.stdout.decode()
    assert "left out" in result.stderr.decode()
    records = json.loads(run("list", "--json").stdout)
    assert [record["path"] for record in records] == ["checkpoints/good"]


def test_names_are_shown_not_executed(checkpoint: Path, run: Run, tmp_path: Path):
    shutil.copytree(checkpoint, tmp_path / "checkpoints" / "[red]\x1b[2J")
    for arguments in (["list"], ["info"]):
        result = run(*arguments)
        assert result.returncode == 0
        assert b"\x1b" not in result.stdout
        assert rb"[red]\x1b[2J" in result.stdout


def test_signals_save_a_run_that_resume_continues(run: Run, tmp_path: Path):
    options = ["--units", "8", "--epochs", "3000", "--patience", "0"]
    begin = ["train", str(ROOT / "corpora" / "tunes.abc"), "-o", "ck", *options]
    resume = ["train", "--resume", "-o", "ck"]
    for arguments, number, status in ((begin, signal.SIGINT, 130), (resume, signal.SIGTERM, 143)):
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            # The table's heading is written when the first step is due.
            heading = b""
            while b"char/s" not in heading:
                heading += process.stderr.readline()
                assert process.poll() is None
            assert b"\n* marks the best so far" in heading
            process.send_signal(number)
            output, errors = process.communicate(timeout=HANG)
        finally:
            process.kill()
        assert process.returncode == status
        assert output == b""
        assert b"resume with: chargen train --resume -o ck" in errors
        assert b"Traceback" not in errors
        assert (tmp_path / "ck" / "history.jsonl").exists()
        assert run("sample", "-c", "ck", "-n", "5").returncode == 0
    # Now it ends with the epoch that it came to.
    checkpoint = Checkpoint.open(tmp_path / "ck")
    with safe_open(tmp_path / "ck" / "resume.safetensors", framework="numpy") as file:
        steps = json.loads(file.metadata()["run"])["step"]
    text = np.zeros(checkpoint.corpus.train_characters, np.uint8)
    epochs = steps // make_windows(text, checkpoint.model, checkpoint.training).steps + 1
    extended = run_here(tmp_path, *resume, "--epochs", str(epochs), "-q")
    assert extended.returncode == 0, extended.stderr
    assert extended.stdout == b"ck\n"
    assert Checkpoint.open(tmp_path / "ck").history()[-1]["epoch"] == epochs


@pytest.mark.slow
def test_a_run_told_to_ignore_ctrl_c_goes_on(tmp_path: Path):
    text, options = ROOT / "corpora" / "tunes.abc", "-o ck --units 8 --epochs 2"
    line = f"trap '' INT; exec chargen train {text} {options}"
    process = subprocess.Popen(
        ["bash", "-c", line.replace("chargen", " ".join(COMMAND), 1)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        while b"char/s" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        shown = process.communicate(timeout=HANG)[1]
    finally:
        process.kill()
    assert process.returncode == 0
    assert b"finished" in shown
    assert Checkpoint.open(tmp_path / "ck").history()[-1]["epoch"] == 2


def on_terminal(arguments: list[str], cwd: Path, **environment: str) -> tuple[bytes, bytes]:
    """Run with standard error on a terminal; what went to standard output and to the terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"} | environment,
    )
    os.close(slave)
    shown = read_to_end(master)
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    assert process.wait(HANG) == 0, shown
    os.close(master)
    return output, shown


def test_control_characters_of_a_text_are_signs_on_a_terminal(tmp_path: Path, run: Run):
    make_checkpoint(tmp_path / "ck", "\n\x1b\x07\x9b")
    arguments = ["sample", "-c", "ck", "-n", "50", "--random-seed", "1", "--seed", "\x1b"]
    piped = run(*arguments).stdout.decode()
    assert set(piped) == set("\n\x1b\x07\x9b")
    shown = on_terminal_entirely([*arguments], tmp_path)
    signs = {"\n": "\r\n", "\x1b": r"\x1b", "\x07": r"\x07", "\x9b": r"\x9b"}
    assert shown == "".join(signs[c] for c in piped)
    assert on_terminal_entirely([*arguments, "--raw"], tmp_path) == piped.replace("\n", "\r\n")
    assert "\x1b" not in on_terminal_entirely([*arguments, "--jsonl"], tmp_path)


def on_terminal_entirely(arguments: list[str], cwd: Path) -> str:
    """What a terminal is sent by a command that ends well."""
    master, slave = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], cwd=cwd, stdout=slave, stderr=slave)
    os.close(slave)
    shown = read_to_end(master)
    os.close(master)
    assert process.wait(HANG) == 0, shown
    return shown.decode()


def test_control_characters_in_errors_are_signs(run: Run, tmp_path: Path):
    result = run("info", "nowhere\x1b]0;title\x07")
    assert result.returncode == 1
    assert rb"nowhere\x1b]0;title\x07" in result.stderr
    make_checkpoint(tmp_path / "ck")
    config = tmp_path / "ck" / "config.json"
    config.write_text(config.read_text().replace('"lstm"', '"\\u001b[2J"'))
    result = run("sample", "-c", "ck")
    assert result.returncode == 1
    assert b"\x1b" not in result.stderr


def read_to_end(master: int) -> bytes:
    """All that comes to a terminal."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            return shown
        if not piece:
            return shown
        shown += piece


@pytest.mark.slow
def test_a_bar_shows_on_a_terminal_only_and_colour_on_request_not(tmp_path: Path):
    text = str(ROOT / "corpora" / "tunes.abc")
    arguments = ["train", text, "-o", "ck", "--units", "8", "--epochs", "3", "--force"]
    output, shown = on_terminal(arguments, tmp_path)
    assert output == b"ck\n"
    assert b"\x1b[?25l" in shown, "no bar: the cursor was not hidden"
    assert b"\x1b[1;32m" in shown
    plain = on_terminal(arguments, tmp_path, NO_COLOR="1")[1]
    assert b"\x1b[1;32m" not in plain


def shell(line: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", line.replace("chargen", " ".join(COMMAND), 1)],
        capture_output=True,
        cwd=cwd,
        env=environment,
        timeout=HANG,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("chargen sample -c ck -n 5 > /dev/full", 1, "No space left on device"),
        ("chargen sample -c ck -n 5 >&-", 1, "standard output is closed"),
        ("chargen sample -c ck --seeds - <&-", 1, "standard input is closed"),
        ("chargen evaluate - -c ck <&-", 1, "standard input is closed"),
        ("chargen train nowhere 2>&-", 1, ""),
    ],
)
def test_closed_and_full_streams_are_one_line_too(
    line: str, status: int, message: str, checkpoint: Path, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "ck")
    result = shell(line, tmp_path)
    shown = result.stderr.decode()
    assert result.returncode == status, shown
    assert message in shown
    assert shown.count("\n") == bool(message)


@pytest.mark.parametrize("end", [pytest.param("2>&-", marks=pytest.mark.slow), "2> /dev/full"])
def test_training_needs_no_standard_error(tmp_path: Path, end: str):
    (tmp_path / "text").write_text("to be or not to be " * 5)
    result = shell(f"chargen train text --units 8 --epochs 1 {end}", tmp_path)
    assert result.returncode == 0
    assert result.stdout == b"checkpoints/text\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [("chargen --loud", 2), ("chargen sample -c ck -n 2 --count 2 --unique --random-seed 1", 0)],
)
def test_what_cannot_be_said_changes_no_status(
    line: str, status: int, checkpoint: Path, tmp_path: Path
):
    shutil.copytree(checkpoint, tmp_path / "ck")
    expected = shell(line, tmp_path)
    result = shell(f"{line} 2> /dev/full", tmp_path)
    assert result.returncode == expected.returncode == status
    assert result.stdout == expected.stdout
    assert expected.stderr


@pytest.mark.slow
def test_the_path_of_a_checkpoint_is_printed_as_the_bytes_that_it_is(run: Run, tmp_path: Path):
    name = b"caf\xe9"
    text = tmp_path / os.fsdecode(name)
    text.write_text("to be or not to be " * 5)
    result = run("train", text.name, "--units", "8", "--epochs", "1", "-q")
    assert result.returncode == 0, result.stderr
    assert result.stdout == b"checkpoints/" + name + b"\n"
    assert run("sample", "-c", os.fsdecode(result.stdout.strip()), "-n", "3").returncode == 0


@pytest.mark.parametrize("module", ["chargen.cli", "click", "chargen.cli.sample", "numpy"])
def test_ctrl_c_during_an_import_is_silence_and_130(module: str, checkpoint: Path):
    script = f"""
import runpy, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv = ["chargen", "sample", "-c", {str(checkpoint)!r}, "-n", "3"]
runpy.run_module("chargen", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    # Click ends the line that a terminal shows ^C in.
    assert (result.returncode, result.stdout, result.stderr.strip()) == (130, b"", b"")


def test_a_time_that_is_no_date_is_left_out_of_the_list(tmp_path: Path):
    class Strange(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **_: Any) -> Any:
            return types.SimpleNamespace(st_mtime=1e20)

    assert _time_of(Strange(tmp_path)) is None
    assert str(_time_of(tmp_path)).startswith("2")


def test_the_bare_command_shows_its_help(run: Run):
    result = run()
    assert result.returncode == 2
    assert result.stdout == b""
    assert "\nCommands:\n" in result.stderr.decode()


def test_a_byte_order_mark_is_no_part_of_the_first_seed(checkpoint: Path, run: Run):
    seeds = "\ufeffab\ncd".encode()
    result = run("sample", "-c", checkpoint, "--seeds", "-", "-n", "3", "--jsonl", stdin=seeds)
    records = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert [record["seed"] for record in records] == ["ab", "cd"]


def test_no_text_has_no_lines(checkpoint: Path, run: Run):
    for per in ("line", "char"):
        result = run("evaluate", "-", "-c", checkpoint, "--per", per)
        assert (result.returncode, result.stdout) == (0, b"")


@pytest.mark.slow
def test_a_run_that_is_killed_outright_goes_on(run: Run, tmp_path: Path):
    text = ROOT / "corpora" / "tunes.abc"
    options = ("--units", "16", "--epochs", "9", "--precision", "float32")
    process = subprocess.Popen(
        [*COMMAND, "train", str(text), "-o", "ck", *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    seen = 0
    while seen < 2:  # two evaluations
        seen += b" * " in process.stderr.readline()
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert run("sample", "-c", "ck", "-n", "5").returncode == 0
    assert run("evaluate", "-c", "ck").returncode == 0
    assert run("train", "--resume", "-o", "ck", "-q").stdout == b"ck\n"
    seed = Checkpoint.open(tmp_path / "ck").training.random_seed
    options = (*options, "--random-seed", str(seed))
    straight = run("train", text, "-o", "straight", "-q", *options)
    assert straight.returncode == 0
    ends = [Checkpoint.open(tmp_path / name).history()[-1] for name in ("ck", "straight")]
    assert ends[0] | {"seconds": 0} == ends[1] | {"seconds": 0}


@pytest.mark.slow
@needs_tinyshakespeare
def test_tinyshakespeare_splits_and_scores_as_published(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options: list[Any] = ["--validation", "0.1", "--epochs", "3", "-o", "ck", "--units", "64"]
    trained = run("train", TINY_SHAKESPEARE, *options)
    assert trained.returncode == 0, trained.stderr
    opened = Checkpoint.open(tmp_path / "ck")
    assert opened.corpus.train_characters == 1_003_854
    assert opened.corpus.validation_characters == 111_540
    (tmp_path / "tail").write_text(TINY_SHAKESPEARE.read_text()[-111_540:])
    score = json.loads(run("evaluate", "tail", "-c", "ck", "--json").stdout)
    best = opened.best()
    assert best is not None
    assert score["characters"] == 111_540
    assert score["nats_per_character"] == pytest.approx(best["validation_nats"], abs=0.001)
    assert score["nats_per_character"] < 2.2
    own = json.loads(run("evaluate", "-c", "ck", "--json").stdout)
    assert own["accuracy"] == pytest.approx(score["accuracy"], **CLOSE)
    # In one stream the figure is the same to 0.001 bits.
    monkeypatch.setattr(score_module, "FEWEST_CHARACTERS", 10**9)
    one = chargen.load(tmp_path / "ck").evaluate((tmp_path / "tail").read_text())
    assert one.bits_per_character == pytest.approx(score["bits_per_character"], abs=0.001)
