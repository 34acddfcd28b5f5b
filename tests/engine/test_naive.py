"""`naive` defines what is right: checked against worked examples, SciPy and finite differences."""

import numpy as np
import pytest
from scipy.signal import correlate

from cnnexp.engine import Context, Window, naive
from tests.cases import in_one_test
from tests.engine.geometries import (
    GEOMETRIES,
    POOL_GEOMETRIES,
    Geometry,
    gradient,
    images,
    weights,
)

SMALL = [g for g in GEOMETRIES if g.ih * g.iw <= 49 and g.n_c <= 4]
SMALL = [*SMALL[::3], *(g for g in SMALL if g.groups > 1 or g.dilation != 1)]


def test_convolution_worked_by_hand():
    A = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    W = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    window = Window.over((3, 3), 2, 1, "valid")
    Z, cache = naive.conv_forward(A, {"W": W, "b": np.array([10.0])}, window, Context())
    # 1·1 + 2·2 + 3·4 + 4·5 = 37, and the bias; 1·2 + 2·3 + 3·5 + 4·6 = 47; 67; 77
    assert Z[0, :, :, 0].tolist() == [[47, 57], [77, 87]]
    dZ = np.array([[1.0, 0.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
    params = {"W": W, "b": np.zeros(1)}
    dA_prev, grads = naive.conv_backward(dZ, params, window, cache, Context())
    dW, db = grads["W"], grads["b"]
    # dW = 1·[[1 2] [4 5]] + 2·[[5 6] [8 9]]
    assert dW[:, :, 0, 0].tolist() == [[11, 14], [20, 23]]
    assert db.tolist() == [3]
    # the filter laid down at the first position once and at the last one twice
    assert dA_prev[0, :, :, 0].tolist() == [[1, 2, 0], [3, 4 + 2, 4], [0, 6, 8]]


def test_max_pooling_worked_by_hand():
    A = np.array([[1.0, 3.0, 3.0], [4.0, 4.0, 0.0]]).reshape(1, 2, 3, 1)
    window = Window.over((2, 3), 2, 1, "valid")
    pooled, cache = naive.max_pool_forward(A, {}, window, Context())
    assert pooled[0, :, :, 0].tolist() == [[4, 4]]
    dA = np.array([[[[5.0], [7.0]]]])
    dA_prev, _ = naive.max_pool_backward(dA, {}, window, cache, Context())
    # The first window holds 1 3 / 4 4: its first 4 in row-major order is at row 1, column 0;
    # the second holds 3 3 / 4 0: its only 4 is at row 1, column 1.
    assert dA_prev[0, :, :, 0].tolist() == [[0, 0, 0], [5, 7, 0]]


def test_average_pooling_worked_by_hand_counts_padding():
    A = np.array([[4.0, 8.0], [12.0, 16.0]]).reshape(1, 2, 2, 1)
    window = Window.over((2, 2), 2, 2, 1)
    pooled, cache = naive.avg_pool_forward(A, {}, window, Context())
    assert pooled[0, :, :, 0].tolist() == [[1, 2], [3, 4]]
    dA = np.ones((1, 2, 2, 1))
    dA_prev, _ = naive.avg_pool_backward(dA, {}, window, cache, Context())
    assert dA_prev[0, :, :, 0].tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_max_pooling_never_takes_the_padding():
    A = -np.ones((1, 3, 3, 1))
    window = Window.over((3, 3), 3, 2, "same")
    pooled, _ = naive.max_pool_forward(A, {}, window, Context())
    assert np.all(pooled == -1)


@in_one_test("g", GEOMETRIES)
def test_convolution_equals_scipy(g: Geometry):
    """A dilated filter is one with zeros between its weights; groups are convolutions apart."""
    A, (W, b), window = images(g), weights(g), g.window
    Z, _ = naive.conv_forward(A, {"W": W, "b": b}, window, Context())
    pads = [(axis.before, axis.after) for axis in (window.rows, window.cols)]
    wide = np.zeros((window.rows.reach, window.cols.reach, *W.shape[2:]))
    wide[:: window.rows.dilation, :: window.cols.dilation] = W
    s_h, s_w = window.stride
    for i, f in np.ndindex(g.n_m, g.n_f):
        first = f // (g.n_f // g.groups) * W.shape[2]
        image = np.pad(A[i, :, :, first : first + W.shape[2]], [*pads, (0, 0)])
        total = correlate(image, wide[..., f], "valid")[::s_h, ::s_w, 0]
        np.testing.assert_allclose(Z[i, :, :, f], total + b[f], atol=1e-10)


def differences(function, array, step=1e-6):
    """Central differences of a number with respect to every element of an array."""
    found = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        below = function()
        array[index] = kept
        found[index] = (above - below) / (2 * step)
    return found


@pytest.mark.parametrize("g", SMALL, ids=str)
@pytest.mark.few(3)
def test_convolution_gradients_equal_finite_differences(g: Geometry):
    g = g._replace(n_m=min(g.n_m, 2), n_f=min(g.n_f, 2) if g.groups == 1 else g.n_f)
    A, (W, b), window = images(g), weights(g), g.window
    params = {"W": W, "b": b}
    Z, cache = naive.conv_forward(A, params, window, Context())
    dZ = gradient(Z.shape)

    def value():
        return float((naive.conv_forward(A, params, window, Context())[0] * dZ).sum())

    dA_prev, grads = naive.conv_backward(dZ, params, window, cache, Context())
    for found, array in ((dA_prev, A), (grads["W"], W), (grads["b"], b)):
        np.testing.assert_allclose(found, differences(value, array), atol=1e-6)


@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("g", [g for g in SMALL if g in POOL_GEOMETRIES], ids=str)
@pytest.mark.few(5)
def test_pooling_gradients_equal_finite_differences(g: Geometry, kind: str):
    A, window = images(g), g.window
    pooled, cache = getattr(naive, f"{kind}_forward")(A, {}, window, Context())
    dA = gradient(pooled.shape)

    def value():
        return float((getattr(naive, f"{kind}_forward")(A, {}, window, Context())[0] * dA).sum())

    dA_prev, _ = getattr(naive, f"{kind}_backward")(dA, {}, window, cache, Context())
    np.testing.assert_allclose(dA_prev, differences(value, A), atol=1e-6)
