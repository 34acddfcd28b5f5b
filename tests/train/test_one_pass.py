"""Steps of optimizers in one pass over memory, against the same steps transform by transform."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp import Dense, Network, Softmax
from cnnexp.nn.parameters import Parameter
from cnnexp.train import OPTIMIZERS
from cnnexp.train.one_pass import one_pass, step_of

PARAMETERS = (
    Parameter("b", "bias", slice(0, 5), (5,)),
    Parameter("W", "weight", slice(5, 25), (4, 5)),
)
TAKEN = [
    ("sgd", {}),
    ("sgd", {"nesterov": False, "weight_decay": 0.1}),
    ("sgd", {"weight_decay": 0.1, "decay_biases": False, "clip_norm": 0.5, "max_norm": 0.8}),
    ("adam", {}),
    ("adam", {"weight_decay": 0.1, "beta1": 0.5}),
    ("adamw", {"weight_decay": 0.1, "decay_biases": False}),
]
LEFT = [
    ("sgd", {"momentum": 0.0}),
    ("sgd", {"clip_value": 0.1}),
    ("adam", {"l1": 0.1}),
    ("adam", {"l1": 0.1, "weight_decay": 0.1}),
    ("lamb", {}),
    ("rmsprop", {}),
]


def network(impl):
    return Network([Dense(2), Softmax()], impl=impl, dtype="float64").build((3,))


@pytest.mark.parametrize(("name", "options"), TAKEN, ids=str)
def test_steps_are_those_of_the_transforms(name, options):
    optimizer = OPTIMIZERS[name](**options)
    whole = one_pass(optimizer, network("compiled"))
    assert whole is not None
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(25), rng.standard_normal((6, 25))
    found = []
    for passes in (None, whole):
        values, state = start.copy(), optimizer.initial_state(PARAMETERS, start)
        for gradient in gradients:
            taken = optimizer.step(
                values, gradient.copy(), state, 0.05, PARAMETERS, chunk=7, one_pass=passes
            )
            assert taken
        found.append([values, *state.values()])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "options"), LEFT, ids=str)
def test_other_chains_are_left_to_the_transforms(name, options):
    assert one_pass(OPTIMIZERS[name](**options), network("compiled")) is None
    assert one_pass(OPTIMIZERS["sgd"](), network("fast")) is None


def test_a_step_that_may_not_be_finite_changes_nothing():
    """The sum of squares overflows; the transforms find out which numbers are not finite."""
    optimizer = OPTIMIZERS["sgd"]()
    whole = one_pass(optimizer, network("compiled"))
    values = np.ones(25)
    for number, taken in ((np.inf, False), (1e200, True)):
        before, gradient = values.copy(), np.full(25, number)
        state = optimizer.initial_state(PARAMETERS, values)
        found = optimizer.step(values, gradient, state, 0.1, PARAMETERS, one_pass=whole)
        assert found is taken
        assert (values == before).all() is np.bool_(not taken)


class SGDW(OPTIMIZERS["sgd"]):
    """Weight decay that is apart from the gradient, behind momentum."""

    decoupled = True


def test_decay_behind_momentum_is_not_forgotten():
    steps = {}
    for impl in ("fast", "compiled"):
        optimizer = SGDW(momentum=0.9, weight_decay=0.5)
        values = np.arange(25.0)
        state = optimizer.initial_state(PARAMETERS, values)
        step = step_of(optimizer, network(impl))
        step(values, np.zeros(25), state, 0.1, PARAMETERS)
        steps[impl] = values
    np.testing.assert_allclose(steps["compiled"], steps["fast"], rtol=1e-14)
    assert (steps["fast"] != np.arange(25.0)).any()


@pytest.mark.parametrize("impl", ["fast", "compiled"])
def test_an_optimizer_with_a_step_of_its_own_is_left_alone(impl):
    class Own(OPTIMIZERS["sgd"]):
        def step(self, values, gradient, state, learning_rate, parameters):
            values -= 1
            return True

    values = np.zeros(25)
    assert step_of(Own(), network(impl))(values, np.ones(25), {}, 0.1, PARAMETERS)
    assert (values == -1).all()
