"""`chargen report` writes a page, says where, and replaces nothing unasked."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import FABLES, make_checkpoint, make_training, run_here
from report.conftest import line
from training.test_support import COMMAND, run_without

from chargen.checkpoint.directory import Checkpoint, CorpusRecord
from chargen.cli.report import LIBRARIES
from chargen.data.corpus import read_corpus

TEXT = FABLES[:9000]


def trained(folder: Path, validation: float | str = 0.3, text: str = TEXT) -> Checkpoint:
    """A checkpoint as a run on a text beside it would have left it, but for its weights."""
    (folder / "fables.txt").write_text(text, encoding="utf-8")
    made = make_checkpoint(folder / "ck", text, units=16, window=16)
    corpus = read_corpus([str(folder / "fables.txt")])
    held_out = int(len(text) * validation) if isinstance(validation, float) else 9
    checkpoint = Checkpoint(
        made.path,
        made.model,
        make_training(validation=validation),
        CorpusRecord(
            texts=("../fables.txt",),
            characters=len(text),
            train_characters=len(text) - held_out,
            validation_characters=held_out,
            sha256=corpus.sha256,
        ),
        made.versions,
        made.vocabulary,
    )
    checkpoint.write()
    lines = [json.dumps(line(step, 5 - step / 10)) for step in (10, 20, 30)]
    (made.path / "history.jsonl").write_text("\n".join(lines) + "\n")
    return checkpoint


def shown(page: Path) -> str:
    """The text of the first excerpt of a page, of letters and spaces only."""
    html = page.read_text(encoding="utf-8").partition('id="reading-text"')[2]
    return "".join(re.findall(r"<i class[^>]*>([^<]*)</i>", html.partition("</div>")[0]))


def test_the_page_shows_the_held_out_text_and_its_path_is_printed(tmp_path: Path):
    trained(tmp_path)
    result = run_here(tmp_path, "report", "ck", "-o", "page.html", "--length", "500")
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == b"page.html\n"
    notes = result.stderr.decode().splitlines()
    assert notes == [
        "chargen: writing text",
        "chargen: reading the text",
        "chargen: looking for what units follow",
        "chargen: looking at how far gradients reach",
        "chargen: drawing",
    ]
    held_out = TEXT[int(len(TEXT) * 0.7) :]
    start = held_out.index("\n") + 1
    expected = held_out[start:].lstrip("\n")[:500]
    page = tmp_path / "page.html"
    assert shown(page) == expected.replace("'", "&#39;").replace('"', "&#34;")
    html = page.read_text(encoding="utf-8")
    assert "It learned from 6,300 characters of <bdi>fables.txt</bdi>." in html
    assert "What single units follow" in html
    assert 'class="followers"' in html
    assert str(tmp_path) not in html, "the folders are nobody's business"


def test_a_page_is_replaced_only_if_that_is_asked_for(tmp_path: Path):
    trained(tmp_path)
    (tmp_path / "report.html").write_text("mine")
    result = run_here(tmp_path, "report", "ck", "-q")
    assert result.returncode == 1
    assert b"report.html is already there; give --force to replace it" in result.stderr
    assert (tmp_path / "report.html").read_text() == "mine"
    result = run_here(tmp_path, "report", "ck", "-q", "--force")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"report.html\n", b"")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert {path.name for path in tmp_path.iterdir()} == {"ck", "fables.txt", "report.html"}


def test_another_text_is_looked_at_if_it_is_named(tmp_path: Path):
    trained(tmp_path)
    (tmp_path / "other").write_bytes("Caf\xe9 au lait\r\nfor the fox\n".encode("latin-1"))
    arguments = ("report", "ck", "-q", "--text", "other", "--encoding", "latin-1")
    assert run_here(tmp_path, *arguments).returncode == 0
    assert shown(tmp_path / "report.html") == "Café au lait\nfor the fox\n"
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<i class="unscored">é</i>' in html
    assert "all from the text that the network learned from" in html


def test_baselines_are_compared_on_the_held_out_text(tmp_path: Path):
    trained(tmp_path)
    assert run_here(tmp_path, "report", "ck", "-q", "--baselines", "--length", "9").returncode == 0
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = html.partition('class="bars"')[2].partition("</table>")[0]
    names = re.findall(r'scope="row">([^<]*)<', table)
    assert "frequencies alone" in names
    assert "xz, after the training text" in names
    assert "this model: LSTM 1x16, one-hot" in names
    bits = [float(each) for each in re.findall(r'"number">([\d.]+)<', table)]
    assert bits == sorted(bits)
    assert len(bits) == len(names) == 7
    assert shown(tmp_path / "report.html")[0] != TEXT[int(len(TEXT) * 0.7)]
    score = json.loads(run_here(tmp_path, "evaluate", "-c", "ck", "--baselines", "--json").stdout)
    by_name = dict(zip(names, bits, strict=True))
    for name, row in (
        ("order_0", "frequencies alone"),
        ("xz", "xz, after the training text"),
        ("gzip", "gzip, after the training text"),
    ):
        assert by_name[row] == round(score["baselines"][name], 3)


@pytest.mark.parametrize("validation", [0.0, 0.3])
def test_a_text_that_is_gone_is_left_out_and_the_reason_is_said(validation: float, tmp_path: Path):
    trained(tmp_path, validation)
    (tmp_path / "fables.txt").unlink()
    result = run_here(tmp_path, "report", "ck")
    assert result.returncode == 0
    assert b"chargen: the page will be without a text: " in result.stderr
    assert b"fables.txt, which the checkpoint ck names as its text, is not there" in result.stderr
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("There is no text to look at") == 2
    assert str(tmp_path) not in html


def test_where_nothing_was_held_out_the_training_text_is_shown(tmp_path: Path):
    trained(tmp_path, 0.0)
    assert run_here(tmp_path, "report", "ck", "-q", "--length", "40").returncode == 0
    assert shown(tmp_path / "report.html") == TEXT[:40]
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing was held out, so this is the beginning" in html
    result = run_here(tmp_path, "report", "ck", "-q", "--baselines", "--force")
    assert result.returncode == 1
    assert b"--baselines needs a text that the model did not learn from" in result.stderr


def test_a_run_without_a_history_has_a_page(tmp_path: Path):
    trained(tmp_path)
    (tmp_path / "ck" / "history.jsonl").unlink()
    assert run_here(tmp_path, "report", "ck", "-q", "--length", "9").returncode == 0
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing is recorded of its training." in html


def test_a_library_that_is_missing_is_named_with_its_remedy(checkpoint: Path, tmp_path: Path):
    shutil.copytree(checkpoint, tmp_path / "ck")
    arguments = ["report", "ck"]
    result = run_without(LIBRARIES, COMMAND.format(arguments=arguments), tmp_path)
    assert result.returncode == 1
    (said,) = result.stderr.decode().splitlines()
    assert said.startswith(
        "chargen: error: a report needs jinja2, which this installation does not have; "
        "install it with: pip install 'chargen"
    )
    assert said.endswith("[report]'")
    assert [entry.name for entry in tmp_path.iterdir()] == ["ck"]
