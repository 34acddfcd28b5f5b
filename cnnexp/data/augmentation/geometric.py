"""Geometric augmentations: what moves pixels to other positions.

Each says where in the image a pixel of the result comes from. Neighbours in the list are composed,
and the image is interpolated once, so it is blurred once::

    result (r, c)  ──last──> … ──first──> image (r', c')      result[r, c] = image[r', c']

Shift, rotation, scale and shear are affine maps; those of an image are multiplied, and so are one
map. An elastic deformation adds a displacement to every position.

Images are interpolated bilinearly, all of a mini-batch together and all channels at the same
positions, by NumPy: SciPy's `ndimage.affine_transform` gives the same numbers image by image, and
takes about three times as long for images of 28x28 pixels (``python -m experiments.benchmarks
augmentation``). SciPy does the smoothing.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnexp.data.augmentation.base import (
    AUGMENTATIONS,
    Array,
    Augmentation,
    Memory,
    Pixels,
    between,
    check_range,
)


@dataclass(frozen=True)
class Geometric(Augmentation):
    """Base of all augmentations that move pixels."""

    @abstractmethod
    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return where the pixels of the results come from.

        Positions are (row, column) in pixels from the centre of the image; rows grow downwards.

        Parameters
        ----------
        U : array (n_m, draws)
            Random numbers of each image, at least 0 and below 1.
        image_shape : tuple of int
            Rows, columns and channels.

        Returns
        -------
        array (n_m, 2, 3) or (n_m, 2, ih, iw)
            An affine map ``(A | b)`` of each image, ``position' = A · position + b``; or what is
            added to the position of each pixel, first in rows and then in columns.
        """

    def apply(self, X: Array, U: Array, pixels: Pixels) -> Array:
        """Return images whose pixels are moved."""
        return warp(X, [self.move(U, X.shape[1:])], pixels.background)


@AUGMENTATIONS.register("shift")
@dataclass(frozen=True)
class Shift(Geometric):
    """Moves an image by a random distance, up or down and to the left or right.

    Parameters
    ----------
    pixels : float
        The largest distance in rows, and in columns; fractions are interpolated.

    References
    ----------
    Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998
    """

    pixels: float = 2.0

    def __post_init__(self) -> None:
        check_range("pixels", self.pixels, 0)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 2: rows and columns."""
        return 2

    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return the shifts, backwards."""
        M = np.zeros((len(U), 2, 3))
        M[:, 0, 0] = M[:, 1, 1] = 1
        M[:, :, 2] = -between(U, -self.pixels, self.pixels)
        return M


@AUGMENTATIONS.register("rotate")
@dataclass(frozen=True)
class Rotate(Geometric):
    """Turns an image about its centre, by a random angle to either side.

    Parameters
    ----------
    degrees : float
        The largest angle, from 0 to 180.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, Best Practices for Convolutional Neural Networks Applied to
    Visual Document Analysis, 2003, https://doi.org/10.1109/ICDAR.2003.1227801
    """

    degrees: float = 10.0

    def __post_init__(self) -> None:
        check_range("degrees", self.degrees, 0, 180)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 1: the angle."""
        return 1

    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return rotations; a positive angle turns the image anticlockwise."""
        angle = between(U[:, 0], -math.radians(self.degrees), math.radians(self.degrees))
        M = np.zeros((len(U), 2, 3))
        M[:, 0, 0] = M[:, 1, 1] = np.cos(angle)
        M[:, 0, 1] = np.sin(angle)
        M[:, 1, 0] = -M[:, 0, 1]
        return M


@AUGMENTATIONS.register("scale")
@dataclass(frozen=True)
class Scale(Geometric):
    """Enlarges or shrinks an image about its centre, by a random factor.

    Parameters
    ----------
    factor : float
        The largest, at least 1; 1.2 draws from 1/1.2 to 1.2, enlarging as often as shrinking.
    separate : bool
        Whether rows and columns have factors of their own.

    References
    ----------
    P. Simard et al., Best Practices for Convolutional Neural Networks, 2003
    """

    factor: float = 1.1
    separate: bool = False

    def __post_init__(self) -> None:
        check_range("factor", self.factor, 1)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 2: the factors of rows and of columns."""
        return 2

    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return the scalings, backwards."""
        largest = math.log(self.factor)
        M = np.zeros((len(U), 2, 3))
        M[:, 0, 0] = np.exp(-between(U[:, 0], -largest, largest))
        M[:, 1, 1] = np.exp(-between(U[:, int(self.separate)], -largest, largest))
        return M


@AUGMENTATIONS.register("shear")
@dataclass(frozen=True)
class Shear(Geometric):
    """Slants an image to the left or right, as handwriting slants.

    Parameters
    ----------
    degrees : float
        The largest angle between an upright line and where it is moved to, from 0 to 60.

    References
    ----------
    Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998
    """

    degrees: float = 10.0

    def __post_init__(self) -> None:
        check_range("degrees", self.degrees, 0, 60)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return 1: the angle."""
        return 1

    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return the shears; a positive angle moves the upper part to the right."""
        angle = between(U[:, 0], -math.radians(self.degrees), math.radians(self.degrees))
        M = np.zeros((len(U), 2, 3))
        M[:, 0, 0] = M[:, 1, 1] = 1
        M[:, 1, 0] = np.tan(angle)
        return M


@AUGMENTATIONS.register("elastic")
@dataclass(frozen=True)
class Elastic(Geometric):
    """Bends an image: every pixel moves by a random distance, its neighbours by similar ones.

    Random numbers for all pixels are smoothed by a Gaussian, and scaled so that the distances have
    the standard deviation that was asked for, at the edges too.

    Parameters
    ----------
    pixels : float
        Standard deviation of the distance in rows, and in columns.
    smoothness : float
        Standard deviation of the Gaussian in pixels: larger ones bend longer parts of a line alike.

    References
    ----------
    P. Simard, D. Steinkraus, J. Platt, Best Practices for Convolutional Neural Networks Applied to
    Visual Document Analysis, 2003, https://doi.org/10.1109/ICDAR.2003.1227801
    """

    pixels: float = 1.0
    smoothness: float = 4.0

    def __post_init__(self) -> None:
        check_range("pixels", self.pixels, 0)
        check_range("smoothness", self.smoothness, 0.1)

    def draws(self, image_shape: tuple[int, ...]) -> int:
        """Return two for each pixel."""
        return 2 * image_shape[0] * image_shape[1]

    def move(self, U: Array, image_shape: tuple[int, ...]) -> Array:
        """Return the displacements."""
        ih, iw = image_shape[:2]
        noise = np.subtract(U.reshape(-1, 2, ih, iw), 0.5, dtype=np.float32, casting="same_kind")
        noise *= np.float32(math.sqrt(12) * self.pixels)  # uniform numbers have a variance of 1/12
        found: Array = smoother(ih, self.smoothness) @ noise @ smoother(iw, self.smoothness).T
        return found


@functools.lru_cache(maxsize=16)
def smoother(size: int, deviation: float) -> Array:
    """Return the matrix that smooths `size` numbers by a Gaussian and keeps their variance."""
    reach = int(4 * deviation + 0.5)  # the Gaussian is cut off there, as SciPy's is
    weights = np.exp(-0.5 / (deviation * deviation) * np.arange(-reach, reach + 1) ** 2)
    weights /= weights.sum()
    distances = np.subtract.outer(np.arange(size), np.arange(size))
    smoothing = np.where(
        abs(distances) <= reach, weights[np.clip(distances + reach, 0, 2 * reach)], 0
    )
    smoothing /= np.sqrt(np.square(smoothing).sum(axis=1, keepdims=True))
    found: Array = smoothing.astype(np.float32)
    return found


def warp(
    X: Array, moves: Sequence[Array], background: float, memory: Memory | None = None
) -> Array:
    """Return images that are moved, interpolated once.

    Parameters
    ----------
    X : array (n_m, ih, iw, n_c)
        Images.
    moves : sequence of arrays (n_m, 2, 3) or (n_m, 2, ih, iw)
        What `Geometric.move` returns, in the order in which the images are moved.
    background : float
        The value of all pixels outside an image.
    memory : Memory, optional
        What a later call may use again.

    Notes
    -----
    Displacements stay with the pixels of the result, also when other moves come after them in the
    list: those are smooth, and the displacements random.
    """
    memory = memory or Memory()
    rows, columns = positions(moves, X.shape[1:3], X.dtype, memory)
    return interpolate(X, rows, columns, background, memory)


def positions(
    moves: Sequence[Array], size: tuple[int, int], dtype: np.dtype[np.floating], memory: Memory
) -> tuple[Array, Array]:
    """Return rows and columns (n_m, ih, iw) in the images, one for each pixel of the results."""
    ih, iw = size
    centre = dtype.type((ih - 1) / 2), dtype.type((iw - 1) / 2)
    # (1, ih, 1) and (1, 1, iw): a first affine map works on rows and on columns, not on all pixels
    rows = (np.arange(ih, dtype=dtype) - centre[0])[None, :, None]
    columns = (np.arange(iw, dtype=dtype) - centre[1])[None, None, :]
    for at, move in enumerate(reversed(composed(moves))):
        move = move.astype(dtype, copy=False)
        if move.ndim == 4:
            terms = [(rows, move[:, 0]), (columns, move[:, 1])]
        else:
            A, b = move[:, :, :2, None, None], move[:, :, 2, None, None]
            terms = [(A[:, k, 0] * rows, A[:, k, 1] * columns + b[:, k]) for k in range(2)]
        rows, columns = memory.array(f"positions {at}", (2, len(move), ih, iw), dtype)
        for place, (first, second) in zip((rows, columns), terms, strict=True):
            np.add(first, second, out=place)
    rows += centre[0]
    columns += centre[1]
    return rows, columns


def composed(moves: Sequence[Array]) -> list[Array]:
    """Return moves in which neighbours that are affine are one map."""
    found: list[Array] = []
    for move in moves:
        if found and found[-1].ndim == move.ndim == 3:
            first = found[-1]
            product = first[:, :, :2] @ move  # of the matrices, and of the first with the shift
            product[:, :, 2] += first[:, :, 2]
            found[-1] = product
        else:
            found.append(move)
    return found


def interpolate(X: Array, rows: Array, columns: Array, background: float, memory: Memory) -> Array:
    """Return the pixels of images (n_m, ih, iw, n_c) at positions (n_m, ih, iw), bilinearly.

    Outside an image is background; between its edge and there it is interpolated too. The positions
    are overwritten.
    """
    n_m, ih, iw, n_c = X.shape
    padded = memory.array("padded", (n_c, n_m, ih + 2, iw + 2), X.dtype)
    padded.fill(background)
    padded[:, :, 1:-1, 1:-1] = X.transpose(3, 0, 1, 2)
    corner = memory.array("corner", rows.shape, np.dtype(np.intp))
    above, below, right = memory.array("pixels", (3, *rows.shape), X.dtype)
    # `above` and `below` hold the padded row and column at or before each position, for a moment.
    _cut(rows, ih, above)
    _cut(columns, iw, below)
    wide = iw + 2
    above *= X.dtype.type(wide)
    above += below
    np.copyto(corner, above, casting="unsafe")  # exact: an image has few pixels
    corner += (np.arange(n_m) * ((ih + 2) * wide))[:, None, None]
    A = np.empty(X.shape, X.dtype)
    for channel in range(n_c):
        flat = padded[channel].reshape(-1)
        for out, first in ((above, 0), (below, wide)):
            flat[first:].take(corner, out=out, mode="clip")
            flat[first + 1 :].take(corner, out=right, mode="clip")
            _blend(out, right, columns)
        _blend(above, below, rows)
        A[..., channel] = above
    return A


def _cut(position: Array, size: int, whole: Array) -> None:
    """Give the padded pixel at or before each position, and leave the fraction from there on."""
    kind = position.dtype.type
    position += kind(1)
    np.maximum(position, 0, out=position)
    np.minimum(position, np.nextafter(kind(size + 1), kind(0)), out=position)
    np.floor(position, out=whole)
    position -= whole


def _blend(first: Array, second: Array, fraction: Array) -> None:
    """Turn the first into numbers between the two; the second is overwritten."""
    second -= first
    second *= fraction
    first += second
