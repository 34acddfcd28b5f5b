"""Windows of an image as the columns of a matrix, samples innermost.

``cols[a, b, c, h, w, i]`` is the pixel (a, b) of channel c under the window at row h and column w
of sample i. Read as a matrix it has one row for each weight of a filter and one column for each
place, so a convolution is one product ``W @ cols``. The windows are a view into the image, made by
strides alone; they are copied once, in long runs over the samples.

Backward, the gradients of the columns are added to the image square by square of the window, each
one long addition.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnexp.engine.layout import padded_innermost
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


def padded_input(A_prev: Array, window: Window, value: float, scratch: Scratch) -> Array:
    """Return images (n_c, ih, iw, n_m), contiguous in memory and padded; a view where possible."""
    extent = (window.rows.padded, window.cols.padded)
    return padded_innermost(A_prev, window, value, scratch, extent)


def windows(
    X: Array, f_w: int, s: int, out: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> Array:
    """Return a view (f_w, f_w, n_c, oh, ow, n_m) of images (n_c, ih, iw, n_m).

    Parameters
    ----------
    X : array
        Images with their padding.
    f_w, s : int
        Width of the window and its stride.
    out : (oh, ow)
        Places of the window.
    corner : (row, column)
        Where its first pixel stands at the first place.
    """
    n_c, _, _, n_m = X.shape
    to_c, to_h, to_w, to_i = X.strides
    return as_strided(
        X[:, corner[0] :, corner[1] :],
        (f_w, f_w, n_c, *out, n_m),
        (to_h, to_w, to_c, s * to_h, s * to_w, to_i),
    )


def columns(view: Array, name: str, scratch: Scratch) -> Array:
    """Copy a view of windows into a matrix (f_w · f_w · n_c, oh · ow · n_m)."""
    cols = scratch.array(name, view.shape, view.dtype)
    np.copyto(cols, view)
    return cols.reshape(view.shape[0] * view.shape[1] * view.shape[2], -1)


def images_like(
    X_shape: tuple[int, ...], width: int, s: int, out: tuple[int, int]
) -> tuple[int, ...]:
    """Return the shape of memory for images' gradients: whole strides, as far as windows reach."""
    groups = -(-width // s)
    rows, cols = ((places - 1 + groups) * s for places in out)
    return X_shape[0], max(rows, X_shape[1]), max(cols, X_shape[2]), X_shape[3]


def add_windows(dX: Array, parts: Array, s: int) -> None:
    """Add the gradients of windows to images in place.

    The pixels of a window are taken in squares of s x s, which do not overlap from one place to the
    next: for each there is one long addition, ``ceil(f_w / s)²`` in all.

    Parameters
    ----------
    dX : array (n_c, h, w, n_m)
        Gradients of the images, in memory of the shape that `images_like` gives.
    parts : array (f_w, f_w, n_c, oh, ow, n_m)
        Gradients of the windows.
    s : int
        The stride.
    """
    f_w, _, n_c, oh, ow, n_m = parts.shape
    for row in range(0, f_w, s):
        for col in range(0, f_w, s):
            square = parts[row : row + s, col : col + s]
            place = dX[:, row : row + oh * s, col : col + ow * s]
            view = place.reshape(n_c, oh, s, ow, s, n_m)[
                :, :, : square.shape[0], :, : square.shape[1]
            ]
            view += square.transpose(2, 3, 0, 4, 1, 5)
