"""Dense layers of ``impl=compiled``: thin products by its own kernel, against NumPy's."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp.engine import Context, shared
from cnnexp.engine.compiled import dense, dense_kernels

SIZES = [  # samples, features, outputs
    (64, 2592, 100),  # several blocks, and a last tile of rows that overlaps
    (16, 1030, 8),
    (20, 1100, 20),  # samples that are no whole rows of a tile: forward by BLAS
    (1, 1100, 20),
]


def a_pass(operation, A, W, b, dZ, **options):
    context = Context(**options)
    params = {"W": W, "b": b}
    Z, kept = operation.forward(A, params, None, context)
    return Z, *operation.backward(dZ, params, None, kept, context)


@pytest.mark.parametrize("batch_last", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_m", "n_in", "n_out"), SIZES)
def test_it_computes_what_numpy_does(n_m, n_in, n_out, dtype, batch_last, monkeypatch):
    used = []
    real = dense_kernels.product
    monkeypatch.setattr(dense_kernels, "product", lambda *a: (used.append(1), real(*a)))
    rng = np.random.default_rng(0)
    A, W, b, dZ = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((n_m, n_in), (n_in, n_out), (n_out,), (n_m, n_out))
    )
    if batch_last:
        A, dZ = (np.ascontiguousarray(array.T).T for array in (A, dZ))
    before = [array.copy() for array in (A, W, b, dZ)]
    found = a_pass(dense.DENSE, A, W, b, dZ)
    of_numpy = shared.NUMPY.operations["dense"]
    expected = a_pass(of_numpy, A, W, b, dZ)
    tolerance = 2e-5 if dtype is np.float32 else 1e-12
    for k in range(2):
        np.testing.assert_allclose(found[k], expected[k], atol=tolerance * n_in, rtol=0)
    for name in "Wb":
        np.testing.assert_allclose(found[2][name], expected[2][name], atol=tolerance * n_in)
    for array, was in zip((A, W, b, dZ), before, strict=True):
        np.testing.assert_array_equal(array, was)
    assert bool(used) == (batch_last and n_m > 1)


def test_few_features_are_left_to_blas():
    assert dense.kernels_for(np.empty((784, 10))) == []
