"""The live page in headless Chromium: its size, how soon it answers, and how far it is from NumPy.

Two networks learn from MNIST for a moment, and `explore` writes their pages. On each a stroke is
drawn with the mouse. A stroke's time is that of one move of the mouse: the image, the forward pass
in JavaScript, and the drawing of all probabilities and feature maps. Then 1,000 test images go
through the network on the page and through `network.predict`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks.machine import describe

SUMMARY = "the live page: size, seconds until usable, milliseconds per stroke, agreement"
NEEDS = ("playwright", "chromium")
SHOWN = (
    "model",
    "megabytes",
    "seconds_until_usable",
    "milliseconds_per_stroke",
    "slowest_stroke_milliseconds",
    "largest_difference",
)
MODELS = {"lenet5": 10_000, "resnet": 3_000}  # and the training samples of each
NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEW = {"width": 1360, "height": 900}  # pixels of the window
MANY = """(images) => images.map((values) => {
  const {store} = cnnexp;
  store.setImage({shape: store.payload.shape, data: Float32Array.from(values)});
  return Array.from(store.pass.output.data);
})"""
STROKE = """async (moves) => {
  const pad = document.getElementById("pad");
  const box = pad.getBoundingClientRect();
  pad.setPointerCapture = () => {};
  const send = (type, x, y) => pad.dispatchEvent(new PointerEvent(type, {pointerId: 1,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
  const turn = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  const times = [];
  send("pointerdown", 0.3, 0.2);
  for (let k = 1; k <= moves; k++) {
    await turn();
    const began = performance.now();
    send("pointermove", 0.3 + 0.4 * k / moves, 0.2 + 0.6 * k / moves);
    const computed = performance.now() - began;
    let drawing = 0;
    await new Promise((done) => requestAnimationFrame(() => {
      const start = performance.now();
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { drawing = performance.now() - start; done(); };
      channel.port2.postMessage(0);
    }));
    times.push(computed + drawing);
  }
  send("pointerup", 0.7, 0.8);
  return times;
}"""

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=1000, help="that are compared")
    parser.add_argument("--moves", type=int, default=60, help="moves of the mouse in a stroke")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Train, write the page, and measure it, for each network."""
    images, moves = (20, 3) if asked.quick else (asked.images, asked.moves)
    machine = describe()
    with tempfile.TemporaryDirectory() as name:
        for model, limit in MODELS.items():
            folder = Path(name) / model
            _train(folder, model, 200 if asked.quick else limit)
            yield measure_page(folder, model, images, moves) | machine


def _train(folder: Path, model: str, limit: int) -> None:
    """Train for two epochs; MNIST comes from the data folder, or is downloaded."""
    from cnnexp.app.main import main

    words = [f"model={model}", "data=mnist", f"data.limit={limit}", "epochs=2"]
    with contextlib.redirect_stdout(io.StringIO()):
        code = main([*words, "checkpoint.keep=all", f"hydra.run.dir={folder}"])
    if code:
        raise SystemExit(f"live_page: {model} could not be trained")


def measure_page(folder: Path, model: str, images: int, moves: int) -> Row:
    """Write the page of a run, and measure it."""
    import cnnexp
    from cnnexp.report.live.page import live_page

    run = cnnexp.load_run(folder)
    path = folder / "explore.html"
    path.write_text(live_page(run), encoding="utf-8")
    X = np.asarray(run.dataset.test.X[:images])
    with opened(path) as (page, seconds, version):
        times = page.evaluate(STROKE, moves)
        parts = [X[k : k + 50].reshape(-1, X[0].size).tolist() for k in range(0, len(X), 50)]
        found = np.concatenate([np.array(page.evaluate(MANY, part)) for part in parts])
    return {
        "model": model,
        "parameters": run.network.parameter_count,
        "megabytes": path.stat().st_size / 1e6,
        "seconds_until_usable": seconds,
        "milliseconds_per_stroke": statistics.median(times),
        "slowest_stroke_milliseconds": max(times),
        "images": len(X),
        "largest_difference": float(abs(found - run.network.predict(X)).max()),
        "browser": version,
    }


@contextlib.contextmanager
def opened(path: Path, view: Mapping[str, int] = VIEW) -> Iterator[tuple[Any, float, str]]:
    """Open a page; yield it with the seconds until it could be used, and the browser's version."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        raise SystemExit("live_page: Chromium is not installed; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=view)
        start = time.perf_counter()
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        yield page, time.perf_counter() - start, browser.version
        browser.close()
