"""Damaged checkpoints by the hundred; `stress/fuzz_checkpoints.py` makes them by the 100,000."""

import random
from pathlib import Path

import pytest
from conftest import make_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stress.fuzz_checkpoints import attempt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    whole = make_checkpoint(folder / "whole", cell="gru", units=3, layers=2)
    (whole.path / "history.jsonl").write_text('{"step": 1, "best": true}\n' * 3)
    (folder / "text").write_text("a badge\nhid a cab\n")
    return folder


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.randoms(use_true_random=False))
def test_a_damaged_checkpoint_is_read_or_refused_with_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rng: random.Random
):
    monkeypatch.chdir(folder)
    assert attempt(rng, folder, restore=None) in {"read", "refused"}
