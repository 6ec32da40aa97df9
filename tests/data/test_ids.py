"""Ids grow in memory and in files, and come out the same."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargen.data import ids as ids_module
from chargen.data import text as text_module
from chargen.data.corpus import Corpus, fingerprint, read_corpus
from chargen.data.ids import GrowingIds, OpenFile, give_back, in_blocks, mapped
from chargen.data.statistics import log_frequencies
from chargen.data.text import TextFormat
from chargen.data.vocabulary import Ids
from chargen.data.windows import SlidingWindows, StreamWindows, Windows
from data.conftest import on_files, write

BEGINNING = b"before the ids"
WIDE = "".join(map(chr, [*range(32, 0xD000), *range(0xE000, 0x14000)]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a few ids go into a file, in blocks of fewer."""
    monkeypatch.setattr(ids_module, "MOST_IN_MEMORY", 20)
    monkeypatch.setattr(ids_module, "BLOCK_IDS", 7)


@contextmanager
def opening(path: Path) -> Iterator[OpenFile]:
    """What opens a file, which is closed in the end."""
    with ExitStack() as stack:

        def open_file() -> BinaryIO:
            file = stack.enter_context(path.open("w+b"))
            file.write(BEGINNING)
            return file

        yield open_file


@st.composite
def blocks(draw: st.DrawFn) -> list[np.ndarray]:
    """Blocks of ids that become wider."""
    kinds = sorted(draw(st.lists(st.sampled_from([1, 2, 4]), max_size=9)))
    sizes = [draw(st.integers(0, 30)) for _ in kinds]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return [
        rng.integers(0, min(1 << 8 * kind, 1000), size).astype(f"u{kind}")
        for kind, size in zip(kinds, sizes, strict=True)
    ]


@on_files
@given(blocks=blocks(), narrow=st.booleans())
@pytest.mark.usefixtures("small")
def test_ids_in_a_file_are_those_in_memory(tmp_path: Path, blocks: list[np.ndarray], narrow: bool):
    numbers = np.arange(1000)[::-1] % (200 if narrow else 1000)
    numbers = numbers.astype(np.uint8 if narrow else np.uint16)
    expected = numbers[np.concatenate([np.zeros(0, np.uint8), *blocks])]
    path = tmp_path / "ids"
    path.unlink(missing_ok=True)
    with opening(path) as open_file:
        for way in (None, open_file):
            ids = GrowingIds(1000, np.dtype(np.uint8), way)
            for block in blocks:
                ids.append(block)
            if not ids.size:
                return
            ids.renumber(numbers)
            found = ids.finish()
            assert found.dtype == numbers.dtype
            assert found.tolist() == expected.tolist()
    if path.exists():
        assert path.read_bytes() == BEGINNING + expected.tobytes()


@pytest.mark.usefixtures("small")
def test_what_was_read_from_a_file_can_be_given_back(tmp_path: Path):
    path = tmp_path / "ids"
    path.write_bytes(bytes(range(200)) * 9)
    with path.open("rb") as file:
        ids = mapped(file, 200, 1600, np.dtype(np.uint8))
    assert ids.tolist() == list(range(200)) * 8
    for block in in_blocks(ids[3:], 100):
        give_back(block)
        assert block[0] in (3, 103)
    assert sum(len(block) for block in in_blocks(ids, 33)) == 1600
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1
    give_back(np.arange(5))  # is nobody else's


def both(folder: Path, sources: list[str], how: TextFormat, min_count: int) -> list[Corpus]:
    """The corpus as it is made in memory, and in a file."""
    with opening(folder / "ids") as open_file:
        return [
            read_corpus(sources, how, min_count=min_count, open_file=way)
            for way in (None, open_file)
        ]


@on_files
@given(
    text=st.text("ab\r\n\xe9\u4e00\U0001f642", min_size=1, max_size=90), min_count=st.integers(1, 3)
)
@pytest.mark.usefixtures("small")
def test_a_corpus_in_a_file_is_the_one_in_memory(tmp_path: Path, text: str, min_count: int):
    sources = [write(tmp_path / name, text.encode()) for name in ("one", "other")]
    in_memory, in_file = both(tmp_path, sources, TextFormat(), min_count)
    assert in_file.vocabulary == in_memory.vocabulary
    assert in_file.sha256 == in_memory.sha256
    assert in_file.ids.tolist() == in_memory.ids.tolist()
    assert in_file.ids.dtype == in_memory.ids.dtype


@pytest.mark.parametrize("characters", [128, 129, 256, 257, 65_536, 65_537])
def test_a_corpus_of_any_alphabet_is_the_same_in_a_file(
    tmp_path: Path, characters: int, small: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text_module, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(ids_module, "BLOCK_IDS", 4001)
    text = "the heron " + WIDE[-characters:] + "counted"
    text = text.replace(WIDE[-1], "", len(set(text)) - characters)
    source = write(tmp_path / "text", text.encode())
    in_memory, in_file = both(tmp_path, [source], TextFormat(newlines="keep"), 1)
    assert in_file.vocabulary.decode(in_file.ids) == text
    assert in_file.ids.tolist() == in_memory.ids.tolist()
    assert in_file.ids.dtype == in_memory.ids.dtype
    assert in_file.ids.base is not in_memory.ids.base


def test_the_bytes_of_sources_are_told_as_they_are_read(tmp_path: Path):
    seen: list[bytes] = []
    sources = [write(tmp_path / "a", "né\r\n".encode("latin-1")), write(tmp_path / "b", b"")]
    read_corpus([*sources, sources[0]], TextFormat("latin-1"), watch=seen.append)
    assert seen == [b"n\xe9\r\n", b"", b"", b"n\xe9\r\n", b""]


READ: dict[str, Callable[[Ids], object]] = {
    "counted": lambda ids: log_frequencies(ids, 100),
    "fingerprinted": fingerprint,
    "in streams": lambda ids: read_windows(StreamWindows(ids, 8, 64, 1)),
    "in shuffled windows": lambda ids: read_windows(SlidingWindows(ids, 1024, 8, 1), 2),
}
STATUS = Path("/proc/self/status")


def read_windows(windows: Windows, blocks: int = 1 << 30) -> None:
    for step in range(0, min(windows.steps, blocks * 64), 64):
        windows.block(0, step, 64)


def resident() -> int:
    """Megabytes of files that are in the memory of this process."""
    return int(STATUS.read_text().partition("RssFile:")[2].split()[0]) // 1000


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells what is in memory")
@pytest.mark.parametrize("way", READ)
def test_ids_in_a_file_do_not_stay_in_memory_when_they_have_been_read(tmp_path: Path, way: str):
    path = tmp_path / "ids"
    path.write_bytes(bytes(range(100)) * 400_000)
    with path.open("rb") as file:
        ids = mapped(file, 0, 40_000_000, np.dtype(np.uint8))
    before = resident()
    READ[way](ids)
    assert resident() < before + 20
