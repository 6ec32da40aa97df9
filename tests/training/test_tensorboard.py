"""What `--tensorboard` writes is what TensorBoard reads, and trouble with it ends no run."""

import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_checkpoint, run_here

import chargen
from chargen.checkpoint.directory import Checkpoint
from chargen.errors import ChargenError, OptionError
from chargen.training.events import Evaluated, Event, Progressed, Recovered, Started, Stopped
from chargen.training.tensorboard import PROGRESS_SECONDS, TensorBoardFiles
from training.conftest import SMALL, Trained, begin, history

REASON = "TensorBoard, which reads what is written, is not installed"
accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.plugin_event_accumulator", reason=REASON
)
plugin_util = pytest.importorskip("tensorboard.plugin_util", reason=REASON)

BITS = math.log(2)
SAMPLE = "<script>alert(1)</script> *stars* ``` and ````\n# no heading\n    \x1b[31mred | &amp;\n"


def started(checkpoint: Checkpoint, first_step: int = 0, held_out: int = 100) -> Started:
    corpus = replace(checkpoint.corpus, validation_characters=held_out)
    return Started(replace(checkpoint, corpus=corpus), 9, first_step, 5, 100, None, None)


def progressed(step: int, nats: float = 2.0) -> Progressed:
    return Progressed(step, step / 5, step / 100, nats, 0.5, 5000.0, 60.0)


def evaluated(step: int, nats: float | None = 1.5, sample: str = "text", **more: Any) -> Evaluated:
    record = {
        "step": step,
        "epoch": step / 5,
        "seconds": 1.0,
        "characters": 10,
        "learning_rate": 0.01,
        "train_nats": 1.25,
        "train_accuracy": 0.5,
        "validation_nats": nats,
        "validation_bits": None if nats is None else nats / BITS,
        "validation_accuracy": None if nats is None else 0.25,
        "best": True,
        "gradient_norm": 0.5,
    }
    return Evaluated(record | more, sample, 4000.0, 60.0)


def written(folder: Path, *events: Event) -> list[str]:
    """Write events; what was noted of them."""
    notes: list[str] = []
    with TensorBoardFiles(folder, notes.append) as files:
        for event in events:
            files.report(event)
    return notes


def shown(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """What TensorBoard reads in a folder: the steps and values of each name."""
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    values: dict[str, list[tuple[int, Any]]] = {}
    for tag in found.Tags()["tensors"]:
        for event in found.Tensors(tag):
            tensor = event.tensor_proto
            (value,) = tensor.string_val or tensor.float_val
            values.setdefault(tag, []).append((event.step, value))
    return values


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return make_checkpoint(tmp_path / "ck")


def test_the_figures_of_an_evaluation_are_those_of_the_history(
    checkpoint: Checkpoint, tmp_path: Path
):
    logs = tmp_path / "logs"
    first, second = evaluated(5, 1.5, gradient_norm=0.75), evaluated(10, 1.0, gradient_norm=0.5)
    assert written(logs, started(checkpoint), first, second) == []
    assert sorted(path.name for path in logs.iterdir()) == ["train", "validation"]
    train, validation = shown(logs / "train"), shown(logs / "validation")
    close = pytest.approx
    assert validation == {
        "nats_per_character": [(5, 1.5), (10, 1.0)],
        "bits_per_character": [(5, close(1.5 / BITS)), (10, close(1.0 / BITS))],
        "accuracy": [(5, 0.25), (10, 0.25)],
    }
    assert train.pop("sample") == [(5, b"```\ntext\n```"), (10, b"```\ntext\n```")]
    assert train == {
        "nats_per_character": [(5, 1.25), (10, 1.25)],
        "bits_per_character": [(5, close(1.25 / BITS)), (10, close(1.25 / BITS))],
        "accuracy": [(5, 0.5), (10, 0.5)],
        "learning_rate": [(5, close(0.01)), (10, close(0.01))],
        "gradient_norm": [(5, 0.75), (10, 0.5)],
        "characters_per_second": [(5, 4000.0), (10, 4000.0)],
    }


def test_where_nothing_is_held_out_there_is_no_curve_of_it(checkpoint: Checkpoint, tmp_path: Path):
    written(tmp_path / "logs", started(checkpoint, held_out=0), evaluated(5, None))
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["train"]


@pytest.mark.usefixtures("ticking")
def test_progress_is_written_now_and_then(checkpoint: Checkpoint, tmp_path: Path):
    steps = range(1, 1 + 3 * round(PROGRESS_SECONDS / 0.01))  # the clock ticks once for each
    written(tmp_path / "logs", started(checkpoint), *map(progressed, steps))
    found = shown(tmp_path / "logs" / "train")
    names = ("bits_per_character", "characters_per_second", "gradient_norm")
    assert set(found) == {f"progress/{name}" for name in names}
    for points in found.values():
        assert len(points) == pytest.approx(3, abs=1)
        assert points[0][0] == 1
    assert found["progress/bits_per_character"][0] == (1, pytest.approx(2.0 / BITS))


def test_a_resumed_run_continues_the_curve(checkpoint: Checkpoint, tmp_path: Path):
    """It was killed after step 10 was evaluated, and continues from the state of step 5."""
    logs = tmp_path / "logs"
    written(logs, started(checkpoint), evaluated(5, 1.5), evaluated(10, 9.0))
    resumed = started(checkpoint, first_step=5)
    written(logs, resumed, evaluated(10, 1.25), evaluated(15, 1.0))
    assert len(list((logs / "validation").iterdir())) == 2
    points = [(5, 1.5), (10, 1.25), (15, 1.0)]
    assert shown(logs / "validation")["nats_per_character"] == points
    assert [step for step, _ in shown(logs / "train")["sample"]] == [5, 10, 15]


def test_a_run_that_recovers_goes_back(checkpoint: Checkpoint, tmp_path: Path):
    logs = tmp_path / "logs"
    events = [
        started(checkpoint),
        evaluated(5, 1.5),
        progressed(8, 50.0),
        Recovered(9, 5, 5, 0.5),
        evaluated(10, 1.25),
    ]
    assert written(logs, *events) == []
    assert shown(logs / "validation")["nats_per_character"] == [(5, 1.5), (10, 1.25)]
    assert "progress/bits_per_character" not in shown(logs / "train")


def test_a_sample_is_shown_as_it_is(checkpoint: Checkpoint, tmp_path: Path):
    written(tmp_path / "logs", started(checkpoint), evaluated(5, sample=SAMPLE))
    ((_, markdown),) = shown(tmp_path / "logs" / "train")["sample"]
    page = plugin_util.markdown_to_safe_html(markdown)
    assert page == (
        "<pre><code>&lt;script&gt;alert(1)&lt;/script&gt; *stars* ``` and ````\n# no heading\n"
        "    \\x1b[31mred | &amp;amp;\n\n</code></pre>"
    )


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file have more bytes than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_noted_once_and_what_was_written_stays(
    checkpoint: Checkpoint, tmp_path: Path
):
    logs, notes = tmp_path / "logs", list[str]()
    with TensorBoardFiles(logs, notes.append) as files:
        files.report(started(checkpoint))
        files.report(evaluated(5))
        with full_disk(1000):
            for step in range(10, 50, 5):
                files.report(evaluated(step))
        files.report(evaluated(50))
    (note,) = notes
    assert note.startswith(f"cannot write to {logs}: File too large; ")
    assert shown(logs / "validation")["nats_per_character"][0] == (5, 1.5)
    written(logs, started(checkpoint, first_step=5), evaluated(10, 1.0))
    assert shown(logs / "validation")["nats_per_character"] == [(5, 1.5), (10, 1.0)]
    assert [step for step, _ in shown(logs / "train")["accuracy"]] == [5, 10]


def test_a_folder_that_has_gone_ends_no_run(checkpoint: Checkpoint, tmp_path: Path):
    notes: list[str] = []
    with TensorBoardFiles(tmp_path / "logs", notes.append) as files:
        (tmp_path / "logs").write_text("in the way")
        for event in (started(checkpoint), evaluated(5), progressed(6)):
            files.report(event)
    assert len(notes) == 1


def test_a_run_with_nothing_left_to_do_writes_nothing(tmp_path: Path):
    ended = Stopped("finished", tmp_path / "ck", 10, 60.0, None)
    assert written(tmp_path / "logs", ended) == []
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_path_that_names_no_folder_is_refused(name: str):
    with pytest.raises(OptionError, match="tensorboard must name a directory; found '"):
        TensorBoardFiles(name, pytest.fail)


def test_a_folder_that_cannot_be_written_is_refused_before_the_text_is_read(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/logs"):
        result = run_here(tmp_path, "train", "nowhere.txt", "--tensorboard", name)
        assert result.returncode == 1
        said = result.stderr.decode()
        assert said.startswith(f"chargen: error: cannot write to {name}: ")
        assert said.endswith("; give another --tensorboard\n")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
    refused = run_here(tmp_path, "train", "nowhere.txt", "--tensorboard", "deep/logs")
    assert "no such file: nowhere.txt" in refused.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_tensorboard_a_run_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    with pytest.raises(ChargenError, match=r"with: pip install 'chargen\[tensorboard\]'$"):
        chargen.train(tmp_path / "nowhere", tensorboard=tmp_path / "logs")
    assert not list(tmp_path.iterdir())


def test_a_run_opens_its_files_before_the_first_step(text: Path, tmp_path: Path):
    begin(text, checkpoint=tmp_path / "ck", tensorboard=tmp_path / "logs", **SMALL)
    for name in ("train", "validation"):
        assert shown(tmp_path / "logs" / name) == {}


@pytest.mark.slow
def test_a_resumed_run_writes_what_is_new_in_its_history(trained: Trained, tmp_path: Path):
    ck = trained().copy(tmp_path)
    before = len(history(ck))
    chargen.train(
        checkpoint=ck, resume=True, epochs=SMALL["epochs"] + 1, tensorboard=tmp_path / "logs"
    )
    lines = history(ck)[before:]
    assert lines
    for name in ("train", "validation"):
        figures = shown(tmp_path / "logs" / name)["nats_per_character"]
        assert figures == [
            (line["step"], pytest.approx(line[f"{name}_nats"], rel=1e-6)) for line in lines
        ]
