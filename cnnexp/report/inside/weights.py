"""How the weights spread out while a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexp.report.inside.plates import Array, Plate, new_figure, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexp.runs.histograms import Histogram

SECTION = "How it learnt"
TITLE = "How the weights are spread, epoch by epoch"
CAPTION = (
    "One panel a layer; a hill is one epoch, the first at the bottom (0: before training). It is"
    " high where many weights of the layer lie; hills of one layer have one scale."
)
MOST_EPOCHS, ACROSS = 10, 3
OVERLAP = 1.7  # of the distance between two hills: the height of the highest
INSIDE = 0.005  # of the weights: what may lie beyond either edge of a panel


def histogram_plate(histograms: Mapping[str, Sequence[Histogram]]) -> Plate | None:
    """Draw the weights of each layer over the epochs; None if they were not logged."""
    shown = {name: found for name, found in histograms.items() if name.endswith(".W")}
    shown = shown or dict(histograms)
    if not shown:
        return None
    across = 2 if len(shown) == 4 else min(ACROSS, len(shown))
    rows = -(-len(shown) // across)
    figure = new_figure(0.7 + 3.1 * rows, TITLE)
    grid = figure.subplots(rows, across, squeeze=False)
    for k, axes in enumerate(grid.flat):
        if k >= len(shown):
            axes.set_axis_off()
            continue
        name = list(shown)[k]
        _hills(axes, name, some(shown[name], MOST_EPOCHS))
        if k % across == 0:
            axes.set_ylabel("epoch")
    return Plate("histograms", SECTION, TITLE, CAPTION, png_of(figure))


def some(found: Sequence[Histogram], most: int) -> list[Histogram]:
    """Return at most so many of the epochs, evenly, the first and the last among them."""
    places = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [found[k] for k in places]


def _hills(axes: Axes, name: str, found: Sequence[Histogram]) -> None:
    """Draw one hill above the other, the lower ones in front."""
    from matplotlib import colormaps

    low, high = _limits(found)
    edges = np.linspace(low, high, _intervals(found) + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    heights = [shares(histogram, edges) for histogram in found]
    highest = max(float(height.max()) for height in heights) or 1.0
    for k, height in enumerate(heights):
        tops = k + OVERLAP * height / highest
        color = colormaps["viridis"](0.1 + 0.75 * k / max(len(found) - 1, 1))
        order = 3 + len(found) - k
        axes.fill_between(middles, k, tops, color=color, linewidth=0, zorder=order)
        axes.plot(middles, tops, color="white", linewidth=0.8, zorder=order)
    axes.set_title(name.removesuffix(".W"), fontsize=10)
    axes.set_yticks(range(len(found)), [str(histogram.epoch) for histogram in found])
    axes.set(xlabel="weight", xlim=(low, high), ylim=(-0.25, len(found) - 1 + OVERLAP + 0.15))
    axes.grid(axis="y", visible=False)
    axes.tick_params(labelsize=8.5, length=0)


def shares(histogram: Histogram, edges: Array) -> Array:
    """Return which share of the weights lies in each of other intervals.

    Within an interval of the log, weights count as spread evenly.
    """
    below = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    own = np.linspace(histogram.low, histogram.high, len(below))
    at_edges = np.interp(edges, own, below / max(below[-1], 1.0))
    found: Array = np.diff(at_edges)
    return found


def _intervals(found: Sequence[Histogram]) -> int:
    """Return how finely a hill is drawn: few weights make a ragged one otherwise."""
    weights = sum(found[-1].counts)
    return int(np.clip(3 * weights ** (1 / 3), 12, 80))


def _limits(found: Sequence[Histogram]) -> tuple[float, float]:
    """Return between which weights nearly all lie, in every epoch."""
    lows, highs = [], []
    for histogram in found:
        below = np.cumsum(histogram.counts) / max(sum(histogram.counts), 1)
        edges = np.linspace(histogram.low, histogram.high, len(below) + 1)
        lows.append(float(edges[np.searchsorted(below, INSIDE)]))
        highs.append(float(edges[min(int(np.searchsorted(below, 1 - INSIDE)) + 1, len(below))]))
    room = 0.03 * (max(highs) - min(lows))
    return min(lows) - room, max(highs) + room
