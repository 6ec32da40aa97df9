"""The page that `chargen export` writes: characters a second in Chromium, and its size.

    python benchmarks/exported.py [--rounds 5]

Beside it runs `chargen`'s own generator in NumPy, one text, with the same network and temperature.
The page is opened in Chromium without a window, and `window.chargen.sample` writes.
"""

import shutil
import tempfile
from pathlib import Path

from harness import parser, race, rate, save
from models import SIZES, make_checkpoint, make_config, make_model

from chargen.checkpoint.architecture import parameter_count
from chargen.checkpoint.directory import Checkpoint
from chargen.config import SampleConfig

LENGTH = 1_000
"""Characters written at a time."""
SECONDS = 1.0
TEMPERATURE = SampleConfig.temperature


def main() -> None:
    """Run one contender, or the table."""
    options = parser(__doc__)
    chosen = options.parse_args()
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


def exported(text: Path, layers: int, units: int, folder: Path) -> Path:
    """The page of a network with small random weights."""
    from chargen.export.page import to_html

    make_checkpoint(folder / "ck", make_config("lstm", layers, units, text), text)
    page = folder / "page.html"
    page.write_bytes(to_html(Checkpoint.open(folder / "ck")))
    return page


def page_rate(text: Path, layers: int, units: int) -> float:
    """Characters a second that the page writes."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = exported(text, layers, units, Path(folder))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto(page_file.as_uri())
        options = f"{{length: {LENGTH}, temperature: {TEMPERATURE}, seed: 1}}"

        def work() -> int:
            return len(page.evaluate(f"chargen.sample('', {options})"))

        speed = rate(work, SECONDS)
        browser.close()
    return speed


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
