"""Draw the pictures of the pages that teach: ``python docs/drawings.py``.

All numbers in them are computed here, from the same small arrays that the pages work with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from cnnexp.report.lines import STYLES  # noqa: E402
from cnnexp.report.plots import DPI, RC  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
IMAGE = np.array([[1, 0, 2, 1], [0, 1, 3, 0], [2, 1, 0, 1], [1, 0, 1, 2]])
FILTER = np.array([[1, 2], [0, -1]])
D_CONV = np.array([[1, 0, -1], [0, 2, 0], [1, 0, 1]])
POOLED = np.array([[1, 3, 2, 0], [4, 2, 2, 2], [0, 1, 5, 6], [0, 0, 7, 5]])
D_POOL = np.array([[10, 20], [30, 40]])
BLUE, RED, GREEN, PINK = (style.color for style in STYLES[:4])

Cell = tuple[int, int]


def grid(
    axes: Any,
    numbers: np.ndarray,
    corner: tuple[float, float],
    title: str,
    colors: dict[Cell, str] | None = None,
    frames: Sequence[tuple[Cell, Cell, str]] = (),
) -> None:
    """Draw a table of numbers.

    Parameters
    ----------
    axes : Axes
        Where to draw; its unit is one cell.
    numbers : array of int, (rows, columns)
    corner : tuple of float
        Left and top.
    title : str
        What is written above.
    colors : dict of cell to str, optional
        Cells that are coloured.
    frames : sequence of (first cell, rows and columns, colour)
        Heavy frames.
    """
    from matplotlib.patches import Rectangle

    x, y = corner
    axes.text(x + numbers.shape[1] / 2, y - 0.3, title, ha="center", va="bottom", fontsize=10)
    for (row, col), number in np.ndenumerate(numbers):
        color = (colors or {}).get((row, col))
        face = "white" if color is None else color
        look = {"facecolor": face, "alpha": 1 if color is None else 0.35}
        axes.add_patch(Rectangle((x + col, y + row), 1, 1, linewidth=0, **look))
        axes.add_patch(Rectangle((x + col, y + row), 1, 1, fill=False, edgecolor="#BBBBBB"))
        place = (x + col + 0.5, y + row + 0.5)
        axes.text(*place, f"{number:g}".replace("-", "−"), ha="center", va="center", fontsize=11)
    for (row, col), (rows, cols), color in frames:
        box = Rectangle((x + col, y + row), cols, rows, fill=False, edgecolor=color, linewidth=2.6)
        axes.add_patch(box)


def sign(axes: Any, place: tuple[float, float], words: str) -> None:
    """Write a sign between two tables."""
    axes.text(*place, words, ha="center", va="center", fontsize=15)


def conv(X: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return the outputs of one filter."""
    positions = [n - len(W) + 1 for n in X.shape]
    f = len(W)
    Z = [(X[h : h + f, w : w + f] * W).sum() for h, w in np.ndindex(*positions)]
    return np.array(Z).reshape(positions)


def draw_conv(axes: Any) -> None:
    """Forward above; below, what one weight and one pixel get back."""
    window = ((0, 1), (2, 2), RED)
    grid(axes, IMAGE, (0, 1), "image", frames=[window])
    grid(axes, FILTER, (6, 2), "filter")
    grid(axes, conv(IMAGE, FILTER), (10, 1.5), "output Z", {(0, 1): RED})
    sign(axes, (5, 3), "∗")
    sign(axes, (9, 3), "=")
    words = "Forward: the framed window\n1·0 + 2·2 + 0·1 − 1·3 = 1"
    axes.text(14.3, 3, words, va="center", fontsize=10, color=RED)

    weight = [((0, 1), (3, 3), BLUE)]
    grid(axes, IMAGE, (0, 7), "image", frames=weight)
    grid(axes, D_CONV, (5.5, 7.5), "dZ", frames=[((0, 0), (3, 3), BLUE)])
    d_filter = conv(IMAGE, D_CONV)
    grid(axes, d_filter, (10.5, 8), "dW", {(0, 1): BLUE})
    sign(axes, (4.75, 9), "·")
    sign(axes, (9.5, 9), "→")
    parts = zip(IMAGE[0:3, 1:4].ravel(), D_CONV.ravel(), strict=True)
    terms = " + ".join(f"{a}·{b}" if b >= 0 else f"{a}·({b})" for a, b in parts if b)
    words = f"A weight: all pixels that it met\n{terms.replace('-', '−')} = {d_filter[0, 1]}"
    axes.text(14.3, 9, words, va="center", fontsize=10, color=BLUE)

    d_image = np.zeros_like(IMAGE)
    for h, w in np.ndindex(3, 3):
        d_image[h : h + 2, w : w + 2] += D_CONV[h, w] * FILTER
    grid(axes, D_CONV, (0.5, 13.5), "dZ", frames=[((0, 1), (2, 2), GREEN)])
    grid(axes, FILTER, (5.5, 14), "filter")
    grid(axes, d_image, (9.5, 13), "dA_prev", {(1, 2): GREEN})
    sign(axes, (4.5, 15), "·")
    sign(axes, (8.5, 15), "→")
    words = f"A pixel: all windows that cover it\n0·(−1) − 1·0 + 2·2 + 0·1 = {d_image[1, 2]}"
    axes.text(14.3, 15, words, va="center", fontsize=10, color=GREEN)
    axes.set(xlim=(-0.2, 22), ylim=(17.4, 0))


def draw_pool(axes: Any) -> None:
    """Max-pooling forward and backward, with a tie."""
    colors = (RED, BLUE, GREEN, PINK)
    blocks = [(2 * h, 2 * w) for h, w in np.ndindex(2, 2)]
    frames = [(block, (2, 2), color) for block, color in zip(blocks, colors, strict=True)]
    best = POOLED.reshape(2, 2, 2, 2).max(axis=(1, 3))
    back, won = np.zeros_like(POOLED), {}
    for (h, w), color in zip(blocks, colors, strict=True):
        window = POOLED[h : h + 2, w : w + 2]
        row, col = np.unravel_index(window.argmax(), (2, 2))  # the first of the largest
        back[h + row, w + col] = D_POOL[h // 2, w // 2]
        won[h + int(row), w + int(col)] = color
    small = dict(zip(np.ndindex(2, 2), colors, strict=True))
    grid(axes, POOLED, (0, 1), "feature map", won, frames)
    grid(axes, best, (6, 2), "output", small)
    grid(axes, D_POOL, (10, 2), "dA", small)
    grid(axes, back, (14, 1), "dA_prev", won, frames)
    for x in (5, 13):
        sign(axes, (x, 3), "→")
    words = "Top right: three pixels are 2. The first of them gets the whole gradient."
    axes.text(0, 5.6, words, fontsize=10, va="center", color=BLUE)
    axes.set(xlim=(-0.2, 18.2), ylim=(6.1, 0))


DRAWINGS: dict[str, tuple[Callable[[Any], None], tuple[float, float]]] = {
    "backprop_conv": (draw_conv, (9.2, 7.3)),
    "backprop_pool": (draw_pool, (7.6, 2.6)),
}


def main() -> None:
    """Write all drawings, with as few colours as they need."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from experiments.figures import make_small

    with rc_context(RC):
        for name, (draw, size) in DRAWINGS.items():
            figure = Figure(figsize=size)
            axes = figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            draw(axes)
            figure.savefig(FOLDER / f"{name}.png", dpi=DPI)
            make_small(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
