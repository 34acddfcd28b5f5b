"""Random networks against PyTorch: trees of layers, any geometry, any cut, both precisions."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.nn.networks import IMPLEMENTATIONS
from tests.nn.random_networks import BOUND, largest_difference
from tests.nn.rounding import rounding

FEW, MANY = 12, 150  # networks of each implementation


@pytest.mark.parametrize("seed", range(FEW))
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_random_network_is_that_of_pytorch(impl, seed):
    assert largest_difference(seed, impl) < BOUND


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_random_networks_in_float32_are_those_of_pytorch_but_for_rounding(impl):
    found = {seed: rounding(seed, impl, steps=1) for seed in range(FEW)}
    assert not {seed: value for seed, value in found.items() if not value.part <= 1}
    assert sum(value.compared for value in found.values()) > FEW / 2


@pytest.mark.long
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_many_random_networks_are_those_of_pytorch(impl):
    """600 networks; a failure names their seeds."""
    found = {seed: largest_difference(seed, impl) for seed in range(1000, 1000 + MANY)}
    assert not {seed: value for seed, value in found.items() if not value < BOUND}


@pytest.mark.long
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_many_random_networks_in_float32(impl):
    found = {seed: rounding(seed, impl).part for seed in range(1000, 1000 + MANY)}
    assert not {seed: value for seed, value in found.items() if not value <= 1}
