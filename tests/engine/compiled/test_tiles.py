"""Operations on tiles: machine code does what their Python says."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp.engine.compiled import registers, tiles
from cnnexp.engine.compiled.kernel import kernel

load2, load_bytes2, full2, whole2 = (
    family(2) for family in (tiles.load, tiles.load_bytes, tiles.full, tiles.whole)
)
one, load3, load6 = (tiles.load(rows) for rows in (1, 3, 6))
gather3, spread3 = tiles.gather(3), tiles.spread(3)


def products(A, W, offsets, out, winners):
    n = tiles.width(A)
    z = tiles.add_products(spread3(W, 2), one(A, 5, 0, 1), W, 7)
    tiles.store(out, 3, n, 3, z)
    pairs = tiles.add_outer(load6(A, 0, 2, 6), load2(A, 1, n, 2), gather3(A, 0, offsets, 1))
    tiles.store(out, 4 * n, n, 5, pairs)
    tiles.add_at(out, 1, offsets, 0, 2, load3(A, 4, 9, 2))
    tiles.add_sums(out, 0, tiles.plus(full2(A, A[3]), tiles.times(load2(A, 0, n, 9), A[1])))


def questions(A, W, offsets, out, winners):
    n = tiles.width(A)
    z, best = load2(A, 0, n, 2), load2(A, 3, n, 2)
    won = tiles.greater(z, best)
    at = tiles.noted(won, 7, load_bytes2(winners, 1, n, 2, A))
    at = tiles.with_bit(tiles.above(best, A[2]), 3, at)
    tiles.store(winners, 0, n, 1, at)
    tiles.store(out, 0, n, 2, tiles.at_least(tiles.chosen(won, z, best), A[2]))
    tiles.store(out, 2 * n, n, 2, tiles.only(tiles.has_bit(at, 3), z))
    tiles.store(out, 4 * n, n, 2, tiles.only(tiles.is_number(at, 7), best))
    tiles.store(out, 6 * n, n, 2, tiles.only(tiles.is_number(whole2(A, 255), 255), best))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [products, questions])
def test_machine_code_does_what_the_python_says(function, dtype):
    rng = np.random.default_rng(0)
    A, W, out = (rng.standard_normal(200).astype(dtype) for _ in range(3))
    if function is questions:
        A[[1, 4, 9, 30]] = np.nan, np.inf, -np.inf, A[33]
    offsets, winners = np.array([3, 40, 17, 90, 2]), rng.integers(0, 256, 60).astype(np.uint8)
    expected, expected_winners = out.copy(), winners.copy()
    function(A, W, offsets, expected, expected_winners)
    kernel("in1 in1 ints1 out1 bytes1")(function)(A, W, offsets, out, winners)
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    np.testing.assert_array_equal(winners, expected_winners)


def test_a_row_is_a_register():
    assert registers.row_bytes() in (32, 64)
    assert registers.lanes(4) == 2 * registers.lanes(8)
