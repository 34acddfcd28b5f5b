"""Layers one by one: options, shapes, and gradients of the input."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax

from cnnexp import (
    ELU,
    GELU,
    LAYERS,
    AvgPool2D,
    BatchNorm,
    Context,
    Conv2D,
    Crop2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSwish,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MaxPool2D,
    Network,
    Pad2D,
    PointwiseConv2D,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout,
    Tanh,
    TransposedConv2D,
    UpSample2D,
)
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import INITIALIZERS
from tests.cases import in_one_test

IMAGE = (6, 5, 2)
CASES = {
    "conv": (Conv2D(3, 2, stride=2, padding=1), IMAGE),
    "max_pool": (MaxPool2D(2, stride=1), IMAGE),
    "avg_pool": (AvgPool2D(3, padding="same"), IMAGE),
    "flatten": (Flatten(), IMAGE),
    "dense": (Dense(4), (7,)),
    "relu": (ReLU(), IMAGE),
    "sigmoid": (Sigmoid(), IMAGE),
    "tanh": (Tanh(), (7,)),
    "softmax": (Softmax(), (5,)),
    "leaky_relu": (LeakyReLU(0.3), IMAGE),
    "dropout": (Dropout(0.4), IMAGE),
    "batch_norm": (BatchNorm(), IMAGE),
    "elu": (ELU(0.7), IMAGE),
    "softplus": (Softplus(), IMAGE),
    "silu": (SiLU(), IMAGE),
    "gelu": (GELU(), IMAGE),
    "hard_swish": (HardSwish(), IMAGE),
    "log_softmax": (LogSoftmax(), (5,)),
    "layer_norm": (LayerNorm(), IMAGE),
    "group_norm": (GroupNorm(2), (3, 4, 4)),
    "spatial_dropout": (SpatialDropout(0.4), IMAGE),
    "depthwise_conv": (DepthwiseConv2D(3, multiplier=2, padding="same"), IMAGE),
    "pointwise_conv": (PointwiseConv2D(3), IMAGE),
    "transposed_conv": (TransposedConv2D(3, (3, 2), stride=(2, 3), padding="same"), IMAGE),
    "pad": (Pad2D([[1, 2], [0, 1]], value=2.0), IMAGE),
    "crop": (Crop2D([[1, 2], [0, 1]]), IMAGE),
    "reshape": (Reshape([2, -1]), IMAGE),
    "upsample": (UpSample2D((2, 3)), IMAGE),
    "global_avg_pool": (GlobalAvgPool2D(), IMAGE),
    "global_max_pool": (GlobalMaxPool2D(), IMAGE),
}
# The plans of networks run these: tests/nn/test_blocks.py
CONTAINERS = {"block", "residual", "concat", "separable_conv"}


def context_of(layer):
    """A context in inference, with the operation of `sg`."""
    operation = IMPLEMENTATIONS["sg"].find(layer.operation)[0] if layer.operation else None
    return Context(operation=operation, training=False, state=layer.state)


def test_every_layer_has_a_case():
    own = {k for k in LAYERS if LAYERS[k].__module__.startswith("cnnexp.")}
    assert CASES.keys() | CONTAINERS == own
    assert all(type(layer) is LAYERS[name] for name, (layer, _) in CASES.items())
    assert all(layer.type == name for name, (layer, _) in CASES.items())


@pytest.fixture(params=CASES)
def case(request):
    """A built layer, samples for it, and a context."""
    layer, shape = CASES[request.param]
    layer.build(shape, np.random.default_rng(1), "float64")
    return layer, np.random.default_rng(2).standard_normal((3, *shape)), context_of(layer)


def test_the_result_has_the_inferred_shape(case):
    layer, X, context = case
    A, _ = layer.forward(X, context)
    assert A.shape[1:] == layer.infer_shape(X.shape[1:]) == layer.output_shape
    assert layer.input_shape == X.shape[1:]


def test_the_gradient_of_the_input_equals_finite_differences(case):
    layer, X, context = case
    A, cache = layer.forward(X, context)
    dA = np.random.default_rng(3).standard_normal(A.shape)
    dA_prev, _ = layer.backward(cache, dA, context)
    for index in [(0, *np.zeros(X.ndim - 1, int)), *np.argwhere(np.ones(X.shape))[::11]]:
        step = np.zeros_like(X)
        step[tuple(index)] = 1e-6
        above, below = (float((layer.forward(X + s, context)[0] * dA).sum()) for s in (step, -step))
        assert dA_prev[tuple(index)] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_nothing_of_a_batch_is_kept_on_a_layer(case):
    layer, X, context = case
    before = set(vars(layer))
    A, cache = layer.forward(X, context)
    layer.backward(cache, np.ones_like(A), context)
    assert set(vars(layer)) == before


def test_relu_has_slope_zero_at_zero():
    layer = ReLU()
    layer.build((3,), np.random.default_rng(0), "float64")
    context = context_of(layer)
    A, cache = layer.forward(np.array([[-1.0, 0.0, 2.0]]), context)
    assert A.tolist() == [[0, 0, 2]]
    assert layer.backward(cache, np.full((1, 3), 5.0), context)[0].tolist() == [[0, 0, 5]]


def test_dense_worked_by_hand():
    layer = Dense(2)
    context = context_of(layer)
    layer.build((2,), np.random.default_rng(0), "float64")
    layer.params["W"][...] = [[1, 2], [3, 4]]
    layer.params["b"][...] = [10, 20]
    Z, cache = layer.forward(np.array([[1.0, 1.0], [0.0, 2.0]]), context)
    assert Z.tolist() == [[14, 26], [16, 28]]
    dA_prev, grads = layer.backward(cache, np.array([[1.0, 0.0], [0.0, 1.0]]), context)
    assert dA_prev.tolist() == [[1, 3], [2, 4]]  # rows of W.T
    assert grads["W"].tolist() == [[1, 0], [1, 2]]
    assert grads["b"].tolist() == [1, 1]


def test_flatten_reads_rows_columns_channels():
    X = np.arange(24.0).reshape(2, 2, 3, 2)
    context = Context()
    for order in (X, np.asfortranarray(X), X.transpose(3, 1, 2, 0).copy().transpose(3, 1, 2, 0)):
        A, cache = Flatten().forward(order, context)
        np.testing.assert_array_equal(A, X.reshape(2, 12))
        np.testing.assert_array_equal(Flatten().backward(cache, A, context)[0], X)


def test_multiply_adds_and_parameters():
    conv = Conv2D(5, 3, stride=2, padding=1)
    conv.build((9, 8, 4), np.random.default_rng(0), "float32")
    assert conv.output_shape == (5, 4, 5)
    assert conv.multiply_adds == 5 * 4 * 5 * 3 * 3 * 4
    assert MaxPool2D(2).multiply_adds == 0


@in_one_test(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters must be at least 1. Got 0."),
        (lambda: Conv2D(1, 0), "kernel_size must be at least 1. Got 0."),
        (lambda: Conv2D(1, 3, stride=0), "stride must be at least 1. Got 0."),
        (lambda: Conv2D(1, 3, padding=-1), "padding must be 'valid', 'same', a number of"),
        (lambda: Conv2D(1, 3, padding="full"), "Got 'full'."),
        (lambda: Conv2D(1, (3, 0)), "kernel_size must be at least 1. Got 0."),
        (lambda: Conv2D(1, (3, 2, 1)), "kernel_size must be a whole number or a pair"),
        (lambda: Conv2D(1, 3, dilation=0), "dilation must be at least 1. Got 0."),
        (lambda: Conv2D(3, 3, groups=2), "filters must be a multiple of groups."),
        (lambda: Conv2D(1, 3, activation="rellu"), "activation must be one of relu, leaky_relu,"),
        (lambda: Conv2D(1, 3, activation="conv"), "Got 'conv'."),
        (lambda: Dense(1, activation="flatten"), "Got 'flatten'."),
        (lambda: Dropout(1.0), "rate must be at least 0 and below 1. Got 1.0."),
        (lambda: BatchNorm(momentum=0.0), "momentum must be above 0 and at most 1. Got 0.0."),
        (lambda: Dropout(None), "rate must be a number. Got None."),
        (lambda: BatchNorm(momentum="much"), "momentum must be a number. Got 'much'."),
        (lambda: LayerNorm(epsilon=math.nan), "epsilon must be above 0. Got nan."),
        (lambda: LeakyReLU(1.5), "slope must be above 0 and at most 1. Got 1.5."),
        (lambda: Dense(3, initializer="hee"), "initializer: no initializer is named 'hee'."),
        (lambda: Dense(0), "units must be at least 1. Got 0."),
        (lambda: MaxPool2D(0), "kernel_size must be at least 1. Got 0."),
        (lambda: AvgPool2D(2, stride=0), "stride must be at least 1. Got 0."),
        (lambda: TransposedConv2D(2, 3, padding=3), "must be below its kernel, 3. Got 3."),
        (lambda: DepthwiseConv2D(3, multiplier=0), "multiplier must be at least 1. Got 0."),
        (lambda: ELU(0.0), "alpha must be above 0. Got 0.0."),
        (lambda: GroupNorm(0), "groups must be at least 1. Got 0."),
        (lambda: LayerNorm(epsilon=0.0), "epsilon must be above 0. Got 0.0."),
        (lambda: Pad2D("same"), "padding must be a number of at least 0, a pair"),
        (lambda: Pad2D(1, value=math.inf), "value must be finite. Got inf."),
        (lambda: Reshape([2, 0]), "shape must be a list of sizes, such as [7, 7, 16]."),
        (lambda: Reshape([-1, -1]), "shape may have one -1. Got [-1, -1]."),
        (lambda: UpSample2D(0), "factor must be at least 1. Got 0."),
        (lambda: MaxPool2D(3, padding=2), "at most half its window, 1. Got 2."),
        (lambda: MaxPool2D((4, 2), padding=((0, 0), (0, 2))), "at most half its window, 1. Got 2."),
    ],
)
def test_options_are_checked_when_a_layer_is_made(make, message):
    with pytest.raises(OptionError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize("layer", [Conv2D(2, 2), MaxPool2D(2), AvgPool2D(2)])
def test_image_layers_need_images(layer):
    with pytest.raises(ShapeError, match="needs images of"):
        layer.infer_shape((12,))


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("he_normal", math.sqrt(2 / 900)),
        ("glorot_uniform", math.sqrt(2 / (900 + 300))),
        ("small_normal", 0.01),
        ("he_uniform", math.sqrt(2 / 900)),
        ("glorot_normal", math.sqrt(2 / (900 + 300))),
        ("lecun_normal", math.sqrt(1 / 900)),
        ("lecun_uniform", math.sqrt(1 / 900)),
        ("orthogonal", math.sqrt(1 / 900)),
        ("zeros", 0.0),
    ],
)
def test_initializers_have_the_stated_spread(name, deviation):
    assert name in INITIALIZERS
    dense = Dense(300, initializer=name)
    dense.build((900,), np.random.default_rng(0), "float64")
    W = dense.params["W"]
    assert W.std() == pytest.approx(deviation, rel=0.02)
    assert W.mean() == pytest.approx(0, abs=1e-3)
    assert not dense.params["b"].any()


def test_a_convolutions_fan_in_is_its_window():
    conv = Conv2D(200, 3)
    conv.build((5, 5, 40), np.random.default_rng(0), "float64")
    assert conv.params["W"].std() == pytest.approx(math.sqrt(2 / (9 * 40)), rel=0.02)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (GroupNorm(3), (4, 4, 4), "groups must divide the 4 channels. Got 3 groups."),
        (Crop2D(2), (4, 9, 1), "a margin of 2 leaves nothing of 4x9 pixels"),
        (Reshape([5, -1]), (12,), "does not hold the 12 numbers"),
        (GlobalAvgPool2D(), (12,), "needs images of"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ShapeError) as raised:
        layer.infer_shape(shape)
    assert message in str(raised.value)


def test_a_transposed_convolution_worked_by_hand():
    """Two pixels, 1 and 2, a filter (1, 10) and stride 2: each pixel adds its filter."""
    layer = TransposedConv2D(1, (1, 2), stride=(1, 2))
    layer.build((1, 2, 1), np.random.default_rng(0), "float64")
    layer.params["W"][...] = np.array([1, 10]).reshape(1, 2, 1, 1)
    layer.params["b"][...] = 0.5
    Z, _ = layer.forward(np.array([1.0, 2.0]).reshape(1, 1, 2, 1), context_of(layer))
    assert Z.reshape(-1).tolist() == [1.5, 10.5, 2.5, 20.5]


def test_spatial_dropout_drops_whole_channels():
    layer = SpatialDropout(0.5)
    A, _ = layer.forward(np.ones((50, 4, 3, 8)), Context(training=True))
    assert set(np.unique(A)) == {0.0, 2.0}
    assert (A[:, :1, :1] == A).all()
    assert 0.4 < (A == 0).mean() < 0.6


@pytest.mark.parametrize(("n_in", "units"), [(30, 12), (12, 30), (9, 9)])
def test_orthogonal_weights_are_at_right_angles(n_in, units):
    dense = Dense(units, initializer="orthogonal")
    dense.build((n_in,), np.random.default_rng(0), "float64")
    W = dense.params["W"]
    square = W.T @ W if units <= n_in else W @ W.T
    np.testing.assert_allclose(square, np.eye(min(n_in, units)), atol=1e-12)


def test_a_number_fills_all_weights():
    conv = Conv2D(3, 2, initializer=0.25)
    conv.build((4, 4, 2), np.random.default_rng(0), "float32")
    assert (conv.params["W"] == 0.25).all() and not conv.params["b"].any()
    with pytest.raises(OptionError, match="must be a name or a finite number"):
        Dense(2, initializer=math.nan)


def test_the_originals_weights_are_never_below_zero():
    conv, dense = (
        Conv2D(20, 5, initializer="original_uniform"),
        Dense(9, initializer="original_uniform"),
    )
    conv.build((9, 9, 3), np.random.default_rng(0), "float64")
    dense.build((99,), np.random.default_rng(0), "float64")
    assert conv.params["W"].min() >= 0 and 0.09 < conv.params["W"].max() <= 0.1
    assert dense.params["W"].min() >= 0 and 0.00009 < dense.params["W"].max() <= 0.0001


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_trains(name):
    layers = [Conv2D(3, 2, activation="relu", initializer=name), Flatten()]
    net = Network([*layers, Dense(2, initializer=name), Softmax()])
    rng = np.random.default_rng(0)
    loss, _ = net.train(rng.standard_normal((4, 5, 5, 1)), np.array([0, 1, 0, 1]), 0.1)
    assert math.isfinite(loss)


def test_the_slope_of_an_elu_at_zero_is_that_below_it():
    out = np.zeros(1)
    ELU(alpha=0.5).gradient(np.ones(1), np.zeros(1), out)
    assert out == 0.5


def test_log_softmax_is_taken_over_the_channels():
    Z = np.random.default_rng(0).random((2, 3, 4, 5))
    A, _ = LogSoftmax().forward(Z, Context())
    np.testing.assert_allclose(A, log_softmax(Z, axis=3))


def test_the_margin_of_a_crop_has_no_gradient():
    layer = Crop2D(1)
    A, cache = layer.forward(np.ones((2, 5, 6, 3)), Context())
    dA_prev, _ = layer.backward(cache, np.ones(A.shape), Context())
    assert dA_prev.shape == (2, 5, 6, 3)
    assert dA_prev.sum() == A.size and dA_prev[:, 1:-1, 1:-1].all()


@pytest.mark.parametrize("shape", [[], [0, 4], [2.5, 2], [True, 4], 4])
def test_a_shape_is_a_list_of_sizes(shape):
    with pytest.raises(OptionError, match="shape must be a list of sizes"):
        Reshape(shape)


def test_a_size_may_be_one():
    assert Reshape([1, 4]).infer_shape((4,)) == (1, 4)


def test_weights_are_checked_when_a_layer_is_made():
    with pytest.raises(OptionError, match="initializer"):
        Conv2D(3, 2, initializer="he_norml")


def test_outputs_of_a_filter_are_counted_in_its_group():
    """Each of 8 filters sees 2 of 4 channels: fan_in 9 * 2, fan_out 9 * 8 / 2."""
    layer = Conv2D(8, 3, groups=2, initializer="glorot_uniform")
    Network([layer], seed=1).build((6, 6, 4))
    most = math.sqrt(6 / (18 + 36))
    assert 0.9 * most < np.abs(layer.params["W"]).max() <= most


def test_images_that_lie_one_pixel_after_the_other_stay_so():
    """Batch-last memory (CHWN) is what matrix products of several layers want."""
    images = np.random.default_rng(0).random((4, 2, 3, 5)).transpose(3, 1, 2, 0)
    A, _ = Flatten().forward(images, Context())
    assert A.strides[0] == A.itemsize
    np.testing.assert_array_equal(A, np.ascontiguousarray(images).reshape(5, 24))
