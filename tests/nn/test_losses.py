"""Losses against numbers worked by hand, SciPy, PyTorch and finite differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from cnnexp import (
    LOSSES,
    METRICS,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Flatten,
    Focal,
    Hinge,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
)
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.losses import Loss, binary_error, class_indices, real_targets
from tests.cases import in_one_test
from tests.nn.torch_networks import loss_of


def loss_and_gradient(loss, Z, targets, scale=1.0):
    total, cache = loss.forward(Z, targets)
    return total, loss.backward(cache, scale)


def test_cross_entropy_worked_by_hand():
    # Logits log 1, log 2, log 4: probabilities 1/7, 2/7, 4/7. The second sample is even.
    Z = np.array([[0.0, math.log(2), math.log(4)], [5.0, 5.0, 5.0]])
    total, dZ = loss_and_gradient(CrossEntropy(), Z, np.array([1, 0]), 1 / 2)
    assert total == pytest.approx(math.log(7 / 2) + math.log(3))
    expected = [[1 / 14, 2 / 14 - 1 / 2, 4 / 14], [1 / 6 - 1 / 2, 1 / 6, 1 / 6]]
    np.testing.assert_allclose(dZ, expected)
    # The first sample's largest logit is its third; of three equal ones the first counts.
    assert METRICS["error"](Z, np.array([1, 0])) == 1


def test_label_smoothing_worked_by_hand():
    # Two classes, smoothing 0.2: the target is (0.1, 0.9); probabilities 1/2 each.
    total, dZ = loss_and_gradient(CrossEntropy(0.2), np.zeros((1, 2)), np.array([1]))
    assert total == pytest.approx(math.log(2))
    np.testing.assert_allclose(dZ, [[0.4, -0.4]])


def test_mean_squared_error_worked_by_hand():
    # (1² + 3²) / 2 = 5 for the first sample, 0 for the second
    Z, targets = np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[0.0, 0.0], [2.0, 2.0]])
    total, dZ = loss_and_gradient(MeanSquaredError(), Z, targets, 1 / 2)
    assert total == 5
    assert dZ.tolist() == [[0.5, 1.5], [0, 0]]
    assert METRICS["mean_absolute_error"](Z, targets) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("large", [1e2, 1e4, 1e30])
def test_extreme_logits(large, dtype):
    """The loss is the distance of the logits; nothing overflows, and nothing is clipped."""
    Z = np.array([[large, 0.0], [0.0, large], [-large, 0.0], [-large, -large]], dtype)
    total, dZ = loss_and_gradient(CrossEntropy(), Z, np.array([1, 1, 1, 0]))
    assert total == pytest.approx(large + 0 + 0 + math.log(2), rel=1e-6)
    np.testing.assert_allclose(dZ, [[1, -1], [0, 0], [0, 0], [-0.5, 0.5]], atol=1e-30)
    assert dZ.dtype == dtype


def test_a_right_and_certain_answer_costs_nothing():
    total, dZ = loss_and_gradient(CrossEntropy(), np.array([[0.0, 800.0]]), np.array([1]))
    assert total == 0
    assert not dZ.any()


def test_logits_that_are_not_finite_are_not_hidden():
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            total, _ = CrossEntropy().forward(np.array([[bad, 0.0]]), np.array([0]))
        assert not math.isfinite(total)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(2, 5),
    st.floats(0.1, 30),
    st.sampled_from([0.0, 0.1, 0.7]),
)
def test_cross_entropy_equals_scipy_and_finite_differences(seed, n_m, classes, size, smoothing):
    rng = np.random.default_rng(seed)
    Z, targets = size * rng.standard_normal((n_m, classes)), rng.integers(0, classes, n_m)
    wanted = (1 - smoothing) * np.eye(classes)[targets] + smoothing / classes

    def value(logits):
        return -(wanted * log_softmax(logits, axis=1)).sum()

    total, dZ = loss_and_gradient(CrossEntropy(smoothing), Z, targets, 1 / n_m)
    assert total == pytest.approx(value(Z), abs=1e-9)
    direction = rng.standard_normal(Z.shape)
    slope = (value(Z + 1e-6 * direction) - value(Z - 1e-6 * direction)) / 2e-6
    assert (dZ * direction).sum() == pytest.approx(slope / n_m, abs=1e-5)
    np.testing.assert_allclose(dZ.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 0.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_takes_mixed_targets(smoothing, weights):
    """Rows of numbers, as mixup makes them; rows with a single 1 are as class indices."""
    rng = np.random.default_rng(0)
    loss, Z = CrossEntropy(smoothing, weights), rng.standard_normal((6, 4))
    targets = rng.dirichlet(np.ones(4), 6)
    total, dZ = loss_and_gradient(loss, Z, targets, 1 / 6)
    wanted = ((1 - smoothing) * targets + smoothing / 4) * np.array(weights or 1)
    assert total == pytest.approx(-(wanted * log_softmax(Z, axis=1)).sum())
    direction = rng.standard_normal(Z.shape)
    (above, _), (below, _) = (
        loss.forward((Z + step * direction).copy(), targets) for step in (1e-6, -1e-6)
    )
    assert (dZ * direction).sum() == pytest.approx((above - below) / 2e-6 / 6, abs=1e-6)
    labels = rng.integers(0, 4, 6)
    for found, expected in zip(
        loss_and_gradient(loss, Z, np.eye(4)[labels]),
        loss_and_gradient(loss, Z, labels),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_mixed_targets_are_those_of_pytorch(smoothing):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    Z, targets = rng.standard_normal((6, 4)), rng.dirichlet(np.ones(4), 6)
    logits = torch.tensor(Z, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(logits, torch.tensor(targets))
    expected.backward()
    total, dZ = loss_and_gradient(CrossEntropy(smoothing), Z, targets, 1 / 6)
    assert total / 6 == pytest.approx(expected.item())
    np.testing.assert_allclose(dZ, logits.grad.numpy(), atol=1e-12)


LOSS_CASES = [
    CrossEntropy(),
    CrossEntropy(0.1),
    CrossEntropy(class_weights=[1.0, 0.5, 2.0, 0.0, 1.5]),
    CrossEntropy(0.2, [1.0, 0.5, 2.0, 0.0, 1.5]),
    Focal(),
    Focal(0.5),
    Hinge(),
    Hinge(0.3),
    BinaryCrossEntropy(),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(0.4),
]


def targets_for(loss, rng, n_m, n):
    if isinstance(loss, (CrossEntropy, Focal, Hinge)):
        return rng.integers(0, n, n_m)
    if isinstance(loss, BinaryCrossEntropy):
        return rng.random((n_m, n))
    return rng.standard_normal((n_m, n))


def test_every_loss_has_a_case():
    assert {type(loss) for loss in LOSS_CASES} == {LOSSES[name] for name in LOSSES}


@in_one_test("loss", LOSS_CASES)
def test_micro_batches_add_up_and_inputs_stay(loss):
    rng = np.random.default_rng(0)
    Z, targets = rng.standard_normal((9, 5)), targets_for(loss, rng, 9, 5)
    before = Z.copy()
    whole, dZ = loss_and_gradient(loss, Z, targets, 1 / 9)
    parts = [
        loss_and_gradient(loss, Z[at], targets[at], 1 / 9) for at in (slice(0, 4), slice(4, 9))
    ]
    assert sum(part[0] for part in parts) == pytest.approx(whole)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), dZ)
    np.testing.assert_array_equal(Z, before)


@pytest.mark.parametrize("loss", LOSS_CASES, ids=str)
def test_equals_pytorch(loss):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    Z, targets = rng.standard_normal((7, 5)), targets_for(loss, rng, 7, 5)
    tensor = torch.tensor(Z, requires_grad=True)
    value = loss_of(loss, tensor, torch.tensor(targets))
    value.backward()
    total, dZ = loss_and_gradient(loss, Z, targets, 1 / 7)
    assert total / 7 == pytest.approx(value.item(), rel=1e-13)
    np.testing.assert_allclose(dZ, tensor.grad.numpy(), atol=1e-15)


@in_one_test("loss", LOSS_CASES)
def test_gradients_equal_finite_differences(loss):
    rng = np.random.default_rng(3)
    Z, targets = rng.standard_normal((4, 5)), targets_for(loss, rng, 4, 5)
    _, dZ = loss_and_gradient(loss, Z, targets)
    for index in np.ndindex(Z.shape):
        step = np.zeros_like(Z)
        step[index] = 1e-6
        slope = (loss.forward(Z + step, targets)[0] - loss.forward(Z - step, targets)[0]) / 2e-6
        assert dZ[index] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@in_one_test("loss", LOSS_CASES)
def test_large_outputs_give_finite_losses_of_the_same_type(loss, dtype):
    rng = np.random.default_rng(0)
    Z, targets = (rng.standard_normal((6, 5)) * 1e4).astype(dtype), targets_for(loss, rng, 6, 5)
    if targets.dtype.kind == "f":
        targets = targets.astype(dtype)
    total, dZ = loss_and_gradient(loss, Z, targets, 1 / 6)
    assert np.isfinite(total) and np.isfinite(dZ).all()
    assert dZ.dtype == dtype


def test_losses_worked_by_hand():
    # focal: p = 1/2, (1/2)² · log 2
    assert Focal().forward(np.zeros((1, 2)), np.array([0]))[0] == pytest.approx(math.log(2) / 4)
    # hinge: margins 1 - 2 + 1.5 and 1 - 2 + 0, over 3 classes
    Z = np.array([[2.0, 1.5, 0.0]])
    assert Hinge().forward(Z, np.array([0]))[0] == pytest.approx(0.5 / 3)
    # binary cross-entropy: log(1 + e^-2) for a right one, log 2 for a doubtful one
    total, _ = BinaryCrossEntropy().forward(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]]))
    assert total == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2)
    # Huber: 0.5² / 2 and 1 · (3 - 1/2), over 2 outputs; absolute: (0.5 + 3) / 2
    Z, targets = np.array([[0.5, 3.0]]), np.zeros((1, 2))
    assert Huber().forward(Z, targets)[0] == pytest.approx((0.125 + 2.5) / 2)
    assert MeanAbsoluteError().forward(Z, targets)[0] == pytest.approx(1.75)


def test_a_single_output_says_yes_or_no():
    net = Network([Flatten(), Dense(1, activation="sigmoid")], loss="binary_cross_entropy")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3, 3, 1))
    Y = (X.sum(axis=(1, 2, 3)) > 0).astype(float)
    errors = [net.train(X, Y, 1.0)[1] for _ in range(60)]
    assert errors[0] > 0.2 and errors[-1] < 0.05
    assert net.predict(X).shape == (60, 1)
    with pytest.raises(ShapeError, match="must lie between 0 and 1"):
        net.train(X, Y + 1, 1.0)


def test_class_weights_are_as_many_as_classes():
    net = Network(
        [Flatten(), Dense(3, activation="softmax")], loss=CrossEntropy(class_weights=[1, 2])
    )
    with pytest.raises(ShapeError, match="class_weights must be 3 numbers"):
        net.train(np.ones((2, 2, 2, 1)), np.array([0, 1]), 0.1)


def test_top_k_errors_worked_by_hand():
    Z = np.array([[5.0, 4, 3, 2, 1, 0], [5, 4, 3, 3, 1, 0], [1, 1, 1, 1, 1, 1]])
    assert METRICS["top_3_error"](Z, np.array([2, 3, 3])) == 2  # of equal ones the first counts
    assert METRICS["top_5_error"](Z, np.array([5, 4, 4])) == 1


def test_a_batch_of_as_many_samples_as_classes_is_not_mistaken():
    """Four labels for four classes are labels; a 4x4 identity is one-hot rows."""
    labels = np.array([3, 2, 1, 0])
    np.testing.assert_array_equal(class_indices(labels, 4), labels)
    np.testing.assert_array_equal(class_indices(np.eye(4)[labels], 4), labels)


def test_real_targets_have_the_shape_of_the_outputs():
    assert real_targets([1, 2, 3], (1,), "float32").tolist() == [[1], [2], [3]]
    assert real_targets(np.ones((2, 3)), (3,), "float64").shape == (2, 3)
    assert real_targets(np.ones((2, 3, 4)), (3, 4, 1), "float64").shape == (2, 3, 4, 1)
    for wrong in (np.ones((2, 4)), np.ones(6)):
        with pytest.raises(ShapeError, match="Got shape"):
            real_targets(wrong, (3,), "float32")
    with pytest.raises(ShapeError, match="not finite"):
        real_targets([[np.nan]], (1,), "float32")


def test_an_own_loss_takes_labels_as_one_hot_rows():
    class Own(Loss):
        def forward(self, Z, targets):
            return float(np.abs(Z - targets).sum()), np.sign(Z - targets)

        def backward(self, cache, scale):
            return cache * scale

    Z = np.array([[1.0, 0, 0], [0, 0, 0]])
    targets = Own().check_targets(np.array([0, 2]), (3,), "float64")
    assert Own().forward(Z, targets)[0] == 1.0


def test_options_are_checked():
    with pytest.raises(OptionError, match="label_smoothing must be at least 0 and below 1"):
        CrossEntropy(1.0)


def test_a_regression_is_learnt_and_has_no_error():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    Y = X @ [1.0, -2.0, 0.5] + 3
    net = Network([Dense(8, activation="tanh"), Dense(1)], loss="mean_squared_error")
    first, error = net.train(X, Y, 0.1)
    assert error is None
    for _ in range(300):
        net.train(X, Y, 0.1)
    A, loss, error = net.evaluate(X, Y)
    assert A.shape == (200, 1)
    assert loss < first / 20
    assert error is None
    assert loss == pytest.approx(np.mean((A[:, 0] - Y) ** 2), rel=1e-5)


def test_classes_may_be_learnt_by_mean_squared_error():
    X, Y = np.random.default_rng(0).random((12, 4, 4, 1)), np.arange(12) % 3
    net = Network([Flatten(), Dense(3)], loss=MeanSquaredError(), metrics=["error"])
    assert net.figures == ("loss", "error")
    A, loss, error = net.evaluate(X, Y)
    assert loss == pytest.approx(np.mean((A - np.eye(3)[Y]) ** 2), rel=1e-5)
    assert error == np.mean(A.argmax(axis=1) != Y)


def test_metrics_that_were_asked_for_are_measured():
    net = Network([Flatten(), Dense(2)], loss="mean_squared_error", metrics=["mean_absolute_error"])
    X, Y = np.random.default_rng(0).random((5, 3)), np.ones((5, 2))
    A, figures = net.evaluate_figures(X, Y)
    assert figures["mean_absolute_error"] == pytest.approx(np.abs(A - Y).mean(), rel=1e-6)
    sums, _ = net.gradients(X, Y)
    assert net.means(sums) == pytest.approx(figures, rel=1e-6)


def test_an_average_loss_of_no_samples_is_nothing():
    loss = BinaryCrossEntropy()
    assert loss.forward(np.zeros((0, 3)), np.zeros((0, 3)))[0] == 0.0


def test_smoothing_is_a_share():
    for share in (-0.5, 1.0):
        with pytest.raises(OptionError, match="label_smoothing must be at least 0 and below 1"):
            CrossEntropy(label_smoothing=share)


def test_indices_stand_for_one_hot_rows_of_as_many_outputs():
    outputs = np.array([[1.0, -1.0, -1.0], [1.0, 1.0, -1.0]])
    assert binary_error(outputs, np.array([0, 2])) == pytest.approx(0 + 3 / 3)


def test_which_losses_there_are_and_which_need_classes():
    values = {"mean_squared_error", "mean_absolute_error", "huber", "binary_cross_entropy"}
    assert {name for name in LOSSES if LOSSES[name].needs_classes} == {
        *("cross_entropy", "focal", "hinge"),
    }
    assert {name for name in LOSSES if not LOSSES[name].needs_classes} == values
