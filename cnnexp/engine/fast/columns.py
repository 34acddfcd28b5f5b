"""Windows of an image as the columns of a matrix, in batch-last layout.

``cols[a, b, c, h, w, i]`` is the pixel (a, b) of channel c under the window at row h and column w
of sample i. Read as a matrix it has one row for each weight of a filter and one column for each
position, so a convolution is one product ``W @ cols``. The windows are a view into the image, made
by strides alone; they are copied once, in long runs over the samples.

On the backward pass the gradients of the columns are added to the image square by square of the
window, each one long addition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.window import Window

Two = tuple[int, int]


class Columns(NamedTuple):
    """The windows on padded images (n_c, ih, iw, n_m); pairs are (rows, columns).

    Attributes
    ----------
    kernel, stride : (int, int)
        Pixels of a window, and from one window to the next.
    out : (int, int)
        Positions of the window, (oh, ow).
    dilation : (int, int)
        Pixels of the image from one pixel of a window to the next.
    """

    kernel: Two
    stride: Two
    out: Two
    dilation: Two = (1, 1)

    @classmethod
    def of(cls, window: Window) -> Columns:
        """Return those of a layer's window."""
        return cls(window.kernel, window.stride, window.out, window.dilation)

    def view(self, X: Array, xp: Any = np) -> Array:
        """Return the windows as a view (f_h, f_w, n_c, oh, ow, n_m); `xp` is the module of `X`."""
        n_c, _, _, n_m = X.shape
        to_c, to_h, to_w, to_i = X.strides
        (d_h, d_w), (s_h, s_w) = self.dilation, self.stride
        strides = (d_h * to_h, d_w * to_w, to_c, s_h * to_h, s_w * to_w, to_i)
        shape = (*self.kernel, n_c, *self.out, n_m)
        return xp.lib.stride_tricks.as_strided(X, shape, strides)  # type: ignore[no-any-return]

    def matrix(self, X: Array, groups: int, context: Context) -> Array:
        """Copy the windows into a matrix (K, long), or one for each group of channels.

        K counts the weights of a filter, and the long axis positions and samples.
        """
        view = self.view(X, context.xp)
        f_h, f_w, n_c, *rest = view.shape
        by_group = view.reshape(f_h, f_w, groups, n_c // groups, *rest)
        by_group = by_group.transpose(2, 0, 1, 3, 4, 5, 6)
        cols = context.array("cols", by_group.shape, X.dtype)
        np.copyto(cols, by_group)
        matrix: Array = cols.reshape(groups, f_h * f_w * n_c // groups, -1)
        return matrix if groups > 1 else matrix[0]

    def add(
        self, d_cols: Array, X_shape: tuple[int, ...], context: Context, groups: int = 1
    ) -> Array:
        """Return the gradients of images, given those of their windows.

        Parameters
        ----------
        d_cols : array
            Gradients of the windows, in the shape and order of `matrix` or of `view`.
        X_shape : tuple of int
            Of the images, padding included.
        context : Context
            Where the memory comes from.
        groups : int
            As in `matrix`.

        Returns
        -------
        array (n_c, h, w, n_m)
            As large as the images, or larger: whole strides, as far as windows reach.
        """
        sizes = []
        for size, f, s, positions, d in zip(X_shape[1:3], *self, strict=True):
            last = (f - 1) // s * s if d == 1 else (f - 1) * d
            sizes.append(max(last + positions * s, size))
        dX = context.zeros("dX", (X_shape[0], *sizes, X_shape[3]), d_cols.dtype)
        by_group = dX.reshape(groups, -1, *dX.shape[1:])
        parts = d_cols.reshape(groups, *self.kernel, -1, *self.out, X_shape[3])
        for part, d_part in zip(by_group, parts, strict=True):
            self._add(part, d_part)
        return dX

    def _add(self, dX: Array, parts: Array) -> None:
        """Add gradients (f_h, f_w, n_c, oh, ow, n_m) in place.

        Without dilation the pixels of a window are taken in rectangles as large as the stride,
        which do not overlap from one position to the next: for each there is one long addition.
        With it they are taken one by one.
        """
        (f_h, f_w), (s_h, s_w), (oh, ow), (d_h, d_w) = self
        tall, wide = (s_h if d_h == 1 else 1), (s_w if d_w == 1 else 1)
        for row in range(0, f_h, tall):
            for col in range(0, f_w, wide):
                square = parts[row : row + tall, col : col + wide]
                top, left = row * d_h, col * d_w
                part = dX[:, top : top + oh * s_h, left : left + ow * s_w]
                view = part.reshape(len(dX), oh, s_h, ow, s_w, -1)
                view = view[:, :, : square.shape[0], :, : square.shape[1]]
                view += square.transpose(2, 3, 0, 4, 1, 5)
