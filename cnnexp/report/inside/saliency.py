"""Which pixels raise or lower the logit of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexp.report.inside.plates import (
    Array,
    Plate,
    Specimen,
    color_bar,
    new_figure,
    note_above,
    note_left,
    percent,
    png_of,
    reach,
    show_image,
    show_signed,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexp.nn.network import Network

SECTION = "What it sees"
TITLE = "Which pixels raise the logit of a class, and which lower it"
CAPTION = (
    "For each image, the gradient of the logit of the likeliest class and of the second one: red"
    " where more ink would raise the logit, blue where it would lower it. The outline is the image."
)


def saliency_plate(
    network: Network, specimens: Sequence[Specimen], classes: Sequence[str]
) -> Plate:
    """Draw image and gradients side by side, one column an image."""
    X = np.stack([specimen.X for specimen in specimens])
    A = network.predict(X)
    ranked = np.argsort(-A, axis=1, kind="stable")[:, :2]
    places = range(ranked.shape[1])  # of two classes, if there are as many
    gradients = [network.saliency(X, ranked[:, place]).mean(axis=3) for place in places]
    figure = new_figure(6.4, TITLE)
    grid = figure.subplots(1 + len(places), max(len(X), 4), squeeze=False)
    low, high, limit = float(X.min()), float(X.max()), reach(gradients)
    for column, specimen in enumerate(specimens):
        show_image(grid[0, column], specimen.X, low, high)
        note_above(grid[0, column], specimen.name)
        for place, gradient in enumerate(gradients):
            axes, k = grid[place + 1, column], int(ranked[column, place])
            image = show_signed(axes, gradient[column], limit)
            _outline(axes, specimen.X)
            note_above(axes, f"{classes[k]}: {percent(float(A[column, k]))}")
    for axes in grid[:, len(X) :].flat:
        axes.set_axis_off()
    words_of_rows = ("image", "for the\nlikeliest", "for the\nsecond")
    for row, words in enumerate(words_of_rows[: 1 + len(places)]):
        note_left(grid[row, 0], words)
    color_bar(figure, image, grid, "change of the logit when a pixel rises by 1")
    caption = CAPTION
    if any(layer.type == "max_pool" for layer in network.layers):
        caption += " Max pooling hands a gradient to one pixel of each window, hence any chequers."
    return Plate("saliency", SECTION, TITLE, caption, png_of(figure))


def _outline(axes: Axes, X: Array) -> None:
    """Draw the edge of what is drawn on an image."""
    ink = X.mean(axis=2)
    if min(ink.shape) > 1 and ink.max() > ink.min():
        middle = (float(ink.min()) + float(ink.max())) / 2
        axes.contour(ink, levels=[middle], colors="#222222", linewidths=0.9)
