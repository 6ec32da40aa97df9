"""`chargen novelty` says what a text copies from a corpus."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND, HANG, Run


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
def test_novelty_says_what_was_copied_from_where(run: Run, tmp_path: Path):
    corpus = "The heron counted the moons in the river.\n" * 2
    (tmp_path / "one").write_text(corpus[:30])
    (tmp_path / "two").write_text(corpus[30:])
    text = "A fox counted the moons in the rain, and the heron did not.\n"
    both = ("--corpus", "one", "--corpus", "two")
    found = json.loads(run("novelty", *both, "--json", stdin=text.encode()).stdout)
    longest = found["longest"]
    assert longest["text"] == " counted the moons in the r"
    assert longest["start"] == text.find(longest["text"])
    assert longest["corpus_start"] == corpus.find(longest["text"])
    assert longest["length"] == len(longest["text"])
    assert found["characters"] == len(text)
    assert found["corpus_characters"] == len(corpus)
    assert found["copied_10"] == found["copied_20"] == pytest.approx(27 / len(text), abs=1e-6)
    assert found["copied_40"] == 0
    sheet = run("novelty", "-", *both, stdin=text.encode()).stdout.decode()
    assert "27 characters" in sheet
    assert " counted the moons in the r" in sheet
    # What stands for a character that could not be read is none of those that the corpus lacks.
    (tmp_path / "unread").write_text("the heron \ufffd\ufffd\ufffd counted")
    found = run("novelty", "--corpus", "unread", "--json", stdin=b"the heron XYZ counted")
    assert json.loads(found.stdout)["longest"]["text"] == "the heron "
    nothing = run("novelty", "--corpus", "one", stdin=b"XYZ").stdout.decode()
    assert "longest" not in nothing
