"""The filters of the convolutions, or, without any, what the first dense layer weighs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnnexp.report.inside.plates import (
    Array,
    Mosaic,
    Plate,
    color_bar,
    new_figure,
    png_of,
    reach,
)

if TYPE_CHECKING:
    from cnnexp.nn.layer import Layer
    from cnnexp.nn.network import Network

SECTION = "What it has learnt"
MOST_FILTERS, ACROSS = 40, 10
MOST_ROWS, MOST_COLUMNS, FEW_CHANNELS = 12, 16, 4
SCALE = "weight (blue below zero, white zero, red above)"


def filter_plates(network: Network) -> list[Plate]:
    """Return a picture for each convolution, or one of the first dense layer."""
    convolutions = [layer for layer in network.layers if layer.type == "conv"]
    if convolutions:
        return [_of_convolution(layer) for layer in convolutions]
    shape = network.input_shape
    first = next((layer for layer in network.layers if layer.type == "dense"), None)
    if first is None or len(shape) != 3 or first.input_shape != (math.prod(shape),):
        return []
    return [_of_dense(first, shape)]


def _of_convolution(layer: Layer) -> Plate:
    """Draw the filters of a layer: one square each, or one a channel."""
    W = layer.params["W"]  # (f_w, f_w, n_c, n_f)
    f_w, _, n_c, n_f = W.shape
    if n_c == 1:
        title = f"The {n_f} filters of {layer.name}, {f_w}x{f_w} weights each"
        caption = (
            "A filter answers strongly where there is ink under its red weights and none under its"
            " blue ones."
        )
        return _squares(layer.name, title, caption, W[:, :, 0].transpose(2, 0, 1), "filter")
    return _channels(layer, W)


def _of_dense(layer: Layer, shape: tuple[int, ...]) -> Plate:
    """Draw the weights of each unit in the places of the pixels that they weigh."""
    W = layer.params["W"]  # (n_in, units)
    images = W.T.reshape(-1, *shape).mean(axis=3)
    title = f"What the {len(images)} units of {layer.name} weigh, pixel by pixel"
    caption = "A unit answers strongly where there is ink at its red places, not its blue."
    return _squares(layer.name, title, caption, images, "unit")


def _squares(name: str, title: str, caption: str, images: Array, what: str) -> Plate:
    """Draw one small square each, the first ones if there are many."""
    shown = images[:MOST_FILTERS]
    if len(shown) < len(images):
        caption += f" The first {len(shown)} of {len(images)} are shown."
    across = min(ACROSS, len(shown))
    rows = -(-len(shown) // across)
    figure = new_figure(1.05 + rows * 1.04, title)
    axes = figure.subplots()
    mosaic = Mosaic(axes, rows, ACROSS, reach([images]))
    for k, image in enumerate(shown):
        row, column = divmod(k, across)
        mosaic.put(row, column, image)
        mosaic.above(row, column, f"{what} {k + 1}" if k == 0 else str(k + 1))
    color_bar(figure, mosaic.image, axes, SCALE)
    return Plate(f"filters_{name}", SECTION, title, caption, png_of(figure))


def _channels(layer: Layer, W: Array) -> Plate:
    """Draw a square for each filter and each channel that it reads."""
    f_w, _, n_c, n_f = W.shape
    few = n_c <= FEW_CHANNELS  # then a column is a filter, else a row
    names, sizes = ("filter", "channel"), (n_f, n_c)
    if few:
        names, sizes = names[::-1], sizes[::-1]
    rows, columns = (min(*pair) for pair in zip(sizes, (MOST_ROWS, MOST_COLUMNS), strict=True))
    title = f"Filters of {layer.name}: {n_f}, each with {n_c} channels of {f_w}x{f_w} weights"
    caption = (
        f"A row is a {names[0]}, a column a {names[1]}; a filter adds up what its channels say."
    )
    if (rows, columns) != sizes:
        caption += f" The first {rows} {names[0]}s and {columns} {names[1]}s are shown."
    figure = new_figure(1.2 + rows * 0.52, title)
    axes = figure.subplots()
    mosaic = Mosaic(axes, rows, max(columns, 8), reach([W]), gap=(0.15, 0.15), margin=0.3)
    for column in range(columns):
        mosaic.above(0, column, f"{f'{names[1]} ' * (column == 0)}{column + 1}")
    for row in range(rows):
        mosaic.left(row, f"{f'{names[0]} ' * (row == 0)}{row + 1}")
        for column in range(columns):
            place = (row, column) if few else (column, row)
            mosaic.put(row, column, W[:, :, *place])
    color_bar(figure, mosaic.image, axes, SCALE)
    return Plate(f"filters_{layer.name}", SECTION, title, caption, png_of(figure))
