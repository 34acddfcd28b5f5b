"""Classes or real values: recognised, or said."""

import numpy as np
import pytest

from cnnexp.data import Dataset
from cnnexp.data.dataset import Preparation
from cnnexp.data.scale import Scale
from cnnexp.data.targets import targets_of
from cnnexp.errors import DataError
from tests.data.made import Numbered

CLASSES = {
    "whole numbers": (np.array([0, 2, 1]), [0, 2, 1], ("0", "1", "2")),
    "floats that are whole": (np.array([0.0, 2.0, 1.0]), [0, 2, 1], ("0", "1", "2")),
    "a column": (np.array([[0], [1], [1]], np.uint8), [0, 1, 1], ("0", "1")),
    "one-hot rows": (np.eye(3)[[2, 0, 1]], [2, 0, 1], ("0", "1", "2")),
    "text": (np.array(["b", "a", "b"]), [1, 0, 1], ("a", "b")),
    "bytes": (np.array([b"b", b"a", b"b"]), [1, 0, 1], ("a", "b")),
    "yes or no": (np.array([True, False, True]), [1, 0, 1], ("0", "1")),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_looks_like_classes(kind):
    given, expected, names = CLASSES[kind]
    found = targets_of([given], None, "x")
    assert (found.parts[0].tolist(), found.classes) == (expected, names)


def test_what_looks_like_real_values():
    found = targets_of([np.array([0.5, 1])], None, "x")
    assert (found.parts[0].tolist(), found.classes) == ([[0.5], [1]], ())
    assert targets_of([np.array([[1, 2], [3, 4]])], None, "x").parts[0].tolist() == [[1, 2], [3, 4]]
    assert targets_of([np.array([1, 2])], "regression", "x").parts[0].tolist() == [[1], [2]]


def test_both_parts_are_of_one_kind():
    found = targets_of([np.array([0, 1]), np.array([0.5, 1])], None, "x")
    assert found.classes == ()
    found = targets_of([np.array(["a"]), np.array(["b"])], None, "x")
    assert [part.tolist() for part in found.parts] == [[0], [1]]


@pytest.mark.parametrize(
    ("Y", "task", "message"),
    [
        (np.array([0, np.nan]), None, "must be finite"),
        (np.array([0, np.inf]), "regression", "must be finite"),
        (np.array([0.5, 1]), "classification", "must be whole numbers, one for each sample"),
        (np.array(["a"]), "regression", "needs numbers. Its targets are text"),
        (np.array([["a"]]), None, "must be one for each sample"),
        (np.array([1j]), None, "must be numbers or text. Got <c16."),
        (np.array([-1, 2]), None, "must be at least 0. Found -1."),
        (np.array([10**10]), None, "would make 10,000,000,001 classes; at most 100,000"),
        (np.array([1e300]), None, "at most 100,000"),
    ],
)
def test_targets_that_are_refused(Y, task, message):
    with pytest.raises(DataError) as raised:
        targets_of([Y], task, "x")
    assert str(raised.value).startswith("x: ")
    assert message in str(raised.value)


class Measured(Numbered):
    """Images whose targets are two real values: ten times their number, and a constant."""

    stratified = True  # has no meaning for real values

    def load(self):
        raw = super().load()
        number = raw.X[:, 0, 0, 0].astype(float)
        raw.Y, raw.classes = np.stack([10 * number, 0 * number + 3], axis=1), ()
        return raw


def test_real_values_are_standardised_and_given_back():
    found = Dataset.prepare(Measured(), Preparation(), "float64")
    assert found.classes == ()
    assert found.target_shape == (2,)
    np.testing.assert_allclose(found.train.Y.mean(axis=0), [0, 0], atol=1e-12)
    np.testing.assert_allclose(found.train.Y.std(axis=0), [1, 0], atol=1e-12)
    number = found.test.X[:, 0, 0, 0] * 200
    expected = np.stack([10 * number, 0 * number + 3], axis=1)
    np.testing.assert_allclose(found.in_units(found.test.Y), expected)
    plain = Dataset.prepare(Measured(), Preparation(target_scaling="none"))
    np.testing.assert_allclose(plain.test.Y, expected, rtol=1e-6)
    assert "real values" in repr(plain)


def test_a_source_may_give_a_single_value_without_an_axis():
    class Single(Measured):
        def load(self):
            raw = super().load()
            raw.Y = raw.Y[:, 0]
            raw.X_test, raw.Y_test = raw.X[:5], raw.Y[:5]
            return raw

    found = Dataset.prepare(Single(), Preparation(split="official"))
    assert (found.target_shape, Single().load().target_shape) == ((1,), (1,))
    assert found.test.Y.shape == (5, 1)


def test_a_scale_is_the_same_after_it_was_written_down():
    for scale in (Scale(1 / 3, 0.1, 7.0), Scale(np.array([1 / 3, 2]), np.array([0.1, 0]), 1.0)):
        found = Scale.from_record(scale.as_record())
        values = np.random.default_rng(0).normal(size=(5, 2))
        np.testing.assert_array_equal(found(values, "float32"), scale(values, "float32"))
        np.testing.assert_allclose(scale.undo(scale(values, "float64")), values)


class Odd(Numbered):
    """A source of someone's own that gives what no network can learn."""

    change = staticmethod(lambda raw: None)

    def load(self):
        raw = super().load()
        raw.X, raw.Y = raw.X.astype(float), raw.Y.astype(float)
        self.change(raw)
        return raw


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.X.__setitem__(3, np.nan), "must be finite numbers. Sample 3, counted"),
        (lambda raw: raw.X.__setitem__(7, np.inf), "Sample 7, counted from 0, holds inf."),
        (lambda raw: raw.Y.__setitem__(3, np.nan), "labels or targets must be finite numbers"),
        (lambda raw: raw.Y.__setitem__(3, 0.5), "labels of classes must be whole numbers"),
        (lambda raw: setattr(raw, "Y", raw.Y[:-1]), "50 samples, and 49 targets"),
    ],
)
def test_what_a_source_gives_is_looked_at(change, message):
    source = Odd()
    source.change = change
    with pytest.raises(DataError, match=message):
        Dataset.prepare(source, Preparation())


def test_labels_of_numbers_that_are_no_characters_are_refused():
    """Python itself raises SystemError for them."""
    labels = np.array([0x110000, 97], np.uint32).view("<U1")
    with pytest.raises(DataError, match=r"x\.npz: damaged"):
        targets_of([labels], None, "x.npz")
