"""Splitting, limiting, keeping apart, scaling, and batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnexp.data import Dataset
from cnnexp.data.bundled import Digits
from cnnexp.data.dataset import Preparation, epoch_order, split_indices
from cnnexp.errors import DataError, OptionError
from tests.data.made import Numbered


def prepare(source=None, dtype="float32", **options):
    """A data set whose pixels are still the numbers of the samples."""
    return Dataset.prepare(
        source or Numbered(), Preparation(**({"scaling": "none"} | options)), dtype
    )


def numbers(part):
    return part.X[:, 0, 0, 0].astype(int).tolist()


# Splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8, 0.95])
def test_a_split_divides_all_samples(fraction):
    found = prepare(split=fraction)
    assert found.train.count == round(50 * fraction)
    assert sorted(numbers(found.train) + numbers(found.test)) == list(range(50))


def test_a_split_is_shuffled_by_the_seed_of_the_data():
    first, same, other = (numbers(prepare(seed=seed).train) for seed in (0, 0, 1))
    assert first == same != other
    assert first != sorted(first)


def test_labels_stay_with_their_images():
    found = prepare(split=0.7, validation=5)
    for part in (found.train, found.test, found.validation):
        assert part.Y.tolist() == [number % 5 for number in numbers(part)]
        assert part.Y.dtype == np.intp


def test_the_official_split_is_left_as_it_is():
    found = prepare(Numbered(30, test=10), split="official")
    assert numbers(found.train) == list(range(30))
    assert numbers(found.test) == list(range(30, 40))


def test_a_ratio_goes_over_all_samples_together():
    found = prepare(Numbered(30, test=10), split=0.5)
    assert found.train.count == 20
    assert sorted(numbers(found.train) + numbers(found.test)) == list(range(40))
    assert max(numbers(found.train)) >= 30  # official test samples are among them


def test_a_source_without_an_official_split_says_so():
    with pytest.raises(DataError) as raised:
        prepare(split="official")
    assert str(raised.value) == (
        "data.split=official: numbered has no official split. Give the fraction that is trained"
        " on, for example data.split=0.8."
    )


def test_digits_are_divided_alike_in_every_class():
    found = Dataset.prepare(Digits(), Preparation())
    total = np.bincount(np.concatenate([found.train.Y, found.test.Y]))
    assert total.sum() == 1797
    expected = [round(0.8 * count) for count in total]
    assert np.bincount(found.train.Y).tolist() == expected
    assert (found.image_shape, found.classes) == ((8, 8, 1), tuple("0123456789"))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.floats(0.05, 0.95),
    st.booleans(),
)
def test_split_indices_are_a_division(labels, fraction, stratified):
    labels = np.array(labels)
    first, second = split_indices(labels, fraction, 0, stratified)
    assert sorted([*first, *second]) == list(range(len(labels)))
    if stratified:
        for label in np.unique(labels):
            members = np.count_nonzero(labels == label)
            assert np.count_nonzero(labels[first] == label) == round(fraction * members)
    else:
        assert len(first) == round(fraction * len(labels))


# Limit and validation -------------------------------------------------------------------------


def test_a_limit_keeps_the_first_of_either_part_after_the_split():
    whole, found = prepare(), prepare(limit=7)
    assert numbers(found.train) == numbers(whole.train)[:7]
    assert numbers(found.test) == numbers(whole.test)[:7]
    assert prepare(limit=1000).train.count == whole.train.count


@pytest.mark.parametrize(("validation", "count"), [(0.25, 10), (12, 12), (1, 1), (0.01 + 0.02, 1)])
def test_validation_samples_are_taken_from_the_end_of_the_training_part(validation, count):
    whole, found = prepare(), prepare(validation=validation)
    assert numbers(found.train) == numbers(whole.train)[:-count]
    assert numbers(found.validation) == numbers(whole.train)[-count:]
    assert numbers(found.test) == numbers(whole.test)


def test_the_limit_comes_before_the_validation_part():
    whole, found = prepare(), prepare(limit=20, validation=0.5)
    assert numbers(found.train) == numbers(whole.train)[:10]
    assert numbers(found.validation) == numbers(whole.train)[10:20]


@pytest.mark.parametrize("validation", [None, 0, 0.0])
def test_no_validation_part(validation):
    assert prepare(validation=validation).validation is None


@pytest.mark.parametrize("validation", [40, 0.999, 0.001])
def test_a_validation_part_that_leaves_nothing_is_refused(validation):
    with pytest.raises(DataError, match="at least one must be left on either side"):
        prepare(validation=validation)


def test_an_empty_part_is_refused():
    with pytest.raises(DataError, match="no test samples are left"):
        prepare(Numbered(3), split=0.9)
    with pytest.raises(DataError, match="no training samples are left"):
        prepare(Numbered(3), split=0.1)


# Scaling --------------------------------------------------------------------------------------


def test_unit_scaling_goes_from_0_to_1():
    found = prepare(Numbered(201), scaling="unit")
    pixels = np.concatenate([found.train.X, found.test.X])
    assert (pixels.min(), pixels.max()) == (0, 1)
    assert found.scale(np.array([100]), "float64").tolist() == [0.5]


def test_standard_scaling_takes_its_figures_from_the_training_part():
    raw, found = prepare(validation=5), prepare(scaling="standard", validation=5, dtype="float64")
    assert found.train.X.mean() == pytest.approx(0, abs=1e-9)
    assert found.train.X.std() == pytest.approx(1)
    mean, deviation = np.mean(numbers(raw.train)), np.std(numbers(raw.train))
    for part, plain in ((found.test, raw.test), (found.validation, raw.validation)):
        expected = (np.array(numbers(plain)) - mean) / deviation
        np.testing.assert_allclose(part.X[:, 0, 0, 0], expected, atol=1e-9)


def test_images_of_one_colour_can_be_standardised():
    class Grey(Numbered):
        def load(self):
            raw = super().load()
            raw.X = np.full_like(raw.X, 7)
            return raw

    assert not prepare(Grey(), scaling="standard", dtype="float64").train.X.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaling", ["unit", "standard", "none"])
def test_pixels_have_the_dtype_of_the_run(scaling, dtype):
    found = prepare(scaling=scaling, dtype=dtype, validation=3)
    assert {part.X.dtype for part in (found.train, found.test, found.validation)} == {
        np.dtype(dtype)
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "offical"}, "split must be 'official' or a fraction between 0 and 1. Got"),
        ({"split": 1.0}, "split must be 'official' or a fraction between 0 and 1. Got 1.0."),
        ({"split": 0}, "split must be 'official' or a fraction between 0 and 1. Got 0."),
        ({"seed": -1}, "seed must be at least 0. Got -1."),
        ({"limit": 0}, "limit must be at least 1. Got 0."),
        ({"validation": -1}, "validation must be a fraction below 1 or a number of samples"),
        ({"validation": 1.5}, "Got 1.5."),
        ({"scaling": "units"}, "scaling must be one of unit, standard, none. Got 'units'."),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError) as raised:
        Preparation(**options)
    assert message in str(raised.value)


# Order --------------------------------------------------------------------------------------


def test_the_order_of_an_epoch_depends_on_seed_and_epoch():
    orders = {(s, e): tuple(epoch_order(20, s, e)) for s in (0, 1) for e in (1, 2)}
    assert len(set(orders.values())) == 4
    assert all(sorted(order) == list(range(20)) for order in orders.values())
    assert tuple(epoch_order(20, 1, 2)) == orders[1, 2]
