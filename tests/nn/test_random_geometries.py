"""Random geometries of every layer with a window, against PyTorch and SciPy, in both precisions."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexp import Conv2D, MaxPool2D, Network
from tests.nn import random_geometries
from tests.nn.random_geometries import KINDS, computed, differences, draw
from tests.nn.scipy_layers import layer_by_scipy

FEW, MANY = 30, 1000


def check(seeds):
    failed = {seed: [d for d in differences(seed) if d.failed] for seed in seeds}
    failed = {f"{seed}: {draw(seed, d[0].dtype)}": d[0] for seed, d in failed.items() if d}
    assert not failed


def test_random_geometries_are_those_of_pytorch_and_scipy():
    check(range(FEW))


@pytest.mark.long
def test_many_random_geometries():
    """A failure names seed and layer."""
    check(range(1000, 1000 + MANY))


def test_every_kind_is_drawn_and_compared_with_scipy_where_it_has_the_operation():
    found = [d for seed in range(FEW) for d in differences(seed, ["sg"], "SciPy")]
    assert {d.kind for d in found} == set(KINDS)
    assert {d.array for d in found if d.kind == "max_pool"} == {"Z"}
    assert {d.array for d in found if d.kind == "avg_pool"} == {"Z", "dA"}
    assert {d.array for d in found if d.kind == "conv"} == {"Z", "dA", "conv1.W", "conv1.b"}


def test_scipy_gives_what_is_worked_by_hand():
    layer, A = Conv2D(1, 2), np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, ..., None]
    Network([layer], loss="mean_squared_error").build((3, 3, 1))
    params = {"conv1.W": np.array([1.0, 0, 0, 10]).reshape(2, 2, 1, 1), "conv1.b": np.array([5.0])}
    found = layer_by_scipy(layer, A, np.array([1.0, 0, 0, 2]).reshape(1, 2, 2, 1), params)
    assert found["Z"].ravel().tolist() == [1 + 50 + 5, 2 + 60 + 5, 4 + 80 + 5, 5 + 90 + 5]
    assert found["dA"].ravel().tolist() == [1, 0, 0, 0, 10 + 2, 0, 0, 0, 20]
    assert found["conv1.W"].ravel().tolist() == [1 + 10, 2 + 12, 4 + 16, 5 + 18]
    assert found["conv1.b"].tolist() == [3]


@pytest.mark.parametrize("wrong", [1e-6, np.nan])
def test_a_wrong_number_fails(monkeypatch, wrong):
    """One number that is off by a millionth, or none, is found."""

    def spoilt(trial, impl):
        found = computed(trial, impl)
        found["Z"].flat[0] += wrong
        return found

    monkeypatch.setattr(random_geometries, "computed", spoilt)
    assert any(d.failed for d in differences(0, ["fast"]))


def test_the_first_of_equal_candidates_gets_the_gradient_on_both_sides():
    torch_networks = pytest.importorskip("tests.nn.torch_networks")
    pytest.importorskip("torch")
    layer = MaxPool2D(2)
    net = Network([layer], loss="mean_squared_error", dtype="float64").build((2, 2, 1))
    found = torch_networks.Peer(net).vjp(np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 1)), {})
    assert found["dA"].ravel().tolist() == [1, 0, 0, 0]
