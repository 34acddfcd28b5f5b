"""Products of small matrices with long ones.

A convolution multiplies a small matrix, the filters, with a matrix that is long in one axis, the
places and samples. BLAS is made for large matrices; many builds have kernels of their own for small
ones, which are up to twice as fast on thin shapes but are only used for whole products below a
million multiplications. So a long product is given to BLAS as a stack of short ones, blocks of the
long axis side by side. Where there are no such kernels it costs a few per cent::

    W (m, k)  @  X (k, …long…)        =    W @ X₁ | W @ X₂ | W @ X₃ | …

References
----------
OpenBLAS, small matrix optimization, https://github.com/OpenMathLib/OpenBLAS/pull/2852
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.scratch import Array

MOST_MULTIPLICATIONS = 1_000_000  # of one product, for the kernels for small matrices
THIN = 4096  # m · k: beyond it BLAS is at its best by itself
THIN_OUTER = 1600  # the same for a sum over the long axis


def product(W: Array, X: Array, out: Array) -> Array:
    """Write ``W @ X`` into `out`, where `X` (k, long) may be long.

    Parameters
    ----------
    W : array (m, k)
    X : array (k, long)
    out : array (m, long)

    Returns
    -------
    array (m, long)
        `out`.
    """
    m, k = W.shape
    size = _block(m * k, X.shape[1]) if m * k <= THIN else 0
    if not size:
        return np.matmul(W, X, out=out)
    whole = X.shape[1] // size * size
    np.matmul(W, _blocks(X, size), out=_blocks(out, size))
    if whole < X.shape[1]:
        np.matmul(W, X[:, whole:], out=out[:, whole:])
    return out


def outer(X: Array, Y: Array) -> Array:
    """Return ``X @ Y.T`` (m, k) for `X` (m, long) and `Y` (k, long): a sum over the long axis."""
    m, k = X.shape[0], Y.shape[0]
    size = _block(m * k, X.shape[1]) if m * k <= THIN_OUTER else 0
    if not size:
        total: Array = X @ Y.T
        return total
    whole = X.shape[1] // size * size
    total = np.matmul(_blocks(X, size), _blocks(Y, size).transpose(0, 2, 1)).sum(axis=0)
    if whole < X.shape[1]:
        total += X[:, whole:] @ Y[:, whole:].T
    return total


def _block(per_column: int, columns: int) -> int:
    """Return the columns of a block, or 0 if all of them make one small product."""
    if per_column * columns <= MOST_MULTIPLICATIONS:
        return 0
    count = -(-per_column * columns // MOST_MULTIPLICATIONS)
    while columns % count and columns // count > 256:
        count += 1  # blocks of one size leave no rest
    return columns // count


def _blocks(X: Array, size: int) -> Array:
    """Return a view (blocks, rows, size) of the whole blocks of a matrix (rows, long)."""
    rows, count = X.shape[0], X.shape[1] // size
    to_row, to_column = X.strides
    return np.lib.stride_tricks.as_strided(
        X, (count, rows, size), (size * to_column, to_row, to_column)
    )
