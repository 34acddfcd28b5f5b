"""Images in batch-last layout.

NumPy runs at full speed along the axis that is contiguous in memory. In batch-last layout (CHWN)
that is the samples: every pixel of a window position is one run over all samples, however the
window moves, so slices of the image stay fast to copy, to compare and to add. The arrays are
logically (n_m, rows, columns, channels) outside and (channels, rows, columns, n_m) inside; one is a
transposed view of the other and costs nothing::

    outside  A[i, h, w, c]      inside  X[c, h, w, i]      X = A.transpose(3, 1, 2, 0)
"""

from __future__ import annotations

from cnnexp.engine.context import Array, Context
from cnnexp.engine.window import AxisGroup, Window


def batch_last(A: Array) -> Array:
    """Return the view (n_c, …, n_m) of images or features (n_m, …, n_c)."""
    return A.swapaxes(0, -1)


def batch_first(X: Array) -> Array:
    """Return the view (n_m, …, n_c) of images or features (n_c, …, n_m)."""
    return X.swapaxes(0, -1)


def padded_batch_last(
    A: Array,
    window: Window,
    value: float,
    context: Context,
    extent: tuple[int, int] | None = None,
) -> Array:
    """Return images (n_c, h, w, n_m), padded with `value`, contiguous in memory.

    Rows and columns are `extent`, or else the image with its padding. Nothing is copied if the
    images already have this layout.
    """
    X = batch_last(A)
    extent = extent or (window.rows.padded, window.cols.padded)
    if X.shape[1:3] == extent and X.flags.c_contiguous:
        return X
    padded = context.array("padded", (X.shape[0], *extent, X.shape[3]), A.dtype)
    if X.shape[1:3] != extent:
        padded.fill(value)
    padded[:, window.rows.inside, window.cols.inside, :] = X
    return padded


def unpadded(padded: Array, window: Window) -> Array:
    """Return the images (n_m, ih, iw, n_c) within padded ones (n_c, h, w, n_m), as a view."""
    return batch_first(padded[:, window.rows.inside, window.cols.inside, :])


def blocks(padded: Array, group: tuple[AxisGroup, AxisGroup], window: Window) -> Array:
    """Return the windows of one stride group as a view (n_c, m_h, f_h, m_w, f_w, n_m).

    The group is one slice of the image. Its rows and columns are cut into blocks, and the window
    lies in the first pixels of each block.
    """
    rows, cols = group
    n_c, _, _, n_m = padded.shape
    part = padded[:, rows.start : rows.stop, cols.start : cols.stop, :]
    cut = part.reshape(n_c, rows.count, rows.block, cols.count, cols.block, n_m)
    return cut[:, :, window.rows.at(0), :, window.cols.at(0), :]


def blocks_by_channels(
    padded: Array, group: tuple[AxisGroup, AxisGroup], window: Window, groups: int
) -> Array:
    """Return the windows of one stride group by group of channels, as a view.

    Its axes are (groups, f_h, f_w, n_c / groups, m_h, m_w, n_m): read as matrices, a row for each
    weight of a filter and a column for each position and sample.
    """
    view = blocks(padded, group, window)
    return view.reshape(groups, -1, *view.shape[1:]).transpose(0, 3, 5, 1, 2, 4, 6)
