"""Optimizers against steps worked by hand, and against PyTorch where it is installed."""

import numpy as np
import pytest

from cnnexp.errors import OptionError
from cnnexp.train import OPTIMIZERS
from cnnexp.train.optimizers import SGD, Adam


def steps(optimizer, gradients, learning_rate=0.1, start=1.0):
    """What is subtracted from one parameter, step by step."""
    parameters = np.array([start])
    state, found = optimizer.initial_state(parameters), []
    for gradient in gradients:
        optimizer.begin_step(state)
        step = optimizer.update(parameters, np.array([gradient]), state, learning_rate)
        parameters = parameters - step
        found.append(float(step[0]))
    return found


def test_plain_descent_worked_by_hand():
    assert steps(SGD(), [1.0, 2.0]) == pytest.approx([0.1, 0.2])


def test_momentum_worked_by_hand():
    # v = 1, then 0.9·1 + 2 = 2.9
    assert steps(SGD(momentum=0.9), [1.0, 2.0]) == pytest.approx([0.1, 0.29])


def test_nesterov_worked_by_hand():
    # 1 + 0.9·1 = 1.9, then 2 + 0.9·2.9 = 4.61
    found = steps(SGD(momentum=0.9, nesterov=True), [1.0, 2.0])
    assert found == pytest.approx([0.19, 0.461])


def test_nesterov_without_momentum_is_plain_descent():
    assert steps(SGD(nesterov=True), [1.0, 2.0]) == pytest.approx([0.1, 0.2])


def test_weight_decay_worked_by_hand():
    # The parameter is 1, then 1 - 0.1·(1 + 0.5·1) = 0.85: gradients 1.5 and 2.425
    assert steps(SGD(weight_decay=0.5), [1.0, 2.0]) == pytest.approx([0.15, 0.2425])


def test_adam_worked_by_hand():
    # First: m = 0.1, v = 0.001; corrected 1 and 1. Second: m = 0.09 + 0.2 = 0.29, corrected by
    # 1 - 0.9² = 0.19; v = 0.000999 + 0.004 = 0.004999, corrected by 1 - 0.999² = 0.001999.
    second = (0.29 / 0.19) / np.sqrt(0.004999 / 0.001999)
    assert steps(Adam(), [1.0, 2.0]) == pytest.approx([0.1, 0.1 * second], rel=1e-6)
    # With an epsilon of 1 the first step is halved: 1 / (1 + 1).
    assert steps(Adam(epsilon=1.0), [1.0]) == pytest.approx([0.05])


CASES = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.8, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    ("sgd", {"weight_decay": 0.1}),
    ("adam", {}),
    ("adam", {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}),
    ("adam", {"weight_decay": 0.05}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_equals_pytorch(name, options):
    torch = pytest.importorskip("torch")
    theirs = dict(options)
    if name == "adam":
        betas = (theirs.pop("beta1", 0.9), theirs.pop("beta2", 0.999))
        theirs |= {"betas": betas, "eps": theirs.pop("epsilon", 1e-8)}
    rng = np.random.default_rng(0)
    parameters = rng.standard_normal(50)
    tensor = torch.tensor(parameters.copy())
    peer = (torch.optim.SGD if name == "sgd" else torch.optim.Adam)([tensor], lr=0.03, **theirs)
    optimizer = OPTIMIZERS[name](**options)
    state = optimizer.initial_state(parameters)
    for k in range(6):
        gradient = rng.standard_normal(50)
        rate = 0.03 / (k + 1)
        optimizer.begin_step(state)
        tensor.grad = torch.tensor(gradient.copy())
        peer.param_groups[0]["lr"] = rate
        peer.step()
        parameters = parameters - optimizer.update(parameters, gradient.copy(), state, rate)
        np.testing.assert_allclose(parameters, tensor.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_parameters_are_left_alone_and_the_dtype_is_kept(name, options, dtype):
    optimizer = OPTIMIZERS[name](**options)
    parameters = np.linspace(-1, 1, 9).astype(dtype)
    parameters.flags.writeable = False
    state = optimizer.initial_state(parameters)
    kept = dict(state)
    for _ in range(2):
        optimizer.begin_step(state)
        step = optimizer.update(parameters, np.ones(9, dtype), state, 0.1)
        assert step.dtype == dtype
    assert all(state[key] is array for key, array in kept.items())  # advanced in place
    assert all(state[key].dtype == dtype for key in state if key != "steps")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(momentum=1.0), "momentum must be at least 0 and below 1. Got 1.0."),
        (lambda: SGD(momentum=-0.1), "momentum must be at least 0 and below 1. Got -0.1."),
        (lambda: SGD(weight_decay=-1.0), "weight_decay must be at least 0. Got -1.0."),
        (lambda: SGD(weight_decay=float("nan")), "weight_decay must be at least 0. Got nan."),
        (lambda: Adam(beta1=1.0), "beta1 must be at least 0 and below 1. Got 1.0."),
        (lambda: Adam(beta2=-1.0), "beta2 must be at least 0 and below 1. Got -1.0."),
        (lambda: Adam(epsilon=0.0), "epsilon must be above 0. Got 0.0."),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(OptionError) as raised:
        make()
    assert str(raised.value) == message
