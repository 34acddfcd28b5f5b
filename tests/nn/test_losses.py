"""Softmax with cross-entropy, against numbers worked by hand and against finite differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from cnnexp.nn.losses import NO_LOSS, Loss, labels_of, softmax_cross_entropy


def test_worked_by_hand():
    # Scores log 1, log 2, log 4: probabilities 1/7, 2/7, 4/7. The second sample is even.
    Z = np.array([[0.0, math.log(2), math.log(4)], [5.0, 5.0, 5.0]])
    loss, dZ = softmax_cross_entropy(Z, np.array([1, 0]), batch=2)
    assert loss.loss_sum == pytest.approx(math.log(7 / 2) + math.log(3))
    assert loss.loss == pytest.approx((math.log(7 / 2) + math.log(3)) / 2)
    # The first sample's largest score is its third; of three equal ones the first counts.
    assert (loss.wrong, loss.samples, loss.error) == (1, 2, 0.5)
    expected = [[1 / 14, 2 / 14 - 1 / 2, 4 / 14], [1 / 6 - 1 / 2, 1 / 6, 1 / 6]]
    np.testing.assert_allclose(dZ, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("large", [1e2, 1e4, 1e30])
def test_extreme_scores(large, dtype):
    """The loss is the distance of the scores; nothing overflows, and nothing is clipped."""
    Z = np.array([[large, 0.0], [0.0, large], [-large, 0.0], [-large, -large]], dtype)
    loss, dZ = softmax_cross_entropy(Z, np.array([1, 1, 1, 0]), batch=1)
    assert loss.loss_sum == pytest.approx(large + 0 + 0 + math.log(2), rel=1e-6)
    np.testing.assert_allclose(dZ, [[1, -1], [0, 0], [0, 0], [-0.5, 0.5]], atol=1e-30)
    assert dZ.dtype == dtype


def test_a_right_and_certain_answer_costs_nothing():
    loss, dZ = softmax_cross_entropy(np.array([[0.0, 800.0]]), np.array([1]), batch=1)
    assert loss.loss == 0
    assert not dZ.any()


def test_scores_that_are_not_finite_are_not_hidden():
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            loss, _ = softmax_cross_entropy(np.array([[bad, 0.0]]), np.array([0]), batch=1)
        assert not math.isfinite(loss.loss)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 5), st.floats(0.1, 30))
def test_equals_scipy_and_finite_differences(seed, n_m, classes, size):
    rng = np.random.default_rng(seed)
    Z, labels = size * rng.standard_normal((n_m, classes)), rng.integers(0, classes, n_m)

    def value(scores):
        return -log_softmax(scores, axis=1)[np.arange(n_m), labels].sum()

    loss, dZ = softmax_cross_entropy(Z, labels, batch=n_m)
    assert loss.loss_sum == pytest.approx(value(Z), abs=1e-9)
    direction = rng.standard_normal(Z.shape)
    slope = (value(Z + 1e-6 * direction) - value(Z - 1e-6 * direction)) / 2e-6
    assert (dZ * direction).sum() == pytest.approx(slope / n_m, abs=1e-5)
    np.testing.assert_allclose(dZ.sum(axis=1), 0, atol=1e-12)


def test_pieces_of_a_batch_add_up():
    rng = np.random.default_rng(0)
    Z, labels = rng.standard_normal((9, 4)), rng.integers(0, 4, 9)
    whole, dZ = softmax_cross_entropy(Z, labels, batch=9)
    parts = [softmax_cross_entropy(Z[at], labels[at], 9) for at in (slice(0, 4), slice(4, 9))]
    total = NO_LOSS + parts[0][0] + parts[1][0]
    assert total.loss_sum == pytest.approx(whole.loss_sum)
    assert total[1:] == whole[1:]
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), dZ)


def test_the_gradient_goes_where_it_is_wanted_and_scores_stay():
    Z = np.random.default_rng(0).standard_normal((3, 4))
    before, into = Z.copy(), np.empty_like(Z)
    _, dZ = softmax_cross_entropy(Z, np.array([0, 1, 2]), 3, dZ=into)
    assert dZ is into
    np.testing.assert_array_equal(Z, before)


def test_no_samples_have_no_mean():
    assert math.isnan(NO_LOSS.loss)
    assert math.isnan(NO_LOSS.error)
    with pytest.raises(TypeError):
        Loss(1.0, 0, 1) + 1


def test_a_batch_of_as_many_samples_as_classes_is_not_mistaken():
    """Four labels for four classes are labels; a 4x4 identity is one-hot rows."""
    labels = np.array([3, 2, 1, 0])
    np.testing.assert_array_equal(labels_of(labels, 4), labels)
    np.testing.assert_array_equal(labels_of(np.eye(4)[labels], 4), labels)
