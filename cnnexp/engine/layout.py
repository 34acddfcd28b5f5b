"""Images with the samples innermost in memory.

NumPy runs at full speed along the innermost axis. With samples innermost every pixel of a window
position is one run over all samples, however the window moves, so slices of the image stay fast
to copy, to compare and to add. The arrays are logically (n_m, rows, columns, channels) outside and
(channels, rows, columns, n_m) inside; one is a transposed view of the other and costs nothing::

    outside  A[i, h, w, c]      inside  X[c, h, w, i]      X = A.transpose(3, 1, 2, 0)
"""

from __future__ import annotations

from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import AxisGroup, Window


def samples_innermost(A: Array) -> Array:
    """Return the view (n_c, h, w, n_m) of images (n_m, h, w, n_c)."""
    return A.transpose(3, 1, 2, 0)


def samples_outermost(X: Array) -> Array:
    """Return the view (n_m, h, w, n_c) of images (n_c, h, w, n_m)."""
    return X.transpose(3, 1, 2, 0)


def padded_innermost(
    A: Array,
    window: Window,
    value: float,
    scratch: Scratch,
    extent: tuple[int, int] | None = None,
) -> Array:
    """Return images (n_c, h, w, n_m), padded with `value`, contiguous in memory.

    Rows and columns are `extent`, or else reach as far as the blocks of the stride groups do.
    Nothing is copied where the images lie in memory like this already.
    """
    X = samples_innermost(A)
    extent = extent or (window.rows.extent, window.cols.extent)
    if X.shape[1:3] == extent and X.flags.c_contiguous:
        return X
    padded = scratch.array("padded", (X.shape[0], *extent, X.shape[3]), A.dtype)
    if X.shape[1:3] != extent:
        padded.fill(value)
    padded[:, window.rows.inside, window.cols.inside, :] = X
    return padded


def unpadded_outermost(padded: Array, window: Window) -> Array:
    """Return the images (n_m, ih, iw, n_c) within padded ones (n_c, h, w, n_m), as a view."""
    return samples_outermost(padded[:, window.rows.inside, window.cols.inside, :])


def blocks(padded: Array, rows: AxisGroup, cols: AxisGroup, f_w: int) -> Array:
    """Return the windows of one stride group as a view (n_c, m_h, f_w, m_w, f_w, n_m).

    The group is one slice of the image. Its rows and columns are cut into blocks, and of each
    block the first `f_w` pixels are under the window.
    """
    n_c, _, _, n_m = padded.shape
    group = padded[:, rows.start : rows.stop, cols.start : cols.stop, :]
    cut = group.reshape(n_c, rows.count, rows.block, cols.count, cols.block, n_m)
    return cut[:, :, :f_w, :, :f_w, :]
