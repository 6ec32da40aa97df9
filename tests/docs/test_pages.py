"""What the pages show can be typed in, one page after the other, and their links lead somewhere."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import FABLES, ROOT, commands
from markdown_it import MarkdownIt

from docs.conftest import blocks_of, prepare, type_in

PAGES = [
    ROOT / "docs" / f"{name}.md"
    for name in ("start", "texts", "train", "write", "score", "learned", "export")
]
"""Pages with commands that are typed in, in an order in which each has what it needs."""
OTHERS = [ROOT / "docs" / "checkpoint.md"]
MARKDOWN = sorted(
    path
    for folder in (".", "benchmarks", "corpora", "docs")
    for path in (ROOT / folder).glob("*.md")
)


@pytest.mark.slow
def test_the_commands_of_the_pages_can_be_typed_in(tmp_path: Path):
    prepare(tmp_path)
    (tmp_path / "docs").mkdir()
    for path in PAGES:
        (tmp_path / "docs" / path.name).write_text(path.read_text(encoding="utf-8")[:3000])
    (tmp_path / "README.md").write_text(FABLES[:1000], encoding="utf-8")
    titles = [f"The {animal} and the moon" for animal in ("fox", "owl", "hen")] * 30
    (tmp_path / "titles.csv").write_text("\n".join(["title", *titles]))
    messages = "".join(f'{{"message": "{title}"}}\n' for title in titles)
    (tmp_path / "messages.jsonl").write_text(messages)
    (tmp_path / "today.jsonl").write_text(messages[:200].rpartition("\n")[0])
    shown = {page.stem: type_in(tmp_path, blocks_of(page.read_text())) for page in PAGES + OTHERS}
    assert "The heron" in shown["start"]
    assert "bits per character" in shown["start"]
    assert shown["texts"].count("and the moon") == 5
    assert "learning rate" in shown["train"], "--plan prints what would be trained"
    assert shown["train"].endswith("\n")
    assert len(shown["train"].splitlines()[-1]) == len("This is G") + 42
    assert "in copies of 20 or more" in shown["write"]
    assert "n-grams" in shown["score"]
    assert "gradient vanishes" in shown["learned"]
    assert int(shown["export"].split()[-1]) > 10_000
    assert "sha256" in shown["checkpoint"]
    assert not (tmp_path / "checkpoints" / "airs-to-share" / "resume.safetensors").exists()


def test_all_pages_are_in_the_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    contents = re.findall(r"^(\w+)$", index.partition("```{toctree}")[2], re.MULTILINE)
    linked = set(re.findall(r"\((\w+)\.md\)", index))
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert set(contents) == linked == pages


def test_every_option_is_described_on_the_page_of_its_task():
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for name, command in commands().items():
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    described = re.search(rf"`{option}(?![\w-])", pages)
                    assert described, f"no page describes {option} of {name}"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    for link in links_in(path):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("http", "https")
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT)
        if parts.fragment:
            assert parts.fragment in anchors_in(target), f"{link}: there is no such heading"


def links_in(path: Path) -> Iterator[str]:
    """The addresses of the links and pictures of a page."""
    for block in MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8")):
        for token in block.children or ():
            for name in ("href", "src"):
                if address := token.attrGet(name):
                    yield str(address)


@cache
def anchors_in(path: Path) -> set[str]:
    """The anchors that forges and Sphinx give to the headings of a page."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    found = set()
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            words = "".join(
                child.content
                for child in text.children or ()
                if child.type in ("text", "code_inline")
            )
            found.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return found
