"""The page in the system's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cnnexp
from cnnexp.report.live.page import live_page
from tests.conftest import make_run

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
RUN_MANY = """(images) => images.map((values) => {
  const {store} = cnnexp;
  store.setImage({shape: store.payload.shape, data: Float32Array.from(values)});
  return Array.from(store.pass.output.data);
})"""


@contextmanager
def opened(path: Path, **context: Any) -> Iterator[Any]:
    """Open a page in a browser of its own; an error on the page fails the test."""
    playwright = pytest.importorskip(
        "playwright.sync_api",
        reason="NO BROWSER TEST OF THE PAGE: pip install 'cnnexp[browser]'",
    )
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: NO BROWSER TEST OF THE PAGE")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_context(**context).new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: asked(request.url, errors))
            page.goto(path.resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            yield page
            assert errors == []
        finally:
            browser.close()


def asked(url: str, errors: list[str]) -> None:
    """Note what the page asks for besides itself."""
    if not url.startswith(("file:", "data:")):
        errors.append(f"asked for {url}")


def outputs(page: Any, X: Any) -> Any:
    """Return what the network on the page gives for some images."""
    import numpy as np

    found = [
        page.evaluate(RUN_MANY, X[k : k + 50].reshape(len(X[k : k + 50]), -1).tolist())
        for k in range(0, len(X), 50)
    ]
    return np.concatenate([np.array(part) for part in found])


def write(folder: Path, *settings: str) -> tuple[Any, Path]:
    """Train for a moment, and write the page."""
    run = cnnexp.load_run(make_run(folder / "run", *settings))
    path = folder / "page.html"
    path.write_text(live_page(run))
    return run, path


def draw(page: Any, *points: tuple[float, float]) -> None:
    """Draw a line on the pad; points are from 0 to 1 across it."""
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
