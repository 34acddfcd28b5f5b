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
