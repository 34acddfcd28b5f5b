"""Windows of an image as the columns of a matrix, in batch-last layout.

``cols[a, b, c, h, w, i]`` is the pixel (a, b) of channel c under the window at row h and column w
of sample i. Read as a matrix it has one row for each weight of a filter and one column for each
position, so a convolution is one product ``W @ cols``. The windows are a view into the image, made
by strides alone; they are copied once, in long runs over the samples.

On the backward pass the gradients of the columns are added to the image square by square of the
window, each one long addition.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnexp.engine.scratch import Array, Scratch

Two = tuple[int, int]


def windows(X: Array, kernel: Two, stride: Two, out: Two, dilation: Two = (1, 1)) -> Array:
    """Return a view (f_h, f_w, n_c, oh, ow, n_m) of padded images (n_c, ih, iw, n_m).

    Parameters
    ----------
    X : array
        Images with their padding.
    kernel, stride, dilation : (rows, columns)
        Of the window.
    out : (oh, ow)
        Positions of the window.
    """
    n_c, _, _, n_m = X.shape
    to_c, to_h, to_w, to_i = X.strides
    inside = (dilation[0] * to_h, dilation[1] * to_w, to_c)
    return as_strided(
        X, (*kernel, n_c, *out, n_m), (*inside, stride[0] * to_h, stride[1] * to_w, to_i)
    )


def columns(view: Array, groups: int, name: str, scratch: Scratch) -> Array:
    """Copy a view of windows into a matrix (K, long), or one for each group of channels.

    K counts the weights of a filter, and the long axis positions and samples.
    """
    f_h, f_w, n_c, *rest = view.shape
    parts = view.reshape(f_h, f_w, groups, n_c // groups, *rest).transpose(2, 0, 1, 3, 4, 5, 6)
    cols = scratch.array(name, parts.shape, view.dtype)
    np.copyto(cols, parts)
    matrix = cols.reshape(groups, f_h * f_w * n_c // groups, -1)
    return matrix if groups > 1 else matrix[0]


def images_like(
    X_shape: tuple[int, ...], kernel: Two, stride: Two, out: Two, dilation: Two = (1, 1)
) -> tuple[int, ...]:
    """Return the shape of memory for images' gradients: whole strides, as far as windows reach."""
    sizes = []
    for size, width, s, places, d in zip(X_shape[1:3], kernel, stride, out, dilation, strict=True):
        last = (width - 1) // s * s if d == 1 else (width - 1) * d
        sizes.append(max(last + places * s, size))
    return X_shape[0], *sizes, X_shape[3]


def add_windows(dX: Array, parts: Array, stride: Two, dilation: Two = (1, 1)) -> None:
    """Add the gradients of windows to images in place.

    Without dilation the pixels of a window are taken in rectangles as large as the stride, which
    do not overlap from one position to the next: for each there is one long addition. With it they
    are taken one by one.

    Parameters
    ----------
    dX : array (n_c, h, w, n_m)
        Gradients of the images, in memory of the shape that `images_like` gives.
    parts : array (f_h, f_w, n_c, oh, ow, n_m)
        Gradients of the windows.
    stride, dilation : (rows, columns)
        Of the window.
    """
    f_h, f_w, n_c, oh, ow, n_m = parts.shape
    (s_h, s_w), (d_h, d_w) = stride, dilation
    tall, wide = (s_h if d_h == 1 else 1), (s_w if d_w == 1 else 1)
    for row in range(0, f_h, tall):
        for col in range(0, f_w, wide):
            square = parts[row : row + tall, col : col + wide]
            top, left = row * d_h, col * d_w
            place = dX[:, top : top + oh * s_h, left : left + ow * s_w]
            view = place.reshape(n_c, oh, s_h, ow, s_w, n_m)
            view = view[:, :, : square.shape[0], :, : square.shape[1]]
            view += square.transpose(2, 3, 0, 4, 1, 5)
