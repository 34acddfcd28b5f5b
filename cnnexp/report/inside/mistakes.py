"""Where a network errs: what is taken for what, and its most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexp.report.inside.plates import (
    Array,
    Plate,
    new_figure,
    note_above,
    percent,
    png_of,
    show_image,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SECTION = "Where it errs"
MOST_MISTAKES, ACROSS = 24, 8
MOST_NUMBERED = 20  # classes for which the counts are written
LONGEST = 8  # letters of a class name above a small image


def confusion_of(labels: Array, predicted: Array, classes: int) -> Array:
    """Return how many samples of each class (rows) were taken for each class (columns)."""
    counts: Array = np.bincount(labels * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def confident_mistakes(A: Array, labels: Array, most: int) -> list[int]:
    """Return the samples that are wrong, the most confident first."""
    wrong = np.flatnonzero(A.argmax(axis=1) != labels)
    order = np.argsort(-A[wrong].max(axis=1), kind="stable")
    return wrong[order[:most]].tolist()  # type: ignore[no-any-return]


def confusion_plate(A: Array, labels: Array, classes: Sequence[str]) -> Plate:
    """Draw the matrix; colours count mistakes only, as shares of the class."""
    counts = confusion_of(labels, A.argmax(axis=1), A.shape[1])[: len(classes), : len(classes)]
    wrong = int(counts.sum() - np.trace(counts))
    title = f"What is taken for what: {wrong:,} of {counts.sum():,} test samples are wrong"
    caption = (
        "A row is the true class, a column what the network said. The diagonal, in grey, is right;"
        " the darker another cell, the larger the share of its row that went there."
    )
    size = min(max(4.8, 0.42 * len(classes) + 2.4), 9.0)
    figure = new_figure(size, title, width=size + 1.4)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _draw_confusion(axes, counts, shares, classes)
    return Plate("confusion", SECTION, title, caption, png_of(figure))


def _draw_confusion(axes: Axes, counts: Array, shares: Array, classes: Sequence[str]) -> None:
    """Draw shares as colours and counts as numbers."""
    mistakes = np.where(np.eye(len(classes), dtype=bool), np.nan, 100 * shares)
    most = float(np.nanmax(mistakes)) if len(classes) > 1 else 0.0
    axes.set_facecolor("#E4E4E4")
    image = axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=most or 1.0)
    places = range(len(classes))
    turned = 0 if max(map(len, classes)) <= 3 else 60
    axes.set_xticks(places, classes, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(places, classes)
    axes.set(xlabel="what the network said", ylabel="true class")
    axes.grid(visible=False)
    between = np.arange(len(classes) - 1) + 0.5
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("share of the true class, per cent", fontsize=8.5)
    if len(classes) > MOST_NUMBERED:
        return
    for row, column in np.argwhere(counts):
        dark = row != column and mistakes[row, column] > 0.6 * most
        color = "white" if dark else "#555555" if row == column else "#222222"
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=8,
            color=color,
        )


def mistakes_plate(X: Array, A: Array, labels: Array, classes: Sequence[str]) -> Plate | None:
    """Draw the samples that are wrong with the highest probability; None if none is wrong."""
    worst = confident_mistakes(A, labels, MOST_MISTAKES)
    if not worst:
        return None
    title = "The most confident mistakes first"
    caption = (
        "Above each image: what it is, what it was taken for, and the probability that the network"
        " gave to that; below it, its number among the test samples."
    )
    rows = -(-len(worst) // ACROSS)
    figure = new_figure(0.6 + 1.55 * rows, title)
    grid = figure.subplots(rows, ACROSS, squeeze=False)
    low, high = float(X[worst].min()), float(X[worst].max())
    for k, axes in enumerate(grid.flat):
        if k >= len(worst):
            axes.set_axis_off()
            continue
        at = worst[k]
        said = int(A[at].argmax())
        show_image(axes, X[at], low, high)
        names = [classes[c][:LONGEST] for c in (int(labels[at]), said)]
        note_above(axes, f"{names[0]}, said {names[1]}\n{percent(float(A[at, said]))}")
        axes.set_xlabel(f"no. {at}", fontsize=7, labelpad=2, color="#777777")
    return Plate("mistakes", SECTION, title, caption, png_of(figure))
