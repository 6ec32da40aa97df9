"""`chargen sample` writes texts to standard output, and nothing else."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, HANG, Run, make_checkpoint

import chargen
from cli.conftest import on_terminal_entirely


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


def test_sample_writes_the_prompt_and_its_continuation(checkpoint: Path, run: Run):
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


def test_the_prompt_is_an_argument_or_what_is_piped_in(checkpoint: Path, run: Run, tmp_path: Path):
    options = ("sample", "-c", checkpoint, "-n", "20", "--random-seed", "3")
    expected = run(*options, "--seed", "abc").stdout
    assert run(*options, "abc").stdout == expected
    for stdin in (b"abc", b"abc\n", b"abc\r\n", "\ufeffabc\n".encode()):
        for more in ((), ("-",)):
            result = run(*options, *more, stdin=stdin)
            assert (result.stdout, result.stderr) == (expected, b"")
    # One newline belongs to `echo`, a second one to the prompt.
    assert run(*options, stdin=b"abc\n\n").stdout == run(*options, "--seed", "abc\n").stdout
    # What is named is not looked for in a pipe, such as the one that a shell's loop reads from.
    assert run(*options, "abc", stdin=b"def").stdout == expected
    assert run(*options, "--seed", "", stdin=b"def").stdout == run(*options).stdout
    assert run(*options, "--seed", "-", "--no-echo").stdout != run(*options, "-").stdout
    latin = run(*options, "--encoding", "latin-1", "--unknown", "skip", stdin=b"ab\xe9c")
    assert latin.stdout.decode().startswith("abéc")


def test_standard_input_is_the_corpus_where_it_is_named_so(checkpoint: Path, run: Run):
    options = ("sample", "-c", checkpoint, "-n", "20", "--random-seed", "3", "--jsonl")
    for more in ("--unique", "--max-copy=5"):
        result = run(*options, "--corpus", "-", more, stdin=b"abcdefghij\n")
        assert json.loads(result.stdout)["seed"] == ""


def test_texts_that_must_be_the_same_are_announced(checkpoint: Path, run: Run):
    options = ("sample", "abc", "-c", checkpoint, "-n", "20", "--count", "2")
    for same in (("--temperature", "0"), ("--top-k", "1")):
        result = run(*options, *same)
        middle = len(result.stdout) // 2
        assert result.stdout[:middle] == result.stdout[middle:]
        assert b"so the 2 texts are the same" in result.stderr
        assert run(*options, *same, "--quiet").stderr == b""
    assert run(*options).stderr == b""


@pytest.mark.numeric
def test_jsonl_has_the_names_of_the_contract(checkpoint: Path, run: Run):
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


def test_the_prompts_before_a_refused_one_are_answered(checkpoint: Path, run: Run, tmp_path: Path):
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


def test_prompts_come_from_a_file_or_a_pipe(checkpoint: Path, run: Run, tmp_path: Path):
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


def test_each_prompt_is_answered_before_the_next_is_sent(checkpoint: Path):
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


def test_an_unknown_character_of_a_prompt_is_refused_skipped_or_replaced(
    checkpoint: Path, run: Run
):
    options = ("sample", "-c", checkpoint, "-s", "aéb", "-n", "5")
    refused = run(*options)
    assert refused.returncode == 1
    assert "the model never saw 'é' (U+00E9)" in refused.stderr.decode()
    assert refused.stdout == b""
    for unknown in ("skip", "replace"):
        assert run(*options, "--unknown", unknown).stdout.decode().startswith("aéb")


def test_control_characters_of_a_text_are_signs_on_a_terminal(tmp_path: Path, run: Run):
    make_checkpoint(tmp_path / "ck", "\n\x1b\x07\x9b")
    arguments = ["sample", "-c", "ck", "-n", "50", "--random-seed", "1", "--seed", "\x1b"]
    piped = run(*arguments).stdout.decode()
    assert set(piped) == set("\n\x1b\x07\x9b")
    shown = on_terminal_entirely([*arguments], tmp_path)
    escapes = {"\n": "\r\n", "\x1b": r"\x1b", "\x07": r"\x07", "\x9b": r"\x9b"}
    assert shown == "".join(escapes[c] for c in piped)
    assert on_terminal_entirely([*arguments, "--raw"], tmp_path) == piped.replace("\n", "\r\n")
    assert "\x1b" not in on_terminal_entirely([*arguments, "--jsonl"], tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_prompt(checkpoint: Path, run: Run):
    seeds = "\ufeffab\ncd".encode()
    result = run("sample", "-c", checkpoint, "--seeds", "-", "-n", "3", "--jsonl", stdin=seeds)
    records = [json.loads(line) for line in result.stdout.decode().splitlines()]
    assert [record["seed"] for record in records] == ["ab", "cd"]


def test_jsonl_is_utf_8_whatever_the_prompt_is(checkpoint: Path, run: Run):
    """A shell can pass on bytes that are not text."""
    prompt = b"a\xff".decode(errors="surrogateescape")
    options = ("sample", "-c", checkpoint, "--seed", prompt, "--unknown", "skip", "-n", "5")
    result = run(*options, "--jsonl")
    assert result.returncode == 0, result.stderr
    assert b"\\udcff" in result.stdout
    assert json.loads(result.stdout.decode())["seed"] == prompt


@pytest.mark.parametrize("count", ["1", "2"])
def test_no_echo_leaves_out_the_prompt_of_the_most_likely_texts(
    checkpoint: Path, run: Run, count: str
):
    options = ("sample", "-c", checkpoint, "-s", "abcab", "--beam", "3", "-n", "4")
    echoed = run(*options, "--count", count).stdout.decode()
    bare = run(*options, "--count", count, "--no-echo").stdout.decode()
    assert echoed.count("abcab") >= int(count)
    assert bare == echoed.replace("abcab", "")


def test_an_error_quotes_the_beginning_of_a_long_prompt(checkpoint: Path, run: Run):
    result = run("sample", "-c", checkpoint, "-s", "a" * 5000 + "\N{SNOWMAN}")
    assert result.returncode == 1
    assert b"character 5001" in result.stderr
    assert len(result.stderr) < 400
