"""The memory that a pass gets: which requests share it, and what it looks like."""

import numpy as np
import pytest

from cnnexp.engine import Context
from tests.engine.geometries import orders


def test_an_array_like_another_has_its_shape_its_kind_and_its_order_in_memory():
    for kind in (np.float32, np.float64):
        for array in orders(np.zeros((2, 3, 4), kind)):
            found = Context().like("name", array)
            assert (found.shape, found.dtype, found.strides) == ((2, 3, 4), kind, array.strides)


def test_an_array_like_another_may_be_of_another_kind():
    found = Context().like("name", np.zeros((2, 3)), np.float32)
    assert (found.shape, found.dtype) == ((2, 3), np.float32)


def test_a_smaller_array_of_the_same_name_is_the_beginning_of_the_same_memory():
    context = Context(reuse=True)
    large = context.array("name", (3, 4), np.float64)
    large[...] = np.arange(12).reshape(3, 4)
    small = context.array("name", (2, 3), np.float64)
    assert small.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert context.bytes == 12 * 8
    assert context.array("name", (3, 4), np.float64).base is small.base


@pytest.mark.parametrize(
    ("shape", "kind", "numbers"), [((4, 4), np.float64, 16), ((3, 4), np.int64, 12)]
)
def test_a_larger_array_or_one_of_another_kind_gets_new_memory(shape, kind, numbers):
    context = Context(reuse=True)
    first = context.array("name", (3, 4), np.float64)
    second = context.array("name", shape, kind)
    assert (second.shape, second.dtype) == (shape, kind)
    assert not np.shares_memory(first, second)
    assert context.bytes == 8 * numbers


def test_another_name_has_other_memory_and_without_reuse_every_request():
    context = Context(reuse=True)
    arrays = [context.array(name, (3,), np.float64) for name in ("one", "two")]
    assert not np.shares_memory(*arrays)
    context = Context()
    arrays = [context.array("one", (3,), np.float64) for _ in range(2)]
    assert not np.shares_memory(*arrays)
    assert context.bytes == 0


def test_zeros_are_zero_again_at_every_request():
    context = Context(reuse=True)
    context.zeros("name", (2, 2), np.float64)[...] = 5
    assert not context.zeros("name", (2, 2), np.float64).any()
