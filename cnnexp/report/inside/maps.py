"""What each layer makes of one image, from the first map to the probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnnexp.report.inside.plates import (
    Array,
    Mosaic,
    Plate,
    Specimen,
    bare,
    color_bar,
    new_figure,
    note_above,
    percent,
    png_of,
    reach,
    show_image,
)
from cnnexp.report.lines import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexp.nn.layer import Layer
    from cnnexp.nn.network import Network

SECTION = "What it sees"
MOST_MAPS = 10
MOST_UNITS = 200
SCALE = "value (blue below zero, white zero, red above)"

Named = tuple[str, Array]


class Block(NamedTuple):
    """Layers whose maps belong together: a convolution, and what follows it."""

    name: str
    layers: list[Named]


def map_plates(
    network: Network, specimen: Specimen, classes: Sequence[str], suffix: str = ""
) -> list[Plate]:
    """Return a picture for each convolution with what follows it, and one for the dense end."""
    found = [(name, A[0]) for name, A in network.activations(specimen.X[None])]
    images = [layer for layer in found if layer[1].ndim == 3]
    rows = [layer for layer in found if layer[1].ndim == 1 and not layer[0].startswith("flatten")]
    layers = {layer.name: layer for layer in network.layers}
    plates = [
        _maps(block, filters_of(layers.get(block.name)), specimen, suffix)
        for block in blocks_of(images)
    ]
    return [*plates, _units(rows, specimen, classes, suffix)]


def blocks_of(layers: Sequence[Named]) -> list[Block]:
    """Cut layers before each convolution; layers before the first one are a block too."""
    blocks: list[Block] = []
    for name, A in layers:
        if not blocks or name.startswith("conv"):
            blocks.append(Block(name, []))
        blocks[-1].layers.append((name, A))
    return blocks


def strongest(A: Array, most: int) -> list[int]:
    """Return the channels of (ih, iw, n_c) with the largest values, in their own order."""
    sizes = np.abs(A).max(axis=(0, 1))
    return sorted(np.argsort(-sizes, kind="stable")[:most].tolist())


def filters_of(layer: Layer | None) -> Array | None:
    """Return the filters (f_w, f_w, n_f) of a convolution of an image, a mean over its colours.

    None for other layers, and for filters over many feature maps, which are no picture.
    """
    W = layer.params.get("W") if layer is not None and layer.operation == "conv" else None
    return W.mean(axis=2) if W is not None and W.ndim == 4 and W.shape[2] in (1, 3) else None


def _maps(block: Block, filters: Array | None, specimen: Specimen, suffix: str) -> Plate:
    """Draw the image, and the same few feature maps after each layer of a block, a layer a row."""
    (end, last), total = block.layers[-1], block.layers[-1][1].shape[2]
    chosen = strongest(last, MOST_MAPS)
    names = _listed([name for name, _ in block.layers])
    title = f"{_capital(specimen.name)}: feature maps after {names}"
    caption = "Each column is one filter, each row one layer: what it hands on to the next."
    if filters is not None:
        caption += " The filters stand above, with a scale of their own."
    if len(chosen) < total:
        caption += f" Of {total} filters the {len(chosen)} with the strongest answers are shown."
    if silent := int(np.count_nonzero(~last.any(axis=(0, 1)))):
        caption += f" After {end}, {silent} of {total} maps are zero everywhere."
    above = 0 if filters is None else 1
    figure = new_figure(0.95 + 0.8 * (above + len(block.layers)), title)
    left, axes = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1, 8.5], "wspace": 0.02})
    show_image(left, specimen.X, float(specimen.X.min()), float(specimen.X.max()))
    note_above(left, "the image")
    # what is handed on decides the scale; larger values before it are drawn as dark as can be
    limit = reach([last[:, :, chosen]])
    mosaic = Mosaic(axes, above + len(block.layers), MOST_MAPS, limit, (0.12, 0.15))
    if filters is not None:
        mosaic.left(0, f"filter\n{filters.shape[0]}x{filters.shape[1]}")
        scaled = filters * (limit / reach([filters[:, :, chosen]]))
        _row(mosaic, 0, scaled, chosen)
    for row, (name, A) in enumerate(block.layers, above):
        mosaic.left(row, f"{name}\n{A.shape[0]}x{A.shape[1]}")
        _row(mosaic, row, A, chosen)
    for column, k in enumerate(chosen):
        mosaic.above(0, column, f"{'filter ' * (column == 0)}{k + 1}")
    color_bar(figure, mosaic.image, axes, SCALE)
    return Plate(f"maps{suffix}_{block.name}", SECTION, title, caption, png_of(figure))


def _row(mosaic: Mosaic, row: int, maps: Array, chosen: Sequence[int]) -> None:
    """Draw the chosen ones of (rows, columns, n_f) beside each other."""
    for column, k in enumerate(chosen):
        mosaic.put(row, column, maps[:, :, k])


def _units(
    layers: Sequence[Named], specimen: Specimen, classes: Sequence[str], suffix: str
) -> Plate:
    """Draw the image, the units of each dense layer as a strip, and the probabilities."""
    strips, (_, A) = layers[:-1], layers[-1]
    title = f"{_capital(specimen.name)}: {_verdict(A, specimen, classes)}"
    caption = "The units of each dense layer from left to right, and what they end in."
    figure = new_figure(3.4, title)
    left, middle, right = figure.subplots(
        1, 3, gridspec_kw={"width_ratios": [1, 2.2, 1.5], "wspace": 0.08}
    )
    show_image(left, specimen.X, float(specimen.X.min()), float(specimen.X.max()))
    note_above(left, "the image")
    _strips(middle, strips)
    _probabilities(right, A, classes)
    return Plate(f"maps{suffix}_end", SECTION, title, caption, png_of(figure))


def _strips(axes: Axes, strips: Sequence[Named]) -> None:
    """Draw each layer's units as one strip of cells, all with one scale."""
    if not strips:
        axes.set_axis_off()
        return
    limit = reach([A for _, A in strips])
    for row, (_, A) in enumerate(strips):
        shown = A[:MOST_UNITS][None]
        extent = (0.0, 1.0, row + 0.35, row - 0.35)
        image = axes.imshow(
            shown, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent, interpolation="nearest"
        )
    bare(axes)
    axes.set(aspect="auto", xlim=(0, 1), ylim=(len(strips) - 0.5, -0.5))
    axes.set_yticks(
        range(len(strips)),
        [f"{name}\n{_units_shown(A)}" for name, A in strips],
        fontsize=8.5,
    )
    axes.tick_params(length=0)
    note_above(axes, "units of the dense layers")
    color_bar(axes.figure, image, axes, SCALE)  # type: ignore[arg-type]


def _units_shown(A: Array) -> str:
    return f"{len(A)} units" if len(A) <= MOST_UNITS else f"first {MOST_UNITS} of {len(A)}"


def _probabilities(axes: Axes, A: Array, classes: Sequence[str]) -> None:
    """Draw a bar for each class, the likeliest ones if there are many."""
    order = sorted(np.argsort(-A, kind="stable")[:10].tolist())
    best = int(A.argmax())
    colors = [STYLES[1].color if k == best else "#B8B8B8" for k in order]
    axes.barh(range(len(order)), [A[k] for k in order], color=colors, height=0.7)
    axes.set_yticks(range(len(order)), [classes[k] for k in order])
    axes.set(ylim=(len(order) - 0.4, -0.6), xlim=(0, 1.28))
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_xlabel("probability", fontsize=8.5)
    axes.grid(axis="y", visible=False)
    axes.tick_params(labelsize=8.5, length=0)
    note_above(axes, "class")
    for place, k in enumerate(order):
        if A[k] >= 0.0005:
            axes.text(A[k] + 0.02, place, percent(float(A[k])), va="center", fontsize=7.5)


def _verdict(A: Array, specimen: Specimen, classes: Sequence[str]) -> str:
    """Say what it was taken for, and what it is."""
    best = int(A.argmax())
    words = f"taken for {classes[best]}, {percent(float(A[best]))}"
    if specimen.label is None or best == specimen.label:
        return words if specimen.label is None else f"{words}, which is right"
    return f"{words}; it is {classes[specimen.label]}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
