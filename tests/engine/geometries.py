"""One table of geometries, and random arrays for each; every implementation is checked on all."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.engine import Limits, Window
from cnnexp.engine.window import Padding, Pair, pair


class Geometry(NamedTuple):
    """An image, a window, and how many there are of everything."""

    ih: int
    iw: int
    f: Pair
    s: Pair
    padding: Padding = "valid"
    n_c: int = 2
    n_f: int = 3
    n_m: int = 3
    dilation: Pair = 1
    groups: int = 1

    @property
    def window(self) -> Window:
        return Window.over((self.ih, self.iw), self.f, self.s, self.padding, self.dilation)

    def __str__(self) -> str:
        extra = "" if self.dilation == 1 else f"d{self.dilation}"
        extra += "" if self.groups == 1 else f"g{self.groups}"
        words = (
            f"{self.ih}x{self.iw}-f{self.f}s{self.s}-{self.padding}"
            f"-c{self.n_c}f{self.n_f}m{self.n_m}{extra}"
        )
        return words.replace(" ", "")


GEOMETRIES = [
    Geometry(4, 4, 2, 1),  # the FAQ's example
    Geometry(6, 6, 2, 2),  # stride = width
    Geometry(6, 6, 3, 3),
    Geometry(5, 5, 3, 1),  # stride below the width
    Geometry(7, 7, 3, 2),
    Geometry(9, 8, 5, 2),
    Geometry(9, 9, 4, 3),
    Geometry(8, 8, 2, 3),  # stride above the width
    Geometry(9, 9, 1, 3),
    Geometry(11, 10, 3, 5),
    Geometry(7, 7, 2, 2),  # leftover row and column
    Geometry(8, 9, 3, 3),
    Geometry(10, 10, 3, 4),
    Geometry(7, 4, 3, 1),  # oblong
    Geometry(3, 9, 2, 2),
    Geometry(5, 5, 5, 1),  # window as large as the image
    Geometry(5, 5, 5, 5),
    Geometry(6, 5, 5, 2),
    Geometry(1, 1, 1, 1),  # axes of one
    Geometry(1, 6, 1, 1),
    Geometry(6, 1, 1, 2),
    Geometry(5, 5, 1, 1),
    Geometry(2, 2, 2, 1),
    Geometry(5, 5, 3, 1, "same"),
    Geometry(5, 6, 2, 1, "same"),  # the odd pixel at the bottom and right
    Geometry(7, 8, 3, 2, "same"),
    Geometry(6, 6, 5, 3, "same"),
    Geometry(7, 7, 2, 3, "same"),
    Geometry(1, 1, 3, 1, "same"),
    Geometry(5, 5, 3, 1, 1),
    Geometry(4, 6, 3, 2, 1),
    Geometry(6, 6, 5, 1, 2),
    Geometry(6, 7, 4, 4, 2),
    Geometry(2, 2, 3, 1, 1),
    Geometry(6, 6, 3, 1, "valid", 1, 3, 3),  # one channel
    Geometry(6, 6, 3, 1, "valid", 3, 1, 3),  # one filter
    Geometry(6, 6, 3, 1, "valid", 2, 3, 1),  # one sample
    Geometry(6, 6, 3, 1, "valid", 1, 1, 1),
    Geometry(12, 13, 3, 1, "valid", 9, 8, 2),  # enough channels for other methods to step in
    Geometry(10, 10, 3, 1, 1, 8, 8, 4),
    Geometry(11, 6, 3, 1, "same", 8, 9, 2),
    Geometry(7, 8, (2, 3), 1),  # oblong windows and strides
    Geometry(9, 7, (3, 2), (2, 1)),
    Geometry(8, 9, (3, 5), (2, 1), ((1, 2), (0, 0))),  # padding that differs from side to side
    Geometry(6, 5, (1, 4), (1, 3), (0, 2)),
    Geometry(7, 9, (5, 1), (2, 4), "same"),
    Geometry(5, 6, 3, 1, ((2, 0), (1, 0))),
    Geometry(9, 9, 3, 1, dilation=2),  # dilation
    Geometry(10, 9, 2, 3, 1, dilation=3),
    Geometry(9, 12, (3, 2), (2, 1), "same", dilation=(2, 4)),
    Geometry(7, 7, 3, 1, "same", 4, 6, 3, groups=2),  # groups of channels
    Geometry(6, 7, (3, 2), (1, 2), 1, 3, 3, 2, groups=3),
    Geometry(7, 6, 3, 2, "valid", 4, 8, 2, dilation=(1, 2), groups=4),
    Geometry(12, 12, 3, 1, "valid", 16, 16, 2, groups=2),
]

POOL_GEOMETRIES = [
    g
    for g in GEOMETRIES
    if g.dilation == g.groups == 1
    and all(
        max(axis.before, axis.after) <= width // 2 or g.padding == "same"
        for axis, width in zip((g.window.rows, g.window.cols), pair("f", g.f), strict=True)
    )
]

IMPLEMENTATIONS = [name for name in TABLE if TABLE[name].device is None]  # see test_device
FAST_IMPLEMENTATIONS = [name for name in TABLE if name != "naive"]
TINY = Limits(cache=4096, product=64, thin=4096, thin_outer=4096)
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-5}


def images(g: Geometry, dtype: type = np.float64, ties: bool = False) -> np.ndarray:
    """Random images, negative ones too; with ties many pixels are equal."""
    A = np.random.default_rng(1).standard_normal((g.n_m, g.ih, g.iw, g.n_c))
    return (np.round(A) if ties else A).astype(dtype)


def weights(g: Geometry, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Random filters and biases."""
    rng = np.random.default_rng(2)
    W = rng.standard_normal((*pair("f", g.f), g.n_c // g.groups, g.n_f))
    return W.astype(dtype), rng.standard_normal(g.n_f).astype(dtype)


def gradient(shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """A random gradient."""
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def non_contiguous(A: np.ndarray) -> np.ndarray:
    """The same values with gaps between them in memory, and the axes in another order."""
    spread = np.zeros(tuple(2 * size for size in reversed(A.shape)), A.dtype)
    view = spread[tuple(slice(None, None, 2) for _ in A.shape)].T
    view[...] = A
    return view


def orders(A: np.ndarray) -> list[np.ndarray]:
    """The same values in every order of the axes in memory."""
    found = []
    for axes in itertools.permutations(range(A.ndim)):
        inner = np.ascontiguousarray(A.transpose(axes))
        found.append(inner.transpose(np.argsort(axes)))
    return found
