"""Numbers at the edges, under every implementation in both precisions."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, CrossEntropy, Dense, MaxPool2D, Network, Softmax
from cnnexp.engine import Context, Limits
from cnnexp.engine.fast import winograd
from cnnexp.errors import ShapeError
from cnnexp.nn.losses import error
from tests.engine.geometries import (
    GEOMETRIES,
    IMPLEMENTATIONS,
    TINY,
    Geometry,
    gradient,
    images,
    weights,
)
from tests.engine.test_operations import run
from tests.nn.extremes import CASES, faults, made, ours, pytorch

DTYPES = ["float64", "float32"]
WIDE = next(g for g in GEOMETRIES if winograd.suits(weights(g)[0], g.n_c, g.window))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_is_what_pytorch_gives(name, dtype):
    pytest.importorskip("torch")
    wanted = pytorch(name, dtype)
    assert {impl: faults(ours(name, impl, dtype), wanted, dtype) for impl in IMPLEMENTATIONS} == {
        impl: [] for impl in IMPLEMENTATIONS
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_large_logits_by_hand(dtype):
    """Losses are log(1 + e⁻²⁰⁰⁰⁰ + e⁻¹⁰⁰⁰⁰) = 0, 20,000 and 10,000; a gradient is p - onehot."""
    Z = np.array([[1e4, -1e4, 0]] * 3, dtype)
    total, cache = CrossEntropy().forward(Z, np.array([0, 1, 2]))
    assert total == 30_000
    assert CrossEntropy().backward(cache, 1.0).tolist() == [[0, 0, 0], [1, -1, 0], [1, 0, -1]]
    A, _ = Softmax().forward(Z, Context())
    assert A.tolist() == [[1, 0, 0]] * 3


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_class_is_always_right_and_teaches_nothing(impl, dtype):
    case = made("one class", dtype)
    net = case.network(impl, dtype)
    before = net.parameters.copy()
    assert net.train(case.X, case.Y, 0.1) == (0, 0)
    np.testing.assert_array_equal(net.parameters, before)
    assert (net.predict(case.X) == 1).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_single_output_with_class_indices_is_no_yes_or_no(sign):
    """It was: a loss of 0 with an error that depended on the sign of the only logit."""
    assert error(np.full((3, 1), sign), np.zeros(3, int)) == 0
    assert error(np.full((3, 1), sign), np.ones((3, 1))) == (3 if sign < 0 else 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_batch_norm_of_one_value_gives_the_shift_and_stops_the_gradient(impl, dtype):
    """PyTorch refuses it: a single value is its own mean, and nothing is left of it.

    The gradient is a difference of two equal numbers, divided by √ε: 316 times their rounding.
    """
    net = Network([Dense(4), BatchNorm(), Dense(3), Softmax()], impl=impl, dtype=dtype)
    X, Y = np.array([[1.0, -2.0]]), np.array([1])
    sums, gradient = net.gradients(X, Y)
    assert net.means(sums)["loss"] == pytest.approx(np.log(3), rel=1e-6)
    found = {p.path: gradient[p.part] for p in net.named_parameters}
    assert np.abs(found["dense1.W"]).max() < 1000 * np.finfo(dtype).eps
    assert not found["dense2.W"].any()
    assert found["dense2.b"] == pytest.approx([1 / 3, -2 / 3, 1 / 3], rel=1e-6)


@pytest.mark.parametrize("limits", [Limits(), TINY], ids=["one block", "many blocks"])
@pytest.mark.parametrize("of", ["images", "filters", "gradients"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.few(16)
def test_numbers_near_the_largest_do_not_overflow_on_the_way(impl, dtype, of, limits):
    """`fast` gave nan for images around 1e37 in float32, where all others gave numbers.

    One of the arrays goes up to a 32nd of the largest number, 1e37 in float32. The others are so
    small that every sum of the definition fits; the sums of Winograd's transforms would not.
    """
    W, b = weights(WIDE, dtype)
    shape = (WIDE.n_m, *WIDE.window.out, WIDE.n_f)
    arrays = {"images": images(WIDE, dtype), "filters": W, "gradients": gradient(shape, dtype)}
    arrays = {name: array / dtype(1 if name == of else 4096) for name, array in arrays.items()}
    factor = dtype(np.finfo(dtype).max / 32 / np.abs(arrays[of]).max())

    def computed(impl, limits, factor):
        A, W, dZ = (a * factor if name == of else a for name, a in arrays.items())
        with np.errstate(all="ignore"):
            return run(impl, "conv", WIDE, A, W, b * 0, dZ, limits=limits)

    expected = computed("naive", Limits(), dtype(1))
    scaled = {"images": (0, 2), "filters": (0, 1), "gradients": (1, 2, 3)}[of]
    for k, (found, wanted) in enumerate(zip(computed(impl, limits, factor), expected, strict=True)):
        assert np.isfinite(found).all()
        found = found / factor if k in scaled else found
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_too_large_is_infinite_under_winograds_method_too(dtype):
    g = Geometry(6, 6, 3, 1, "valid", 8, 8, 1)
    A, W = np.full((1, 6, 6, 8), np.finfo(dtype).max / 8), np.ones((3, 3, 8, 8))
    A, W, b = A.astype(dtype), W.astype(dtype), np.zeros(8, dtype)
    with np.errstate(all="ignore"):
        Z = run("fast", "conv", g, A, W, b)[0]
    assert np.isposinf(Z).all()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_nan_is_not_lost_in_a_max_pool(impl):
    g = Geometry(4, 4, 2, 2)
    A = images(g)
    A[0, 3, 2, 1] = np.nan
    with np.errstate(invalid="ignore"):
        found = run(impl, "max_pool", g, A, None, None)[0]
    assert np.isnan(found[0, 1, 1, 1])
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_samples_that_overflow_the_precision_are_refused(impl):
    net = Network([Conv2D(2, 2)], impl=impl, loss="mean_squared_error")
    with pytest.raises(ShapeError, match="X must be finite"):
        net.predict(np.full((1, 4, 4, 1), 1e39))


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_near_the_largest_number_through_a_fused_max_pool(dtype):
    """Convolution, ReLU and max-pool as one step, by Winograd's method."""
    large = np.finfo(dtype).max / 256
    X = np.random.default_rng(0).uniform(-large, large, (3, 10, 10, 8))
    layers = [Conv2D(8, 3, activation="relu"), MaxPool2D(2)]
    found, wanted = (
        Network(layers, impl=impl, dtype=dtype, loss="mean_squared_error").predict(X)
        for impl in ("fast", "naive")
    )
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found / large, wanted / large, atol=2e-5)
