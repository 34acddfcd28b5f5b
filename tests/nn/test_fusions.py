"""Fused layers against the same layers one by one, and against the four loops."""

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
from cnnexp.engine import batch_norm, products
from cnnexp.engine.fast import FAST, winograd
from cnnexp.engine.fast.batch_norm_pool import ConvBatchNormPointwiseMaxPool
from cnnexp.engine.fast.in_place import BatchNormInPlace, InPlace
from cnnexp.engine.fast.merged import MergedConvPointwiseMaxPool, merging_pays, patch
from cnnexp.engine.fast.pooled_conv import ConvPointwiseMaxPool
from cnnexp.engine.fast.winograd_pool import WinogradPointwiseMaxPool
from cnnexp.engine.window import Window
from tests.engine.geometries import GEOMETRIES, TINY, Geometry

POOLS = [(2, 2), (3, 3), (2, 3), (4, 4)]  # width and stride: equal, and above the width
MORE = [
    Geometry(14, 14, 3, 1, "valid", 8, 8, 3),
    Geometry(13, 15, 3, 1, "same", 9, 12, 2),
    Geometry(12, 12, 5, 1, "valid", 2, 3, 3),
    Geometry(12, 12, 5, 1, 2, 3, 4, 2),
]


def pooled_cases():
    """Every convolution of the table that leaves room for a pooling window."""
    return [
        pytest.param(g, pool, id=f"{g}-pool{pool[0]}s{pool[1]}")
        for g in [*GEOMETRIES, *MORE]
        for pool in POOLS
        if min(g.window.out) >= pool[0] and g.dilation == g.groups == 1
    ]


def thinned(cases, every):
    """The same cases, of which most are long: one in so many is tried by default."""
    return [
        case if k % every == 0 else pytest.param(*case.values, id=case.id, marks=pytest.mark.long)
        for k, case in enumerate(cases)
    ]


def layers(g, *between, activation="relu"):
    return [
        Conv2D(
            g.n_f,
            g.f,
            stride=g.s,
            padding=g.padding,
            dilation=g.dilation,
            groups=g.groups,
            activation=activation,
        ),
        *between,
        Flatten(),
        Dense(6, activation="relu"),
        Dense(4),
        Softmax(),
    ]


def samples(g, whole_numbers=False):
    rng = np.random.default_rng(3)
    shape = (g.n_m + 3, g.ih, g.iw, g.n_c)
    X = rng.integers(-2, 3, shape).astype(float) if whole_numbers else rng.standard_normal(shape)
    return X, np.arange(len(X)) % 4


def network(g, *between, shift=0.1, activation="relu", **options):
    """Return a network with biases that are not zero, so that a forgotten one is seen."""
    settings = {"impl": "fast", "dtype": "float64", "micro_batch": 4} | options
    net = Network(layers(g, *between, activation=activation), **settings).build((g.ih, g.iw, g.n_c))
    rng = np.random.default_rng(7)
    net.load_weights(
        {
            key: value + shift * rng.standard_normal(value.shape) if key.endswith("b") else value
            for key, value in net.weights().items()
        }
    )
    return net


def fusions(net):
    return [type(step.fusion) for step in net._plan.steps if step.fusion is not None]


def by_path(net, vector):
    """The same numbers in the order of paths: that of the vector depends on the limits."""
    parameters = sorted(net.named_parameters, key=lambda p: p.path)
    return np.concatenate([vector[p.part] for p in parameters])


def figures(net, X, Y):
    """Return the probabilities, the loss, and the gradient of every parameter."""
    A = net.predict(X)
    sums, gradient = net.gradients(X, Y)
    return A, net.means(sums)["loss"], by_path(net, gradient)


def check_equal(net, other, X, Y, tolerance=1e-9):
    for found, expected in zip(figures(net, X, Y), figures(other, X, Y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("g", "pool"), pooled_cases())
@pytest.mark.few(25)
def test_conv_relu_max_pool_equals_its_layers_one_by_one_and_naive(g, pool):
    between = MaxPool2D(*pool)
    fused = network(g, between)
    assert fusions(fused)[0] in (
        WinogradPointwiseMaxPool,
        MergedConvPointwiseMaxPool,
        ConvPointwiseMaxPool,
    )
    X, Y = samples(g)
    alone = network(g, MaxPool2D(*pool), fuse=False)
    assert fusions(alone) == []
    check_equal(fused, alone, X, Y)
    check_equal(fused, network(g, MaxPool2D(*pool), impl="naive"), X, Y)


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize(
    ("g", "pool", "fusion"),
    [
        (Geometry(10, 13, (2, 3), (1, 2)), MaxPool2D((3, 2), (4, 2)), ConvPointwiseMaxPool),
        (Geometry(13, 10, (3, 2), (2, 1)), MaxPool2D((2, 3)), ConvPointwiseMaxPool),
        (Geometry(11, 12, (5, 4), 1), MaxPool2D((1, 3)), MergedConvPointwiseMaxPool),
        (Geometry(12, 13, (4, 5), 1), MaxPool2D((3, 1), (3, 2)), MergedConvPointwiseMaxPool),
    ],
)
def test_oblong_pooling_windows_and_strides(g, pool, fusion, with_norm):
    """Rows and columns differ in everything, so that no one can stand for the other."""
    between = [BatchNorm(), ReLU(), pool] if with_norm else [pool]
    nets = [
        network(g, *between, impl=impl, activation=None if with_norm else "relu")
        for impl in ("fast", "naive")
    ]
    assert with_norm or fusions(nets[0])[0] is fusion
    check_equal(*nets, *samples(g))


@pytest.mark.parametrize("g", [*GEOMETRIES, *MORE], ids=str)
@pytest.mark.few(20)
def test_conv_relu_and_dense_relu_equal_their_layers_one_by_one_and_naive(g):
    fused = network(g)
    assert fusions(fused) == [InPlace, InPlace]
    X, Y = samples(g)
    check_equal(fused, network(g, fuse=False), X, Y)
    check_equal(fused, network(g, impl="naive"), X, Y)


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 3))
@pytest.mark.few(15)
def test_in_single_precision_they_agree_to_its_rounding(g, pool):
    X, Y = samples(g)
    fused = network(g, MaxPool2D(*pool), dtype="float32")
    check_equal(fused, network(g, MaxPool2D(*pool), impl="naive"), X, Y, tolerance=2e-4)


@pytest.mark.parametrize("activation", ["leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(("g", "pool"), pooled_cases()[::5])
@pytest.mark.few(20)
def test_any_activation_that_never_decreases_is_fused(g, pool, activation):
    X, Y = samples(g)
    fused = network(g, MaxPool2D(*pool), activation=activation)
    assert fusions(fused)[0] is fusions(network(g, MaxPool2D(*pool)))[0]
    check_equal(fused, network(g, MaxPool2D(*pool), activation=activation, impl="naive"), X, Y)


def test_grouped_and_dilated_convolutions_are_pooled_by_themselves():
    for g in (Geometry(9, 9, 3, 1, dilation=2), Geometry(8, 8, 3, 1, "same", 4, 6, 3, groups=2)):
        fused = network(g, MaxPool2D(2))
        assert fusions(fused) == [InPlace, InPlace]
        check_equal(fused, network(g, MaxPool2D(2), impl="naive"), *samples(g))


def normalised(g, pool, impl="fast", threads=1, limits=None):
    """Return a network of conv, batch_norm, relu and max_pool; some scales are negative."""
    parts = [BatchNorm(), ReLU(), MaxPool2D(*pool)]
    net = network(g, *parts, activation=None, impl=impl, threads=threads, limits=limits)
    scale = np.resize([1.5, -0.5, 0.7, -2.0], g.n_f)
    return net.load_weights(net.weights() | {"batch_norm1.scale": scale})


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 3))
@pytest.mark.few(15)
def test_batch_norm_between_conv_and_max_pool_equals_naive(g, pool):
    """Where pooling covers every output it waits until after pooling; else it has its own step."""
    fused, naive = normalised(g, pool), normalised(g, pool, "naive")
    covers = pool[0] == pool[1] and all(size % pool[0] == 0 for size in g.window.out)
    winograd = g.f == 3 and g.s == 1 and min(g.n_c, g.n_f) >= 8
    first = ConvBatchNormPointwiseMaxPool if covers and not winograd else BatchNormInPlace
    assert fusions(fused)[0] is first
    X, Y = samples(g)
    check_equal(fused, naive, X, Y)
    for net in (fused, naive):
        net.take_state()
    for name, value in naive.weights().items():  # the running statistics are among them
        np.testing.assert_allclose(fused.weights()[name], value, atol=1e-9)
    np.testing.assert_allclose(fused.predict(X), naive.predict(X), atol=1e-9)


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 4))
@pytest.mark.few(10)
def test_in_tiny_blocks_they_equal_naive(g, pool):
    """Products, tiles and rows are cut into blocks, as they are in images of the usual size."""
    X, Y = samples(g)
    check_equal(
        network(g, MaxPool2D(*pool), limits=TINY), network(g, MaxPool2D(*pool), impl="naive"), X, Y
    )
    check_equal(normalised(g, pool, limits=TINY), normalised(g, pool, "naive"), X, Y)


def test_tiny_limits_cut_everything_into_blocks(monkeypatch):
    """What the test above is for happens in every method."""
    found = {"products": 0, "rows": 0, "tiles": 0}

    def count(name, function):
        def counted(*arguments):
            blocks = list(function(*arguments))
            found[name] += len(blocks) > 1
            return iter(blocks)

        return counted

    stacks = products._blocks

    def stacked(X, size):
        found["products"] += X.shape[1] // size > 1
        return stacks(X, size)

    monkeypatch.setattr(products, "_blocks", stacked)
    monkeypatch.setattr(batch_norm, "_blocks", count("rows", batch_norm._blocks))
    monkeypatch.setattr(winograd.Tiling, "blocks", count("tiles", winograd.Tiling.blocks))
    for case in pooled_cases()[::4]:
        g, pool = case.values
        network(g, MaxPool2D(*pool), limits=TINY).gradients(*samples(g))
        normalised(g, pool, limits=TINY).gradients(*samples(g))
    assert min(found.values()) >= 5, found


@pytest.mark.parametrize(("g", "pool"), pooled_cases()[::9])
def test_workers_change_no_bit_of_batch_norm(g, pool):
    X, Y = samples(g)
    shared = normalised(g, pool, threads=2)
    check_equal(shared, normalised(g, pool), X, Y, tolerance=0)
    shared.close()


def test_every_fusion_of_the_table_is_tried_here():
    nets = [network(*_built(case)) for case in pooled_cases()[::3]]
    nets += [normalised(*case.values) for case in pooled_cases()[::7]]
    found = {fusion for net in nets for fusion in fusions(net)}
    assert found == {type(fusion) for fusion in FAST.fusions}


def _built(case):
    g, pool = case.values
    return g, MaxPool2D(*pool)


@pytest.mark.parametrize(
    ("channels", "pool", "fusion"),
    [
        (8, 2, WinogradPointwiseMaxPool),
        (8, 4, WinogradPointwiseMaxPool),
        (8, 3, ConvPointwiseMaxPool),  # no tile of 4 x 4 outputs is cut into windows of 3 x 3
        (8, (3, 2), ConvPointwiseMaxPool),
        (8, (2, 4), ConvPointwiseMaxPool),
        (7, 2, MergedConvPointwiseMaxPool),  # too few channels for the transforms to pay
    ],
)
def test_winograds_method_where_windows_tile_a_tile_and_channels_are_many(channels, pool, fusion):
    g = Geometry(14, 14, 3, 1, "valid", channels, 8, 2)
    net = network(g, MaxPool2D(pool))
    assert fusions(net)[0] is fusion
    check_equal(net, network(g, MaxPool2D(pool), impl="naive"), *samples(g))


def test_the_patch_that_a_pooling_window_depends_on():
    """5 x 4 filters that move by (1, 2), pooled 2 x 3: (2-1)·1 + 5 = 6 and (3-1)·2 + 4 = 8."""
    conv, pool = (Window.over((20, 20), f, s, "valid") for f, s in (((5, 4), (1, 2)), ((2, 3), 1)))
    assert patch(conv, pool) == (6, 8)


@pytest.mark.parametrize(
    ("f", "p", "pays"),
    [
        (5, 2, True),  # 6 · 6 = 36 pixels instead of 25
        (2, 2, False),  # 3 · 3 = 9 instead of 4, more than twice as many
        (1, (2, 1), True),  # 2 instead of 1, just twice as many
        (1, (3, 1), False),
    ],
)
def test_filters_are_merged_where_that_at_most_doubles_the_arithmetic(f, p, pays):
    assert merging_pays(*(Window.over((20, 20), k, 1, "valid") for k in (f, p))) is pays


@pytest.mark.parametrize("pool", [MaxPool2D(3, 2), MaxPool2D(2, padding=1)])
def test_windows_that_overlap_or_reach_beyond_are_pooled_by_themselves(pool):
    assert fusions(network(Geometry(9, 9, 2, 1), pool)) == [InPlace, InPlace]


def test_a_convolution_without_relu_is_not_fused():
    plain = [Conv2D(3, 2), MaxPool2D(2), Flatten(), Dense(4), Softmax()]
    assert fusions(Network(plain, impl="fast").build((8, 8, 1))) == []


@pytest.mark.parametrize("impl", ["naive", "sg", "im2col"])
def test_other_implementations_fuse_nothing(impl):
    assert fusions(network(Geometry(8, 8, 3, 1), MaxPool2D(2), impl=impl)) == []


def test_the_summary_names_what_is_computed_together():
    text = network(Geometry(8, 8, 2, 1), MaxPool2D(2)).summary()
    assert "computed together: conv1+relu1+max_pool1 (stride groups)" in text
    assert "computed together: dense1+relu2 (activation in place)" in text


# Ties and kinks --------------------------------------------------------------------------------
#
# Whole numbers in images and filters make equal candidates, and candidates of exactly zero. The
# definition gives the gradient to the first of them, and none at zero. A plain product gives whole
# numbers too, and the same winners; Winograd's transforms and merged filters add up in another
# order, so one of two equal candidates comes out larger by a rounding, and zero a little above or
# below zero. The results agree everywhere; a gradient goes to one of those that are equal. Images
# with constant regions are in tests/nn/test_ties.py.


def tied(g, pool, **options):
    net = network(g, MaxPool2D(*pool), shift=0, **options)
    rng = np.random.default_rng(1)
    W = net.weights()["conv1.W"]
    return net.load_weights(net.weights() | {"conv1.W": rng.integers(-1, 2, W.shape).astype(float)})


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 3))
@pytest.mark.few(15)
def test_results_agree_on_ties_too(g, pool):
    X, _ = samples(g, whole_numbers=True)
    expected = tied(g, pool, impl="naive").predict(X)
    np.testing.assert_allclose(tied(g, pool).predict(X), expected, atol=1e-9)


PLAIN = [
    case for case in pooled_cases() if fusions(network(*_built(case)))[0] is ConvPointwiseMaxPool
]


@pytest.mark.parametrize(("g", "pool"), PLAIN)
@pytest.mark.few(30)
def test_plain_products_give_a_tied_gradient_to_the_first_as_naive_does(g, pool):
    net = tied(g, pool)
    check_equal(net, tied(g, pool, impl="naive"), *samples(g, whole_numbers=True))


@pytest.mark.parametrize(("g", "pool"), thinned(pooled_cases(), 3))
@pytest.mark.few(15)
def test_a_tied_gradient_goes_to_one_of_the_tied(g, pool):
    """Above zero the sum of what is let through, the bias's gradient, does not depend on which."""
    X, Y = samples(g, whole_numbers=True)
    found = []
    for impl in ("fast", "naive"):
        net = tied(g, pool, impl=impl)
        net.load_weights(net.weights() | {"conv1.b": np.full(g.n_f, 0.5)})  # no candidate is zero
        net.gradients(X, Y)
        _, gradient = net.gradients(X, Y)
        (bias,) = (p.part for p in net.named_parameters if p.path == "conv1.b")
        found.append(gradient[bias].copy())
    np.testing.assert_allclose(*found, atol=1e-9)
