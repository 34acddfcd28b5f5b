"""Products of small matrices with long ones.

A convolution multiplies a small matrix, the filters, with a matrix that is long in one axis, the
positions and samples. Many builds of BLAS have separate kernels for small matrices, which are up to
twice as fast on thin shapes, but use them only for products of less than a million multiplications.
So a long product is given to BLAS as a stack of short ones, blocks of the long axis side by side.
Where BLAS has no such kernels this costs a few per cent::

    W (m, k)  @  X (k, …long…)        =    W @ X₁ | W @ X₂ | W @ X₃ | …

References
----------
OpenBLAS, small matrix optimization, https://github.com/OpenMathLib/OpenBLAS/pull/2852
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.context import Array
from cnnexp.engine.machine import Limits


def product(W: Array, X: Array, out: Array, limits: Limits) -> Array:
    """Write ``W @ X`` into `out`, where `X` (k, long) may be long.

    Parameters
    ----------
    W : array (m, k)
        Or a stack of them, which is multiplied without cutting.
    X : array (k, long)
    out : array (m, long)
    limits : Limits
        When and how the long axis is cut.

    Returns
    -------
    array (m, long)
        `out`.
    """
    if W.ndim > 2:
        return np.matmul(W, X, out=out)
    m, k = W.shape
    size = _block(m * k, X.shape[1], limits) if m * k <= limits.thin else 0
    if not size:
        return np.matmul(W, X, out=out)
    whole = X.shape[1] // size * size
    np.matmul(W, _blocks(X, size), out=_blocks(out, size))
    if whole < X.shape[1]:
        np.matmul(W, X[:, whole:], out=out[:, whole:])
    return out


def outer(X: Array, Y: Array, limits: Limits) -> Array:
    """Return ``X @ Y.T`` (m, k) for `X` (m, long) and `Y` (k, long): a sum over the long axis.

    Of stacks of matrices it returns a stack.
    """
    if X.ndim > 2 and len(X) == 1:
        return outer(X[0], Y[0], limits)[None]
    if X.ndim > 2:
        stack: Array = np.matmul(X, Y.swapaxes(1, 2))
        return stack
    m, k = X.shape[0], Y.shape[0]
    size = _block(m * k, X.shape[1], limits) if m * k <= limits.thin_outer else 0
    if not size:
        total: Array = X @ Y.T
        return total
    whole = X.shape[1] // size * size
    total = np.matmul(_blocks(X, size), _blocks(Y, size).transpose(0, 2, 1)).sum(axis=0)
    if whole < X.shape[1]:
        total += X[:, whole:] @ Y[:, whole:].T
    return total


def _block(per_column: int, columns: int, limits: Limits) -> int:
    """Return the columns of a block, or 0 if all of them make one small product."""
    if per_column * columns <= limits.product:
        return 0
    count = min(-(-per_column * columns // limits.product), columns)
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
