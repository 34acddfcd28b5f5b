"""Optimizers against steps worked by hand, and against PyTorch where it is installed."""

import numpy as np
import pytest

from cnnexp.errors import OptionError
from cnnexp.nn.parameters import Parameter
from cnnexp.train import OPTIMIZERS
from cnnexp.train.optimizer import limit_norms
from cnnexp.train.optimizers import LAMB, SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from tests.cases import in_one_test


def parameters_of(size, biases=0):
    """Names and kinds of parameters: first some biases, then weights."""
    return [
        Parameter("b", "bias", slice(0, biases), (biases,)),
        Parameter("W", "weight", slice(biases, size), (size - biases,)),
    ]


def steps(optimizer, gradients, learning_rate=0.1, start=1.0):
    """What is subtracted from one weight, step by step."""
    values, names = np.array([start]), parameters_of(1)
    state, found = optimizer.initial_state(names, values), []
    for gradient in gradients:
        before = float(values[0])
        assert optimizer.step(values, np.array([gradient]), state, learning_rate, names)
        found.append(before - float(values[0]))
    return found


PLAIN = SGD(momentum=0.0)


def test_plain_descent_worked_by_hand():
    assert steps(PLAIN, [1.0, 2.0]) == pytest.approx([0.1, 0.2])


def test_momentum_worked_by_hand():
    # v = 1, then 0.9·1 + 2 = 2.9
    assert steps(SGD(momentum=0.9, nesterov=False), [1.0, 2.0]) == pytest.approx([0.1, 0.29])


def test_nesterov_worked_by_hand():
    # 1 + 0.9·1 = 1.9, then 2 + 0.9·2.9 = 4.61
    found = steps(SGD(momentum=0.9, nesterov=True), [1.0, 2.0])
    assert found == pytest.approx([0.19, 0.461])


def test_nesterov_without_momentum_is_plain_descent():
    assert steps(SGD(momentum=0.0, nesterov=True), [1.0, 2.0]) == pytest.approx([0.1, 0.2])


def test_weight_decay_worked_by_hand():
    # The parameter is 1, then 1 - 0.1·(1 + 0.5·1) = 0.85: gradients 1.5 and 2.425
    assert steps(SGD(momentum=0.0, weight_decay=0.5), [1.0, 2.0]) == pytest.approx([0.15, 0.2425])


def test_adam_worked_by_hand():
    # First: m = 0.1, v = 0.001; corrected 1 and 1. Second: m = 0.09 + 0.2 = 0.29, corrected by
    # 1 - 0.9² = 0.19; v = 0.000999 + 0.004 = 0.004999, corrected by 1 - 0.999² = 0.001999.
    second = (0.29 / 0.19) / np.sqrt(0.004999 / 0.001999)
    assert steps(Adam(), [1.0, 2.0]) == pytest.approx([0.1, 0.1 * second], rel=1e-6)
    # With an epsilon of 1 the first step is halved: 1 / (1 + 1).
    assert steps(Adam(epsilon=1.0), [1.0]) == pytest.approx([0.05])


def test_clipping_worked_by_hand():
    assert steps(SGD(momentum=0.0, clip_value=0.5), [1.0, -2.0, 0.1]) == pytest.approx(
        [0.05, -0.05, 0.01]
    )
    values, names = np.zeros(2), parameters_of(2)
    optimizer = SGD(momentum=0.0, clip_norm=1.0)
    # (3, 4) has norm 5, so it becomes (0.6, 0.8), but for the addend of 1e-6
    assert optimizer.step(values, np.array([3.0, 4.0]), {}, 1.0, names)
    assert values == pytest.approx([-0.6, -0.8], rel=1e-6)


def test_decay_that_spares_biases():
    values, names = np.ones(3), parameters_of(3, biases=1)
    optimizer = SGD(momentum=0.0, weight_decay=0.5, decay_biases=False)
    assert optimizer.step(values, np.zeros(3), {}, 0.1, names)
    assert values == pytest.approx([1, 0.95, 0.95])


def test_decoupled_decay_is_not_scaled_by_the_moments():
    # Adam's first step is the rate, 0.1; the decay adds 0.1 · 0.5 · 1.
    assert steps(AdamW(weight_decay=0.5), [1.0]) == pytest.approx([0.15])


def test_lion_worked_by_hand():
    # Means 0, then 0.01·1; signs of 0.1·1 and of 0.9·0.01 - 0.1·0.01: both above zero
    assert steps(Lion(), [1.0, -0.01]) == pytest.approx([0.1, 0.1])
    # Decoupled decay: the rate times 1 + 0.5 · 1
    assert steps(Lion(weight_decay=0.5), [1.0]) == pytest.approx([0.15])


def test_lamb_worked_by_hand():
    # Adam's first update is (1, 1), of norm √2; the weights (3, 4) have norm 5.
    values, names = np.array([3.0, 4.0]), parameters_of(2)
    optimizer = LAMB(weight_decay=0.0, epsilon=1e-12)
    state = optimizer.initial_state(names, values)
    assert optimizer.step(values, np.array([0.5, 2.0]), state, 0.1, names)
    assert values == pytest.approx(np.array([3.0, 4.0]) - 0.1 * 5 / np.sqrt(2))


def test_lamb_leaves_arrays_of_zeros_to_adam():
    values, names = np.zeros(2), parameters_of(2)
    optimizer = LAMB()
    assert optimizer.step(values, np.ones(2), optimizer.initial_state(names, values), 0.1, names)
    assert values == pytest.approx([-0.1, -0.1], rel=1e-5)


def test_rmsprop_worked_by_hand():
    # Mean squares 0.01·1 and 0.99·0.01 + 0.01·4 = 0.0499
    expected = [0.1 / np.sqrt(0.01), 0.1 * 2 / np.sqrt(0.0499)]
    assert steps(RMSprop(), [1.0, 2.0]) == pytest.approx(expected, rel=1e-6)


def test_l1_pulls_weights_towards_zero_and_may_spare_biases():
    values, names = np.array([1.0, -2.0, 0.0, 3.0]), parameters_of(4, biases=1)
    optimizer = SGD(momentum=0.0, l1=0.5, decay_biases=False)
    assert optimizer.step(values, np.zeros(4), {}, 0.1, names)
    assert values == pytest.approx([1.0, -1.95, 0.0, 2.95])


def test_weights_of_a_unit_have_a_largest_norm():
    # Two units: (3, 4) of norm 5 becomes (0.6, 0.8), (0.1, 0.2) stays; the bias is left alone.
    values = np.array([9.0, 3.0, 0.1, 4.0, 0.2])
    names = [
        Parameter("b", "bias", slice(0, 1), (1,)),
        Parameter("W", "weight", slice(1, 5), (2, 2)),
    ]
    limit_norms(values, names, 1.0)
    assert values == pytest.approx([9.0, 0.6, 0.1, 0.8, 0.2])
    assert SGD(momentum=0.0, max_norm=0.5).step(values, np.zeros(5), {}, 0.1, names)
    assert values == pytest.approx([9.0, 0.3, 0.1, 0.4, 0.2])


CASES = [
    ("sgd", {"momentum": 0.0, "nesterov": False}),
    ("sgd", {"momentum": 0.9, "nesterov": False}),
    ("sgd", {"momentum": 0.8, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    ("sgd", {"momentum": 0.0, "nesterov": False, "weight_decay": 0.1}),
    ("adam", {}),
    ("adam", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}),
    ("adam", {"weight_decay": 0.05}),
    ("adamw", {"weight_decay": 0.05}),
    ("adagrad", {}),
    ("adagrad", {"weight_decay": 0.05}),
    ("rmsprop", {}),
    ("rmsprop", {"decay": 0.9, "momentum": 0.8, "weight_decay": 0.02}),
    ("nadam", {}),
    ("nadam", {"beta1": 0.8, "weight_decay": 0.02}),
]
NOT_IN_PYTORCH = [("lion", {}), ("lamb", {})]
CLIPS = [{}, {"clip_norm": 2.0}, {"clip_value": 0.5}]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@in_one_test(("name", "options"), CASES)
def test_equals_pytorch_over_fifty_steps(name, options, clip, request):
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)  # of NAdam's product of momenta
    request.addfinalizer(lambda: torch.set_default_dtype(torch.float32))
    theirs = dict(options)
    if "adam" in name:
        betas = (theirs.pop("beta1", 0.9), theirs.pop("beta2", 0.999))
        theirs |= {"betas": betas, "eps": theirs.pop("epsilon", 1e-8)}
    if name in ("adagrad", "rmsprop"):
        theirs |= {"eps": OPTIMIZERS[name]().epsilon}
    if name == "rmsprop":
        theirs["alpha"] = theirs.pop("decay", 0.99)
    rng = np.random.default_rng(0)
    values, names = rng.standard_normal(50), parameters_of(50, biases=7)
    tensor = torch.tensor(values.copy())
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    kinds |= {"adagrad": torch.optim.Adagrad, "rmsprop": torch.optim.RMSprop}
    kinds["nadam"] = torch.optim.NAdam
    peer = kinds[name]([tensor], lr=0.03, **theirs)
    optimizer = OPTIMIZERS[name](**options, **clip)
    state = optimizer.initial_state(names, values)
    for k in range(50):
        gradient, rate = rng.standard_normal(50), 0.03 / (k + 1)
        tensor.grad = torch.tensor(gradient.copy())
        if "clip_norm" in clip:
            torch.nn.utils.clip_grad_norm_([tensor], clip["clip_norm"])
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_([tensor], clip["clip_value"])
        peer.param_groups[0]["lr"] = rate
        peer.step()
        assert optimizer.step(values, gradient, state, rate, names)
        np.testing.assert_allclose(values, tensor.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@in_one_test(("name", "options"), [*CASES, *NOT_IN_PYTORCH])
def test_chunks_change_nothing_and_the_dtype_is_kept(name, options, dtype):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((3, 40)).astype(dtype)
    found, names = [], parameters_of(40, biases=9)
    for chunk in (1 << 15, 7, 1):
        optimizer = OPTIMIZERS[name](**options, clip_norm=1.0)
        values = np.linspace(-1, 1, 40).astype(dtype)
        state = optimizer.initial_state(names, values)
        kept = dict(state)
        for gradient in gradients:
            assert optimizer.step(values, gradient.copy(), state, 0.1, names, chunk)
        assert values.dtype == dtype
        assert all(state[key] is array for key, array in kept.items())  # advanced in place
        assert all(state[key].dtype == dtype for key in state if key not in ("steps", "momenta"))
        found.append(values.tobytes())
    assert found[0] == found[1] == found[2]


@in_one_test(("name", "options"), [*CASES, *NOT_IN_PYTORCH])
def test_a_step_that_is_not_finite_changes_no_parameter(name, options):
    values, names = np.linspace(-1, 1, 9).astype(np.float32), parameters_of(9)
    optimizer, before = OPTIMIZERS[name](**options), values.copy()
    state = optimizer.initial_state(names, values)
    gradient = np.ones(9, np.float32)
    gradient[4] = np.inf
    assert not optimizer.step(values, gradient, state, 0.1, names)
    np.testing.assert_array_equal(values, before)


@in_one_test(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1.0), "momentum must be at least 0 and below 1. Got 1.0."),
        (lambda: SGD(momentum=-0.1), "momentum must be at least 0 and below 1. Got -0.1."),
        (lambda: SGD(weight_decay=-1.0), "weight_decay must be at least 0. Got -1.0."),
        (lambda: SGD(weight_decay=float("nan")), "weight_decay must be at least 0. Got nan."),
        (lambda: Adam(beta1=1.0), "beta1 must be at least 0 and below 1. Got 1.0."),
        (lambda: Adam(beta2=-1.0), "beta2 must be at least 0 and below 1. Got -1.0."),
        (lambda: Adam(epsilon=0.0), "epsilon must be above 0. Got 0.0."),
        (lambda: SGD(clip_norm=0.0), "clip_norm must be above 0, and finite. Got 0.0."),
        (lambda: SGD(l1=-1.0), "l1 must be at least 0. Got -1.0."),
        (lambda: SGD(max_norm=0.0), "max_norm must be above 0, and finite. Got 0.0."),
        (lambda: Lion(beta1=1.0), "beta1 must be at least 0 and below 1. Got 1.0."),
        (lambda: RMSprop(decay=1.0), "decay must be at least 0 and below 1. Got 1.0."),
        (lambda: Adagrad(epsilon=0.0), "epsilon must be above 0. Got 0.0."),
        (lambda: RMSprop(epsilon=-1.0), "epsilon must be above 0. Got -1.0."),
        (lambda: NAdam(momentum_decay=-1.0), "momentum_decay must be at least 0. Got -1.0."),
        (lambda: SGD(momentum="much"), "momentum must be a number. Got 'much'."),
        (lambda: AdamW(clip_value=-1.0), "clip_value must be above 0, and finite. Got -1.0."),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(OptionError) as raised:
        make()
    assert str(raised.value) == message
