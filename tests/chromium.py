"""Pages opened in Chromium: what they said, what they asked the network for, how they look."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""What a browser that is installed may be called; else Playwright's own is tried."""


@contextmanager
def launched() -> Iterator[Any]:
    """Start Chromium without a window, or skip with the reason."""
    reason = "Playwright, which opens pages in Chromium, is not installed"
    api = pytest.importorskip("playwright.sync_api", reason=reason)
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with api.sync_playwright() as playwright:
        # Chromium refuses to run in its sandbox for root, as who tests in a container often is.
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        try:
            browser = playwright.chromium.launch(executable_path=path, args=arguments)
        except api.Error as error:
            pytest.skip(f"no Chromium could be started: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, **options: Any) -> Iterator[Any]:
    """Open a page from a file; when it is closed, it has neither failed nor used the network.

    Args:
        browser: from `launched`.
        file: the page.
        **options: of Playwright's `new_context`, such as `viewport` or `color_scheme`.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    address = file.resolve().as_uri()
    # Data and blob addresses lie in the page itself.
    page.on(
        "request",
        lambda request: (
            None
            if request.url == address or request.url.startswith(("data:", "blob:"))
            else troubles.append(f"request: {request.url}")
        ),
    )
    page.goto(address)
    yield page
    context.close()
    assert not troubles
