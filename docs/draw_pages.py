"""Draws the pages that chargen writes: docs/pictures/page.png and docs/pictures/report.png.

    python docs/draw_pages.py [--budget 74s]

The commands train on the fables, export the page that writes and write the report; Chromium then
opens both. It needs the packages that the tests need, and Chromium.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1000, 900
RANDOM_SEED = "3"
LENGTH = "320"
"""Characters that the page writes, which fit into the picture."""
POINTED_AT = 210
"""The character of the report that the pointer rests on."""


def main() -> None:
    """Train, write the pages and draw them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budget", default="74s")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(ROOT / "corpora" / "fables.txt", folder)
        for line in (
            f"train fables.txt --budget {chosen.budget}",
            "export fables -o page.html",
            "report fables -o report.html --baselines",
        ):
            subprocess.run([sys.executable, "-m", "chargen", *line.split()], cwd=folder, check=True)
        draw(folder)


def draw(folder: Path) -> None:
    """Open both pages of a folder, and draw what is seen of them."""
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((folder / "page.html").as_uri())
        page.get_by_label("Prompt").fill("The heron")
        page.get_by_label("Length").fill(LENGTH)
        page.get_by_label("Random seed").fill(RANDOM_SEED)
        page.get_by_role("button", name="Write").click()
        page.wait_for_selector("#stop[disabled]")
        page.screenshot(path=PICTURES / "page.png")
        page.goto((folder / "report.html").as_uri())
        page.locator("#reading").evaluate("section => section.scrollIntoView()")
        page.locator("#reading-text i").nth(POINTED_AT).hover()
        page.screenshot(path=PICTURES / "report.png")
        browser.close()


if __name__ == "__main__":
    main()
