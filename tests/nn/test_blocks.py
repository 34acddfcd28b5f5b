"""Blocks: names, shapes, gradients, and the mistakes that one can make with them."""

import numpy as np
import pytest

from cnnexp import (
    BatchNorm,
    Block,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Network,
    ReLU,
    Residual,
    SeparableConv2D,
    Softmax,
)
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.layer import make_layer
from tests.nn.networks import IMPLEMENTATIONS, batch, slope

X, Y = batch(9)


def layers():
    """A block in a block, an identity, and a projection with a stride."""
    return [
        Conv2D(4, 3, padding="same", activation="relu"),
        Residual([Conv2D(4, 3, padding="same", activation="relu"), Conv2D(4, 1)]),
        Block([Residual([Conv2D(4, 3, padding="same")]), ReLU()]),
        Residual(
            [Conv2D(6, 3, stride=2, padding="same")],
            shortcut=[Conv2D(6, 1, stride=2, activation="tanh")],
        ),
        Concat(
            [
                Conv2D(2, 1, activation="relu"),
                Block([SeparableConv2D(3, 3, padding="same", activation="tanh")]),
            ]
        ),
        Flatten(),
        Dense(4, activation="softmax"),
    ]


def network(**options):
    return Network(layers(), **({"dtype": "float64", "micro_batch": 4} | options))


def test_parameters_have_paths():
    names = [name for name in network().build((8, 7, 2)).weights() if name.endswith(".W")]
    assert names == [
        "conv1.W",
        "residual1.conv1.W",
        "residual1.conv2.W",
        "block1.residual1.conv1.W",
        "residual2.conv1.W",
        "residual2.shortcut.conv1.W",
        "concat1.branch1.conv1.W",
        "concat1.branch2.block1.separable_conv1.depthwise_conv1.W",
        "concat1.branch2.block1.separable_conv1.pointwise_conv1.W",
        "dense1.W",
    ]


def test_a_layer_may_have_a_name():
    options = {
        "type": "block",
        "name": "stem",
        "layers": [{"type": "conv", "filters": 2, "kernel_size": 1, "name": "first"}],
    }
    net = Network([make_layer(options), Flatten(), Dense(4), Softmax()]).build((8, 7, 2))
    assert "stem.first.W" in net.weights()
    assert [row.split()[0] for row in net.summary().splitlines()[2:4]] == ["stem", "first"]


@pytest.mark.few(2)
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_gradients(impl):
    net = network(impl=impl)
    gradient = net.gradients(X, Y)[1].copy()
    count = 8 if impl == "naive" else 20  # the loops take a while
    for k in np.random.default_rng(0).choice(gradient.size, count, replace=False):
        expected = slope(net, X, Y, np.eye(1, gradient.size, k)[0])
        assert gradient[k] == pytest.approx(expected, abs=1e-7)


@pytest.mark.few(2)
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_all_implementations_agree(impl):
    expected, found = network(impl="naive"), network(impl=impl)
    for net in (expected, found):
        for _ in range(3):
            net.train(X, Y, 0.1)
    np.testing.assert_allclose(found.parameters, expected.parameters, atol=1e-10)


def test_a_residual_block_worked_by_hand():
    """3x + x with a filter of one weight, 3; the loss is the mean square of the result."""
    net = Network([Residual([Conv2D(1, 1)])], loss="mean_squared_error", dtype="float64")
    net.build((1, 1, 1)).load_weights(
        {"residual1.conv1.W": np.full((1, 1, 1, 1), 3.0), "residual1.conv1.b": np.zeros(1)}
    )
    X = np.full((1, 1, 1, 1), 2.0)
    assert net.predict(X).item() == 8  # 3·2 + 2
    _, gradient = net.gradients(X, np.zeros((1, 1, 1, 1)))
    found = dict(zip((p.path for p in net.named_parameters), gradient, strict=True))
    # d(8²)/dz = 16; times the input, 2, for the weight
    assert found == {"residual1.conv1.b": 16, "residual1.conv1.W": 32}


def test_the_gradient_of_the_input_goes_through_both_branches():
    net = network()
    direction = np.random.default_rng(3).standard_normal(X.shape)
    values = [
        net.activations(X + sign * 1e-6 * direction)[-2][1][np.arange(9), Y].sum()
        for sign in (1, -1)
    ]
    found = (net.saliency(X, Y) * direction).sum()
    assert found == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_fusions_apply_inside_of_blocks():
    text = network(impl="fast").build((8, 7, 2)).summary()
    assert "computed together: residual1.conv1+relu1 (activation in place)" in text


def test_activations_of_the_layers_inside_come_first():
    names = [name for name, _ in network().activations(X)]
    assert names[:6] == [
        "conv1",
        "relu1",
        "residual1.conv1",
        "residual1.relu1",
        "residual1.conv2",
        "residual1",
    ]


def test_layers_before_anything_trained_have_no_backward_pass():
    net = Network([ReLU(), Residual([ReLU(), BatchNorm()]), Flatten(), Dense(4), Softmax()])
    steps = net.build((8, 7, 2))._plan.all_steps
    needs = {step.name: step.need_dA_prev for step in steps}
    assert needs["relu1"] is False
    assert needs["residual1"] is False
    assert needs["residual1.batch_norm1"] is False
    assert needs["flatten1"] is True
    assert net.train(X, Y, 0.1)[0] > 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Residual(Conv2D(2, 1)),
            OptionError,
            "layers must be a list of layers. Got Conv2D",
        ),
        (lambda: Block([]), OptionError, "layers is empty: a block needs at least one layer."),
        (
            lambda: Network([Residual([Conv2D(4, 3)])]).build((8, 7, 2)),
            ShapeError,
            "residual1: cannot add: its layers give shape (6, 5, 4), its shortcut (8, 7, 2). Give"
            " it a projection",
        ),
        (
            lambda: Network([Block([Dense(3)])]).build((8, 7, 2)),
            ShapeError,
            "needs samples that are one row of numbers",
        ),
        (
            lambda: Network([layer := ReLU(), Block([layer])]),
            OptionError,
            "a layer object stands in the list twice",
        ),
        (
            lambda: Network([make_layer({"type": "relu", "name": "a"}) for _ in "ab"]),
            OptionError,
            "name: two layers are named 'a'.",
        ),
        (
            lambda: Network([make_layer({"type": "relu", "name": "a.b"})]),
            OptionError,
            "name must have no dot. Got 'a.b'.",
        ),
    ],
)
def test_mistakes(make, error, message):
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)


def test_branches_of_concat_must_agree_but_for_channels():
    wrong = Concat([Conv2D(2, 1), Conv2D(2, 3)])
    with pytest.raises(ShapeError, match="its branches must agree but for channels"):
        Network([wrong, Flatten(), Dense(4), Softmax()]).build((8, 7, 2))
    with pytest.raises(OptionError, match="needs at least one branch"):
        Concat()
