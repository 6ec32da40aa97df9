"""What docs/keras.md shows works, and gives what chargen gives."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FABLES, ROOT

import chargen


@pytest.mark.slow
def test_the_page_on_keras_alone_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "poems.txt").write_text("Once " + FABLES[:4000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    chargen.train("poems.txt", units=16, epochs=1, batch_size=8)
    page = (ROOT / "docs" / "keras.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks[:2]:
        exec(compile(block, "keras.md", "exec"), names)
    model = chargen.load("checkpoints/poems")
    assert names["characters"] == list(model.vocabulary)
    ours = model.logits(model.vocabulary.encode("\nOnce"))
    assert np.asarray(names["logits"])[0] == pytest.approx(ours, abs=1e-4)
    exec(compile(blocks[2], "keras.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "Total params" in shown
    assert names["text"].startswith("\nOnce")
    assert len(names["text"]) == 105
    assert names["text"] in shown
