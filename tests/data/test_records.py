"""A field of JSON lines or of CSV is read as text, one record after the other."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data.corpus import read_corpus
from chargen.data.records import read_field
from chargen.data.text import TextFormat, read_text
from chargen.errors import CorpusError

values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def joined(blocks: Sequence[str], field: str = "text", notes: list[str] | None = None) -> str:
    note = [].append if notes is None else notes.append
    return "".join(read_field(blocks, "source", field, note))


def ended(text: str) -> str:
    """The text as a record of it is read."""
    return text if text.endswith(("\n", "\r")) else text + "\n"


@given(st.lists(values, min_size=1), st.integers(1, 9), st.booleans())
def test_json_lines_give_back_their_texts(texts: list[str], size: int, ascii: bool):
    lines = "".join(
        json.dumps({"n": n, "text": text}, ensure_ascii=ascii) + "\n"
        for n, text in enumerate(texts)
    )
    assert joined(pieces(lines, size)) == "".join(map(ended, texts))
    assert joined([lines[:-1]]) == "".join(map(ended, texts)), "the last newline may be missing"


@given(
    texts=st.lists(values.filter(lambda text: "\r" not in text), min_size=1),
    size=st.integers(1, 9),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_csv_gives_back_its_texts(texts: list[str], size: int, delimiter: str, end: str):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow(["n", "the text"])
    writer.writerows(enumerate(texts))
    assert joined(pieces(file.getvalue(), size), "the text") == "".join(map(ended, texts))


@pytest.mark.parametrize(
    "content",
    [
        '{"text": "a"}\n\n{"text": null}\n{}\n{"text": ""}\n{"text": "b"}\n',
        "n,text\n1,a\n\n2,\n3\n4,\n5,b\n",
    ],
)
def test_records_without_a_text_are_left_out_and_counted(content: str):
    notes: list[str] = []
    assert joined([content], notes=notes) == "a\nb\n"
    assert notes == ["source: 3 of 5 records have no text in 'text' and are left out"]


@pytest.mark.parametrize(
    "lines", [['{"text": "a"}\n', '{"text": "b"}\n'], ["text\na\n", "b\n"]], ids=["JSON", "CSV"]
)
def test_a_record_is_passed_on_when_the_source_pauses(lines: list[str]):
    first, second = lines
    seen = list(read_field(iter([first, "", second, ""]), "source", "text", print))
    assert [each for each in seen if each] == ["a\n", "b\n"]


def test_a_record_may_come_with_a_pause_in_it():
    assert joined(['n,text\n1,"a\n', "", "", 'b"\n2,c\n']) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"title": "a"}\n', "source has no field 'text'; it has 'title': name one of these"),
        ("title;body\na;b\n", "source has no field 'text'; it has 'title', 'body': name one"),
        ("just a text\n", "source has no field 'text'; it has 'just a text'"),
        ('{"text": 5}\n', "'text' in line 1 is 5, which is not a text; name another --field"),
        ('\n{"text": "a"}\n\n{"text": ["b"]}\n', "'text' in line 4 is [\"b\"], which is not"),
        ('{"text": "a"}\n{"text": \n', "line 2 is not JSON (Expecting value"),
        ('{"text": "a"}\n"b"\n', "line 2 is not a JSON object"),
        ('[{"text": "a"}]\n', "source is a JSON array, and --field reads JSON lines; convert"),
        ('{"text": "\\ud800"}\n', "line 1 contains the lone surrogate U+D800"),
        ('n,text\n1,"a"b\n', "line 2 is not CSV ("),
        ('n,text\n1,"a\n', "line 2 is not CSV ("),
    ],
)
def test_what_is_not_such_a_record_is_named(content: str, message: str):
    with pytest.raises(CorpusError) as caught:
        joined([content])
    assert message in caught.value.as_typed


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_nothing_gives_nothing(content: str):
    assert joined([content]) == ""


def test_many_fields_are_not_all_named():
    with pytest.raises(CorpusError, match="'f9' and 40 more"):
        joined([",".join(f"f{number}" for number in range(50)) + "\n"])


def test_a_field_may_be_as_long_as_a_text(tmp_path: Path):
    text = "a line of a long text\n" * 20_000
    assert joined([f"{text.replace(chr(10), ' ')},text\nno,yes\n"]) == "yes\n"
    path = tmp_path / "records.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], [text]])
    corpus = read_corpus([str(path)], TextFormat(field="text"))
    assert corpus.vocabulary.decode(corpus.ids) == text


def test_newlines_and_marks_of_records_are_treated_like_others(tmp_path: Path):
    path = tmp_path / "records.jsonl"
    path.write_bytes('\ufeff{"text": "a\\r\\nb"}\r\n{"text": "c"}\r\n'.encode("utf-16"))
    notes: list[str] = []
    how = TextFormat(field="text", note=notes.append)
    assert "".join(read_text([str(path)], how)) == "a\nb\nc\n"
    assert len(notes) == 1
    (tmp_path / "old.csv").write_bytes(b"n,text\r1,a\r2,b\r")
    assert "".join(read_text([str(tmp_path / "old.csv")], TextFormat(field="text"))) == "a\nb\n"
    kept = TextFormat(field="text", newlines="keep")
    with pytest.raises(CorpusError, match="line 1 is not CSV"):
        list(read_text([str(tmp_path / "old.csv")], kept))
    assert "".join(read_text([str(path)], kept)) == "a\r\nb\nc\n"
