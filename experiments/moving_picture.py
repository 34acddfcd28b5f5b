"""Draw the moving picture of the README: ``python -m experiments.moving_picture``.

LeNet-5 learns from 10,000 of MNIST's digits, `explore` writes its live page, and a browser opens
it. A digit is drawn, a value of a feature map is pointed at, the training is played, and a
convolution is stepped through. Screenshots on the way become one GIF. Needs Chromium, and
``pip install 'cnnexp[browser]'``.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from experiments import drawn
from experiments.benchmarks import results
from experiments.benchmarks.live_page import opened
from experiments.provenance import ROOT

FILE = ROOT / "docs" / "pictures" / "live_page.gif"
SETTINGS = ("model=lenet5", "data=mnist", "data.limit=10000", "epochs=5", "checkpoint.keep=all")
VIEW = {"width": 1300, "height": 800}
WIDTH = 960  # of the picture, in pixels
COLORS = 128
THREE = (  # points of a pen stroke, as fractions of the pad
    (0.30, 0.22), (0.40, 0.15), (0.54, 0.13), (0.66, 0.20), (0.68, 0.31), (0.60, 0.41),
    (0.47, 0.46), (0.60, 0.50), (0.70, 0.60), (0.70, 0.73), (0.60, 0.83), (0.45, 0.86),
    (0.30, 0.79),
)  # fmt: skip
POINTER = """() => {
  const dot = document.createElement("div");
  dot.style = "position: fixed; width: 14px; height: 14px; margin: -7px; border-radius: 50%;" +
    "border: 2px solid #fff; background: #d03030; pointer-events: none; z-index: 9";
  document.body.append(dot);
  addEventListener("pointermove", (event) => {
    dot.style.left = `${event.clientX}px`;
    dot.style.top = `${event.clientY}px`;
  }, true);
}"""
EPOCH = """(epoch) => {
  const slider = document.getElementById("epoch");
  slider.value = epoch;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
}"""

Frame = tuple[Image.Image, int]  # and the milliseconds it is shown


def main(words: Sequence[str] | None = None) -> int:
    """Train, or take a run that was trained with all checkpoints kept, and write the picture."""
    parser = argparse.ArgumentParser(prog="experiments.moving_picture", description="Draw it.")
    parser.add_argument("--run", type=Path, help="a run with checkpoint.keep=all; train none")
    parser.add_argument("--out", type=Path, default=FILE)
    asked = parser.parse_args(words)
    if asked.out == FILE:
        results.refuse_changes(results.FOLDER)
    with tempfile.TemporaryDirectory() as name:
        run = asked.run or trained(Path(name) / "run")
        save(asked.out, list(frames(run, Path(name) / "page.html")))
    if asked.out == FILE:
        drawn.note(FILE.relative_to(ROOT).as_posix())
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.2f} MB")
    return 0


def trained(folder: Path) -> Path:
    """Train the network of the picture, and return its folder."""
    from cnnexp.app.main import main as cnnexp

    if code := cnnexp([*SETTINGS, f"hydra.run.dir={folder}"]):
        raise SystemExit(code)
    return folder


def frames(run: Path, page_file: Path) -> Iterator[Frame]:
    """Yield what a reader sees, who tries one thing after the other."""
    import cnnexp
    from cnnexp.report.live.page import live_page

    page_file.write_text(live_page(cnnexp.load_run(run)), encoding="utf-8")
    with opened(page_file, VIEW) as (page, *_):
        page.evaluate(POINTER)
        for act in (draw_digit, point_at_value, play_training, step_through_groups):
            for milliseconds in act(page):
                yield screenshot(page), milliseconds


def draw_digit(page: Any) -> Iterator[int]:
    """Draw a three; the probabilities and the feature maps follow the pen."""
    page.click("#clear")
    box = page.locator("#pad").bounding_box()
    mouse = mouse_in(page, box)
    mouse(*THREE[0])
    page.mouse.down()
    for x, y in THREE[1:]:
        mouse(x, y)
        yield 180
    page.mouse.up()
    yield 1200


def point_at_value(page: Any) -> Iterator[int]:
    """Point at values of a feature map, to see what they are made of."""
    box = page.locator("#cards canvas").nth(3).bounding_box()
    for x, y in ((0.45, 0.2), (0.62, 0.3), (0.5, 0.48), (0.65, 0.68)):
        mouse_in(page, box)(x, y)
        yield 700
    yield 600


def play_training(page: Any) -> Iterator[int]:
    """Go through the epochs, from the weights before training on."""
    last = int(page.locator("#epoch").get_attribute("max"))
    for epoch in range(last + 1):
        page.evaluate(EPOCH, epoch)
        yield 700
    yield 500


def step_through_groups(page: Any) -> Iterator[int]:
    """Compute a small convolution by four methods, step by step; two of them are in view."""
    page.click("#tab-groups")
    yield 900
    for top, steps in (("#g-fault", 9), ("[data-method=im2col]", 4)):
        page.click("#g-reset")
        for _ in range(steps):
            page.evaluate("document.getElementById('g-step').click()")  # that scrolls nowhere
            page.evaluate("(top) => document.querySelector(top).scrollIntoView()", top)
            yield 450
        yield 1500


def mouse_in(page: Any, box: dict[str, float]) -> Callable[[float, float], None]:
    """Return what moves the mouse to a point of a box, given in fractions of it."""

    def move(x: float, y: float) -> None:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    return move


def screenshot(page: Any) -> Image.Image:
    """Return what is in view, in the picture's size."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((WIDTH, image.height * WIDTH // image.width), Image.Resampling.LANCZOS)


def save(path: Path, shown: list[Frame]) -> None:
    """Write a GIF that repeats; all frames have the colours of one palette."""
    small = [image.reduce(3) for image, _ in shown]
    sheet = Image.new("RGB", (small[0].width, sum(image.height for image in small)))
    for k, image in enumerate(small):
        sheet.paste(image, (0, k * image.height))
    palette = sheet.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE)
    flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image, _ in shown]
    times = [milliseconds for _, milliseconds in shown]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
