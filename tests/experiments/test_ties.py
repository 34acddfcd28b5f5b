"""The measurement of ties: its sums are in one order, and both gradients agree."""

import numpy as np

from experiments.ties import convolved, measure


def test_ties_are_counted_and_gradients_agree():
    rng = np.random.default_rng(0)
    X = np.zeros((16, 10, 10, 1))
    X[:, 5:, 5:] = rng.random((16, 5, 5, 1))
    tied, zero, differences = measure(X, np.arange(16) % 10, 0, "relu", "same")
    assert 0.2 < tied < 0.6
    assert 0.2 < zero < 0.6
    assert max(differences) < 1e-12


def test_the_convolution_gives_equal_bits_for_equal_patches():
    A = np.tile(np.random.default_rng(1).random((1, 3, 3, 8)), (1, 3, 3, 1))
    Z = convolved(A, np.random.default_rng(2).standard_normal((3, 3, 8, 2)), 0)
    assert (Z[0, ::3, ::3] == Z[0, 0, 0]).all()
