"""The product of a dense layer: a tile of sums stays in registers until they are complete.

A micro-batch is a thin matrix, 64 samples or so by some thousand features. BLAS copies both factors
before it multiplies, into blocks that suit any size; for a thin one that is a good part of the
time. Here nothing is copied: rows of `X` are read as they lie, and the numbers of `W` one by one,
each for a whole row of samples::

                    X (k, n)   row t     x x x x x x x x
    W (m, k)
    . . a . .       sums of eight rows   + a · x x x x x x x x
    . . b . .       of Z (m, n)          + b · x x x x x x x x
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from cnnexp.engine.compiled import tiles
from cnnexp.engine.compiled.kernel import helper, kernel
from cnnexp.engine.compiled.tiles import add_strided_products, store, width

ROWS = 8  # of a tile
BLOCK = 512  # rows of X at a time: with those of W that meet them they stay in the cache

load, load_tile, spread = tiles.load(1), tiles.load(ROWS), tiles.spread(ROWS)


@kernel("in2 out2 in1 int int in1")
def product(X, Z, W, to_row, to_column, bias):
    """Write ``Z = W @ X``, plus a bias for each row.

    The rows of `W` lie `to_row` apart and its columns `to_column`. `Z` has eight rows at least. It
    has whole rows of a tile too, or `X` is a single block: then a last tile that is not whole may
    overlap the one before, which gives the same numbers again.
    """
    k, m = len(X), len(Z)
    for start in range(0, k, BLOCK):
        stop = min(start + BLOCK, k)
        for row in range(0, m - ROWS + 1, ROWS):
            add_rows(X, Z, W, to_row, to_column, bias, row, start, stop)
    if m % ROWS:
        add_rows(X, Z, W, to_row, to_column, bias, m - ROWS, 0, k)


@helper
def add_rows(X, Z, W, to_row, to_column, bias, row, start, stop):
    """Add the products of eight rows of `W` with a block of `X`; the first begins with the bias."""
    n, x, z = X.shape[1], X.reshape(-1), Z.reshape(-1)
    for i in range(0, n, width(x)):
        at = min(i, n - width(x))
        sums = load_tile(z, row * n + at, n, ROWS) if start else spread(bias, row)
        for t in range(start, stop):
            part = load(x, t * n + at, 0, 1)
            sums = add_strided_products(sums, part, W, row * to_row + t * to_column, to_row)
        store(z, row * n + at, n, ROWS, sums)
