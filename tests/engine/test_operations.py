"""Every implementation, over the whole table of geometries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.engine import Context, Limits, Window
from cnnexp.engine.products import outer, product
from cnnexp.errors import ShapeError
from tests.cases import in_one_test
from tests.engine.geometries import (
    FAST_IMPLEMENTATIONS,
    GEOMETRIES,
    IMPLEMENTATIONS,
    POOL_GEOMETRIES,
    TINY,
    TOLERANCE,
    Geometry,
    gradient,
    images,
    non_contiguous,
    orders,
    weights,
)

OPERATIONS = ["conv", "max_pool", "avg_pool"]
CASES = [
    (operation, g)
    for operation in OPERATIONS
    for g in (GEOMETRIES if operation == "conv" else POOL_GEOMETRIES)
]
FEW = CASES[::7]
HERE = [name for name in FAST_IMPLEMENTATIONS if not TABLE[name].missing()]


def run(impl, operation, g, A, W, b, dZ=None, context=None, **flags):
    """Forward and backward of one operation: its result and all its gradients."""
    found, _ = TABLE[impl].find(operation)
    context = context or Context(reuse=True, **flags)
    params = {"W": W, "b": b} if operation == "conv" else {}
    Z, cache = found.forward(A, params, g.window, context)
    Z = Z.copy()
    dZ = gradient(Z.shape, Z.dtype.type) if dZ is None else dZ
    dA_prev, grads = found.backward(dZ, params, g.window, cache, context)
    return [Z, dA_prev.copy(), *(grads[name].copy() for name in params)]


def assert_close(found, expected, tolerance, name=""):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        scale = max(1.0, float(np.abs(other).max(initial=0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=name)


def check_all(found_by, expected, dtype):
    """Compare the arrays of each implementation with those of `naive`."""
    for name, found in found_by.items():
        assert all(array.dtype == dtype for array in found), name
        assert_close(found, expected, TOLERANCE[dtype], name)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@in_one_test(("operation", "g"), CASES)
def test_equals_naive(operation: str, g: Geometry, dtype: type):
    """With tiny limits products are cut into blocks, and tiles of Winograd's method too."""
    arrays = (images(g, dtype), *weights(g, dtype))
    found = {impl: run(impl, operation, g, *arrays) for impl in HERE}
    found["fast, tiny limits"] = run("fast", operation, g, *arrays, limits=TINY)
    check_all(found, run("naive", operation, g, *arrays), dtype)


@pytest.mark.parametrize("columns", [1, 5, 40, 1001])
def test_products_in_blocks(columns: int):
    rng = np.random.default_rng(0)
    W, X, Y = (rng.standard_normal(shape) for shape in ((3, 4), (4, columns), (3, columns)))
    for limits in (Limits(), TINY, Limits(product=1000)):
        np.testing.assert_allclose(product(W, X, np.empty((3, columns)), limits), W @ X)
        np.testing.assert_allclose(outer(Y, X, limits), Y @ X.T, atol=1e-12)


def test_tiny_limits_enter_the_blocked_branches(monkeypatch):
    """What the test above is for happens: stacks of products, and several blocks of tiles."""
    from cnnexp.engine import products
    from cnnexp.engine.fast import winograd

    stacks, blocks = [], []
    true_blocks, true_init = products._blocks, winograd.Convolution.__init__
    monkeypatch.setattr(products, "_blocks", lambda X, n: stacks.append(n) or true_blocks(X, n))

    def init(self, *arguments):
        true_init(self, *arguments)
        blocks.append(len(self.blocks))

    monkeypatch.setattr(winograd.Convolution, "__init__", init)
    for g in (g for g in GEOMETRIES if g.n_c >= 8 or g.n_c == 2):
        run("fast", "conv", g, images(g), *weights(g), limits=TINY)
    assert len(stacks) > 20
    assert max(blocks) > 1


@pytest.mark.parametrize("operation", OPERATIONS)
@in_one_test("g", POOL_GEOMETRIES[::2])
def test_equals_naive_on_ties(operation: str, g: Geometry):
    arrays = (images(g, ties=True), *weights(g))
    found = {impl: run(impl, operation, g, *arrays) for impl in HERE}
    check_all(found, run("naive", operation, g, *arrays), np.float64)


@pytest.mark.parametrize("impl", FAST_IMPLEMENTATIONS)
@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from(["valid", "same", 0, 1, (2, 1), ((0, 2), (1, 0))]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
)
def test_equals_naive_for_any_geometry(impl, image, f, s, padding, dilation, counts):
    groups, n_c, n_f, n_m = counts
    g = Geometry(*image, f, s, padding, groups * n_c, groups * n_f, n_m, dilation, groups)
    try:
        g.window  # noqa: B018 - it may not fit
    except ShapeError:
        return
    A, (W, b) = images(g), weights(g)
    for operation in OPERATIONS:
        if operation != "conv" and (groups > 1 or dilation != (1, 1) or padding not in (0, "same")):
            continue
        expected = run("naive", operation, g, A, W, b)
        assert_close(run(impl, operation, g, A, W, b), expected, 1e-10)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@in_one_test(("operation", "g"), CASES[::2])
def test_directional_gradients(operation: str, g: Geometry, impl: str):
    """Along a random direction the value changes as the gradients say (two evaluations)."""
    step = 1e-6
    rng = np.random.default_rng(4)
    A, (W, b) = images(g), weights(g)
    inputs = [A, W, b] if operation == "conv" else [A]
    found = run(impl, operation, g, A, W, b)
    dZ, gradients = gradient(found[0].shape), found[1:]
    directions = [rng.standard_normal(array.shape) for array in inputs]
    values = []
    for sign in (1, -1):
        moved = [a + sign * step * d for a, d in zip(inputs, directions, strict=True)]
        moved += [W, b][len(moved) - 1 :] if len(moved) < 3 else []
        values.append(float((run(impl, operation, g, *moved)[0] * dZ).sum()))
    expected = sum(float((x * d).sum()) for x, d in zip(gradients, directions, strict=True))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@in_one_test(("operation", "g"), FEW)
def test_inputs_are_left_alone(operation: str, g: Geometry, impl: str):
    A, (W, b) = images(g), weights(g)
    out = run(impl, operation, g, A, W, b)[0]
    dZ = gradient(out.shape)
    kept = [array.copy() for array in (A, W, b, dZ)]
    for array in (A, W, b, dZ):
        array.flags.writeable = False
    run(impl, operation, g, A, W, b, dZ)
    for array, before in zip((A, W, b, dZ), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@in_one_test(("operation", "g"), FEW)
def test_memory_order_does_not_matter(operation: str, g: Geometry, impl: str):
    A, (W, b) = images(g), weights(g)
    expected = run(impl, operation, g, A, W, b)
    dZ = gradient(expected[0].shape)
    for other in [*orders(A)[::5], non_contiguous(A)]:
        found = run(impl, operation, g, other, W, b, dZ)
        assert_close(found, expected, 1e-12)
    for other in [*orders(dZ)[::5], non_contiguous(dZ)]:
        found = run(impl, operation, g, A, W, b, other)
        assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@in_one_test(("operation", "g"), FEW)
def test_a_batch_equals_its_micro_batches(operation: str, g: Geometry, impl: str):
    g = g._replace(n_m=5)
    A, (W, b) = images(g), weights(g)
    whole = run(impl, operation, g, A, W, b)
    dZ = gradient(whole[0].shape)
    for cuts in ([slice(0, 2), slice(2, 5)], [slice(k, k + 1) for k in range(5)]):
        parts = [run(impl, operation, g, A[at], W, b, dZ[at]) for at in cuts]
        joined = [np.concatenate([part[k] for part in parts]) for k in (0, 1)]
        summed = [sum(part[k] for part in parts) for k in range(2, len(whole))]
        assert_close([*joined, *summed], whole, 1e-10)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@in_one_test(("operation", "g"), FEW)
def test_reused_memory_equals_fresh(operation: str, g: Geometry, impl: str):
    (W, b), context = weights(g), Context(reuse=True)
    for n_m in (4, 2, 5):  # memory that is too large, and too small
        A = images(g._replace(n_m=n_m))
        fresh = run(impl, operation, g, A, W, b, context=Context(reuse=False))
        reused = run(impl, operation, g, A, W, b, context=context)
        for one, other in zip(reused, fresh, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_gradient_of_the_input_is_left_out_where_it_is_not_needed(impl: str):
    g = GEOMETRIES[3]
    A, (W, b), (operation, origin) = images(g), weights(g), TABLE[impl].find("conv")
    params, context = {"W": W, "b": b}, Context(need_dA_prev=False)
    Z, cache = operation.forward(A, params, g.window, context)
    dA_prev, grads = operation.backward(gradient(Z.shape), params, g.window, cache, context)
    assert dA_prev is None
    assert grads["W"].shape == W.shape
    assert origin == impl


def test_fast_pooling_keeps_nothing_where_nothing_is_asked_for():
    g = GEOMETRIES[4]
    operation, _ = TABLE["fast"].find("max_pool")
    _, (greater, _) = operation.forward(images(g), {}, g.window, Context(keep_cache=False))
    assert greater is None


def test_iterations_of_sg_do_not_depend_on_sizes(monkeypatch):
    """One matrix product forward per stride group, whatever else is large."""
    calls = []
    true_matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda *a, **k: calls.append(1) or true_matmul(*a, **k))
    for n, n_c, n_f, n_m in ((8, 1, 1, 1), (16, 3, 5, 7)):
        for f_w, s, groups in ((3, 1, 9), (3, 2, 4), (3, 3, 1), (2, 5, 1)):
            calls.clear()
            g = Geometry(n, n, f_w, s, "valid", n_c, n_f, n_m)
            W, b = weights(g)
            forward = TABLE["sg"].find("conv")[0].forward
            forward(images(g), {"W": W, "b": b}, g.window, Context())
            assert len(calls) == groups == Window.over((n, n), f_w, s, "valid").group_count
