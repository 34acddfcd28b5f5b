"""Layers that ``impl=compiled`` computes in one pass, against the four loops."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp import AvgPool2D, Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
from cnnexp.engine import IMPLEMENTATIONS, Context, Limits, Window
from cnnexp.engine.compiled import direct, packed, winograd
from cnnexp.engine.compiled.convolution import method_for
from cnnexp.engine.compiled.direct import floor_of
from cnnexp.engine.compiled.one_pass import Direct, DirectMean, Packed, Winograd
from cnnexp.nn.plan import finish
from tests.engine.geometries import GEOMETRIES, TINY, Geometry
from tests.nn.test_fusions import (
    MORE,
    check_equal,
    fusions,
    network,
    pooled_cases,
    samples,
    thinned,
    tied,
)

LARGE = [  # several blocks of the direct kernels, and more samples than the transforms take at once
    Geometry(14, 15, 2, 1, "valid", 1, 3, 70),
    Geometry(11, 12, 3, 1, "same", 8, 8, 70),
    Geometry(12, 11, 5, 1, "same", 2, 3, 70),
]


def of_naive(g, *between, **options):
    return network(g, *between, impl="naive", micro_batch=100, **options)


def compiled(g, *between, **options):
    return network(g, *between, impl="compiled", **options)


def kind_of(g):
    """Return the fusion for a convolution of the table; None for groups of channels."""
    W = np.empty((*np.broadcast_to(g.f, 2), g.n_c // g.groups, g.n_f))
    kinds = {direct: Direct, winograd: Winograd, packed: Packed, None: None}
    return kinds[method_for(W, g.n_c, g.window)]


@pytest.mark.parametrize(("g", "pool"), pooled_cases())
@pytest.mark.few(25)
def test_conv_relu_max_pool_equals_naive(g, pool):
    net = compiled(g, MaxPool2D(*pool))
    if kind_of(g) is not Winograd:  # which takes some pooling windows only
        assert fusions(net)[0] is kind_of(g)
    check_equal(net, of_naive(g, MaxPool2D(*pool)), *samples(g))


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 2))
@pytest.mark.few(8)
def test_filters_of_many_weights_are_packed(g, pool, monkeypatch):
    monkeypatch.setattr(direct, "MOST_TAPS", 3)
    net, alone = compiled(g, MaxPool2D(*pool)), compiled(g, MaxPool2D(*pool), fuse=False)
    for found in (net, alone):
        check_equal(found, of_naive(g, MaxPool2D(*pool)), *samples(g))


@pytest.mark.parametrize(("g", "pool"), pooled_cases())
@pytest.mark.few(10)
def test_conv_relu_avg_pool_equals_naive(g, pool):
    net, expected = compiled(g, AvgPool2D(*pool)), of_naive(g, AvgPool2D(*pool))
    if kind_of(g) is Direct:
        assert DirectMean in fusions(net)
    check_equal(net, expected, *samples(g))


def test_means_behind_another_activation_are_taken_apart():
    """A mean of its results is no result of a mean."""
    g = Geometry(8, 8, 2, 1, "valid", 1, 3, 4)
    net = compiled(g, AvgPool2D(2), activation="tanh")
    assert DirectMean not in fusions(net)
    check_equal(net, of_naive(g, AvgPool2D(2), activation="tanh"), *samples(g))


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
@pytest.mark.parametrize("f", [2, 12])
def test_a_pooling_window_of_more_pixels_than_a_byte_counts(f, kind):
    g = Geometry(17 + f - 1, 17 + f - 1, f, 1, "valid", 2, 3, 4)
    for size in (15, 16, 17):
        pair = (make(g, kind(size)) for make in (compiled, of_naive))
        check_equal(*pair, *samples(g))


@pytest.mark.parametrize(
    "g",
    [
        Geometry(6, 6, 3, 1, "same", 1, 4, 3),
        Geometry(6, 6, 3, 1, "same", 8, 8, 3),
        Geometry(1, 1, 3, 1, "same", 8, 9, 3),
        Geometry(6, 6, 5, 1, "valid", 9, 4, 3),
    ],
    ids=str,
)
def test_a_pooling_window_of_one_pixel(g, monkeypatch):
    """There is no winner to note; what memory held before is no winner either."""
    real = np.empty

    def used_before(shape, dtype=float, **options):
        array = real(shape, dtype, **options)
        array.fill(np.nan if array.dtype.kind == "f" else 3)
        return array

    net, wanted = compiled(g, MaxPool2D(1)), of_naive(g, MaxPool2D(1))
    monkeypatch.setattr(np, "empty", used_before)
    check_equal(net, wanted, *samples(g))


@pytest.mark.parametrize("g", [*GEOMETRIES, *MORE], ids=str)
@pytest.mark.few(15)
def test_conv_relu_equals_naive_fused_and_alone(g):
    expected = of_naive(g)
    check_equal(compiled(g), expected, *samples(g))
    check_equal(compiled(g, fuse=False), expected, *samples(g))


@pytest.mark.parametrize("pool", [(2, 2), (3, 3)])
@pytest.mark.parametrize("g", LARGE, ids=str)
def test_more_samples_than_a_block_takes(g, pool):
    X, Y = samples(g)
    expected = network(g, MaxPool2D(*pool), impl="im2col")
    for options in ({"micro_batch": 100}, {"micro_batch": 64, "limits": TINY}):
        check_equal(compiled(g, MaxPool2D(*pool), **options), expected, X, Y)


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 3))
@pytest.mark.few(12)
def test_in_single_precision_they_agree_to_its_rounding(g, pool):
    net = compiled(g, MaxPool2D(*pool), dtype="float32")
    expected = of_naive(g, MaxPool2D(*pool), dtype="float32")
    check_equal(net, expected, *samples(g), tolerance=2e-4)


@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(("g", "pool"), pooled_cases()[::5])
@pytest.mark.few(10)
def test_other_activations_are_applied_to_the_result(g, pool, activation):
    for between in ([MaxPool2D(*pool)], []):
        net = compiled(g, *between, activation=activation)
        check_equal(net, of_naive(g, *between, activation=activation), *samples(g))


def test_layers_before_it_get_their_gradient():
    """With something to train before them, both ways return the gradient of the image."""
    for n_c in (2, 8):
        layers = [Conv2D(n_c, 3, padding="same"), ReLU(), Conv2D(8, 3), ReLU(), MaxPool2D(2)]
        layers += [Flatten(), Dense(3), Softmax()]
        options = {"dtype": "float64", "micro_batch": 5}
        net, expected = (
            Network(layers, impl=impl, **options).build((11, 12, 2))
            for impl in ("compiled", "naive")
        )
        kinds = {type(step.fusion) for step in net._plan.steps if step.fusion}
        assert (Winograd in kinds) == (n_c == 8)
        expected.load_weights(net.weights())
        X = np.random.default_rng(0).standard_normal((9, 11, 12, 2))
        check_equal(net, expected, X, np.arange(9) % 3)


@pytest.mark.parametrize(
    ("g", "pool"), [c for c in pooled_cases() if kind_of(c.values[0]) is not Winograd]
)
@pytest.mark.few(25)
def test_a_tied_gradient_goes_to_the_first_as_under_naive(g, pool):
    net = tied(g, pool, impl="compiled")
    check_equal(net, tied(g, pool, impl="naive"), *samples(g, whole_numbers=True))


@pytest.mark.parametrize("pool", [None, (2, 2)])
@pytest.mark.parametrize("g", [Geometry(8, 8, 2, 1, "valid", 1, 4, 7), MORE[0], MORE[2]], ids=str)
def test_the_same_bits_on_any_number_of_workers(g, pool):
    between = [] if pool is None else [MaxPool2D(*pool)]
    X, Y = samples(g)
    found = []
    for threads in (1, 2, 5):
        net = compiled(g, *between, dtype="float32", threads=threads, micro_batch=2)
        for _ in range(3):
            net.train(X, Y, learning_rate=0.1)
        found.append(net.parameters.copy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_c", [1, 8])
def test_what_is_not_finite_stays_so(value, n_c):
    """Every result that sees a NaN is NaN, also one that is compared with numbers later."""
    g = Geometry(8, 8, 3, 1, "valid", n_c, 8, 2)
    X, _ = samples(g)
    X[0, 3, 3, 0] = value
    for between in ([], [MaxPool2D(2)], [AvgPool2D(2)]):
        layers = [Conv2D(8, 3), ReLU(), *between]
        nets = [
            Network(layers, impl=impl, dtype="float64").build((8, 8, n_c))
            for impl in ("compiled", "naive")
        ]
        found, expected = (finish(net._plan.forward(X, net._plan.contexts()))[0] for net in nets)
        if n_c == 1:
            np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        else:  # Winograd's sums mix the outputs of a tile
            assert np.isnan(found[np.isnan(expected)]).all()
        np.testing.assert_allclose(found[1:], expected[1:], atol=1e-9)


def test_subnormal_numbers_are_numbers():
    tiny = np.float32(1e-41)
    window = Window.over((4, 4), 2, 1, "valid")
    A, W = np.full((3, 4, 4, 1), tiny), np.ones((2, 2, 1, 2), np.float32)
    operation, _ = IMPLEMENTATIONS["compiled"].find("conv")
    params = {"W": W, "b": np.zeros(2, np.float32)}
    Z, _ = operation.forward(A, params, window, Context())
    np.testing.assert_array_equal(Z, 4 * tiny)


def test_an_activation_that_changes_relu_is_not_taken_for_it():
    class Doubled(ReLU):
        def apply(self, Z, out):
            super().apply(2 * Z, out)

    class Renamed(ReLU):
        pass

    assert floor_of(ReLU()) == floor_of(Renamed()) == 0
    assert floor_of(Doubled()) is None
    assert floor_of(Flatten()) is None


def test_the_summary_names_what_is_computed_together():
    layers = [Conv2D(8, 3), ReLU(), Conv2D(8, 3), ReLU(), MaxPool2D(2)]
    layers += [Conv2D(4, 9, padding="same"), ReLU(), Flatten(), Dense(3), Softmax()]
    text = Network(layers, impl="compiled", limits=Limits()).build((14, 14, 1)).summary()
    assert "conv1+relu1 (one pass)" in text
    assert "conv2+relu2+max_pool1 (Winograd, one pass)" in text
    assert "conv3+relu3 (packed, one pass)" in text


@pytest.mark.parametrize("place", [0, 511, 512, 1129])
def test_the_largest_absolute_value_is_found_in_every_place(place):
    for value in (-7.0, 7.0, np.nan, -np.inf):
        A = np.linspace(-1, 1, 1130, dtype=np.float32)
        A[place] = value
        np.testing.assert_equal(winograd.largest(A), abs(value))


@pytest.mark.parametrize("padding", [((2, 0), (0, 1)), ((0, 3), (4, 2))])
def test_winograd_with_other_padding_on_each_side(padding):
    g = Geometry(9, 6, 3, 1, padding, 8, 8, 3)
    assert kind_of(g) is Winograd
    check_equal(compiled(g), of_naive(g), *samples(g))
