"""The page that `chargen export` writes: characters a second in Chromium, and its size.

    python benchmarks/exported.py [--rounds 5]
    python benchmarks/exported.py --exactness CHECKPOINT

Beside it runs `chargen`'s own generator in NumPy, one text, with the same network and temperature.
The page is opened in Chromium without a window, and `window.chargen.sample` writes. `--exactness`
says how far the page of a trained model is from it: in the logits along the beginning of the text,
and in greedy texts from several prompts.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from harness import parser, race, rate, save
from models import SIZES, make_checkpoint, make_config, make_model

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.directory import Checkpoint
from chargen.config import SampleConfig

LENGTH = 1_000
"""Characters written at a time."""
SECONDS = 1.0
COMPARED = 200
"""Characters along which logits are compared."""
PROMPTS = ("", "The ", "What")
"""What greedy texts begin with."""
TEMPERATURE = SampleConfig.temperature


def main() -> None:
    """Run one contender, or the table."""
    options = parser(__doc__)
    options.add_argument("--exactness", type=Path, metavar="CHECKPOINT")
    chosen = options.parse_args()
    if chosen.exactness:
        compare(chosen.exactness, chosen.text)
        return
    if chosen.contender:
        name, *arguments = chosen.contender
        print(CONTENDERS[name](chosen.text, *map(int, arguments)))
        return
    rows = []
    for layers, units in SIZES:
        size = [str(layers), str(units)]
        contenders = {name: [name, *size] for name in CONTENDERS}
        found = race(__file__, contenders, chosen.rounds, chosen.text)
        parameters = parameter_count(make_config("lstm", layers, units, chosen.text))
        rows.append(
            {
                "model": f"lstm {layers}x{units}",
                "page": found["page"],
                "chargen in NumPy": found["numpy"],
                "ratio": found["page"] / found["numpy"],
                "page, MB": found["bytes"] / 1e6,
                "bytes a parameter": found["bytes"] / parameters,
            }
        )
        print(rows[-1], flush=True)
    save("exported", rows, ["model"])


def compare(checkpoint: Path, text: Path) -> None:
    """Print how far the page of a checkpoint is from chargen in NumPy."""
    import chargen
    from chargen.export.page import to_html

    model = chargen.load(checkpoint)
    known = [c for c in text.read_text(encoding="utf-8") if c in model.vocabulary][:COMPARED]
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        file = Path(folder) / "page.html"
        file.write_bytes(to_html(Checkpoint.open(checkpoint)))
        page = browser.new_page()
        page.goto(file.as_uri())
        ids = [*model.vocabulary.start_of_text, *model.vocabulary.encode("".join(known))]
        ours = model.logits(np.array(ids))[len(model.vocabulary.start_of_text) :]
        theirs = page.evaluate(
            "text => text.map((_, k) => Array.from(chargen.logits(text.slice(0, k + 1).join(''))))",
            known,
        )
        print(f"logits along {len(known)} characters: {np.abs(ours - theirs).max():.4f} at most")
        for prompt in PROMPTS:
            options = f"{{length: {LENGTH}, temperature: 0}}"
            written = page.evaluate(f"prompt => chargen.sample(prompt, {options})", prompt)
            greedy = model.sample(prompt, length=LENGTH, temperature=0)
            same = next((k for k in range(LENGTH) if written[k] != greedy[k]), LENGTH)
            print(f"greedy text after {prompt!r}: the same for {same:,} of {LENGTH:,} characters")


@contextmanager
def open_browser() -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def exported(text: Path, layers: int, units: int, folder: Path) -> Path:
    """The page of a network with small random weights."""
    from chargen.export.page import to_html

    make_checkpoint(folder / "ck", make_config("lstm", layers, units, text), text)
    page = folder / "page.html"
    page.write_bytes(to_html(Checkpoint.open(folder / "ck")))
    return page


def page_rate(text: Path, layers: int, units: int) -> float:
    """Characters a second that the page writes."""
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        page_file = exported(text, layers, units, Path(folder))
        page = browser.new_page()
        page.goto(page_file.as_uri())
        options = f"{{length: {LENGTH}, temperature: {TEMPERATURE}, seed: 1}}"

        def work() -> int:
            return len(page.evaluate(f"chargen.sample('', {options})"))

        return rate(work, SECONDS)


def numpy_rate(text: Path, layers: int, units: int) -> float:
    """Characters a second of chargen's generator."""
    from chargen.sampling.generate import write

    model = make_model(make_config("lstm", layers, units, text), text)
    _, pieces = next(write(model, [""], SampleConfig(length=None), 0))
    return rate(lambda: len(next(pieces)), SECONDS)


def size(text: Path, layers: int, units: int) -> float:
    """Bytes of the page."""
    with tempfile.TemporaryDirectory() as folder:
        return float(exported(text, layers, units, Path(folder)).stat().st_size)


CONTENDERS = {"page": page_rate, "numpy": numpy_rate, "bytes": size}


if __name__ == "__main__":
    main()
