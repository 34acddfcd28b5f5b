"""What all pictures of a network share: paper, colours, small images, colour bars.

Numbers that may be below zero are drawn from blue through white to red, white being zero; one
picture has one such scale. Both ends can be told apart by everyone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnexp.report.drawing import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

SIGNED, GREY = "RdBu_r", "gray_r"
WIDTH = 9.0  # inches of a picture
DPI = 130
TOP = 99.7  # per cent of the numbers that a scale covers; a few larger ones are cut


@dataclass(frozen=True)
class Plate:
    """One picture with what a reader must know.

    Attributes
    ----------
    name : str
        Of its file, without the ending.
    section : str
        Under which heading it stands on a page.
    title, caption : str
        What is shown, and how it is read.
    png : bytes
        The picture.
    """

    name: str
    section: str
    title: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Specimen:
    """An image that is looked at.

    Attributes
    ----------
    name : str
        As people call it.
    X : array (ih, iw, n_c)
        As the network takes it.
    label : int or None
        Its class, where that is known.
    """

    name: str
    X: Array
    label: int | None = None


def new_figure(height: float, title: str, width: float = WIDTH) -> Figure:
    """Return an empty figure with a title at its upper left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05)
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold")
    return figure


def png_of(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI)
    return out.getvalue()


def reach(arrays: Sequence[Array]) -> float:
    """Return how far a scale around zero must reach for some numbers."""
    sizes = np.concatenate([np.abs(array).ravel() for array in arrays])
    sizes = sizes[np.isfinite(sizes)]
    return float(np.percentile(sizes, TOP)) if sizes.size and sizes.max() > 0 else 1.0


def show_signed(axes: Axes, image: Array, limit: float) -> Any:
    """Draw numbers around zero, and return what a colour bar needs."""
    bare(axes)
    return axes.imshow(image, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")


class Mosaic:
    """Small images with one scale, in rows and columns, in one pair of axes.

    Axes of their own for each would take seconds to lay out.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    rows, columns : int
        How many places there are.
    limit : float
        How far the scale reaches on either side of zero.
    gap : tuple of float
        Between columns and between rows, in widths of a place.
    margin : float
        At the left, in widths of a place.
    """

    def __init__(
        self,
        axes: Axes,
        rows: int,
        columns: int,
        limit: float,
        gap: tuple[float, float] = (0.12, 0.36),
        margin: float = 0.02,
    ) -> None:
        self.axes, self.limit = axes, limit
        self.step = (1 + gap[0], 1 + gap[1])
        self.image: Any = None
        axes.set_axis_off()
        width, height = columns * self.step[0] - gap[0], rows * self.step[1] - gap[1]
        self._window = (-margin, width + 0.02), (height + 0.02, -0.3)

    def put(self, row: int, column: int, image: Array) -> None:
        """Draw one image in its place; an oblong one in the middle of it."""
        from matplotlib.patches import Rectangle

        height, width = (size / max(image.shape) for size in image.shape)
        x = column * self.step[0] + (1 - width) / 2
        y = row * self.step[1] + (1 - height) / 2
        self.image = self.axes.imshow(
            image,
            cmap=SIGNED,
            vmin=-self.limit,
            vmax=self.limit,
            interpolation="nearest",
            extent=(x, x + width, y + height, y),
        )
        frame = Rectangle((x, y), width, height, fill=False, edgecolor="#BBBBBB", linewidth=0.6)
        self.axes.add_artist(frame)
        self.axes.set(xlim=self._window[0], ylim=self._window[1])

    def above(self, row: int, column: int, words: str) -> None:
        """Write a few words above a place."""
        place = (column * self.step[0] + 0.5, row * self.step[1] - 0.06)
        self.axes.text(*place, words, ha="center", va="bottom", fontsize=8)

    def left(self, row: int, words: str) -> None:
        """Write a few words at the left of a row."""
        place = (-0.12, row * self.step[1] + 0.5)
        self.axes.text(*place, words, ha="right", va="center", fontsize=8.5)


def show_image(axes: Axes, X: Array, low: float, high: float) -> None:
    """Draw an image (ih, iw, n_c) as it is: ink dark on light, or in its colours."""
    bare(axes)
    if X.shape[2] == 3:
        axes.imshow(np.clip((X - low) / max(high - low, 1e-12), 0, 1), interpolation="nearest")
        return
    axes.imshow(X.mean(axis=2), cmap=GREY, vmin=low, vmax=high, interpolation="nearest")


def bare(axes: Axes) -> None:
    """Leave nothing of the axes but a thin frame."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#BBBBBB", linewidth=0.6)


def note_above(axes: Axes, words: str) -> None:
    """Write a few words above a small image."""
    axes.set_title(words, fontsize=8, fontweight="normal", loc="center", pad=3, color=INK)


def note_left(axes: Axes, words: str) -> None:
    """Write a few words at the left of a small image."""
    axes.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=8.5, labelpad=6)


def color_bar(figure: Figure, image: Any, axes: Any, words: str) -> None:
    """Draw the one scale of a figure below it."""
    bar = figure.colorbar(
        image, ax=axes, location="bottom", shrink=0.45, aspect=40, pad=0.02, extend="both"
    )
    bar.set_label(words, fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_linewidth(0.5)


def percent(probability: float) -> str:
    """Return a probability as people read it.

    Examples
    --------
    >>> percent(0.9876), percent(0.99999), percent(0.00001)
    ('98.8 %', '> 99.9 %', '< 0.1 %')
    """
    if probability > 0.9995:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %" if probability >= 0.0005 else "< 0.1 %"
