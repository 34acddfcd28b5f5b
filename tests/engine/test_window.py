import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnexp.engine.window import Axis, Window
from cnnexp.errors import OptionError, ShapeError
from tests.cases import in_one_test
from tests.engine.geometries import GEOMETRIES


@pytest.mark.parametrize(
    ("size", "f", "s", "out", "before", "after"),
    [  # TensorFlow's documented rule, worked by hand: out = ceil(size / s)
        (5, 3, 1, 5, 1, 1),
        (5, 2, 1, 5, 0, 1),
        (6, 3, 2, 3, 0, 1),
        (7, 3, 2, 4, 1, 1),
        (7, 2, 3, 3, 0, 1),
        (4, 1, 2, 2, 0, 0),
    ],
)
def test_same_padding_follows_tensorflow(size, f, s, out, before, after):
    window = Window.over((size, size), f, s, "same")
    assert window.out == (out, out)
    assert (window.rows.before, window.rows.after) == (before, after)


def test_leftover_pixels_are_dropped():
    assert Window.over((8, 7), 3, 3, "valid").out == (2, 2)


@in_one_test("geometry", GEOMETRIES)
def test_group_count_is_the_formula(geometry):
    window = geometry.window
    expected = []
    for axis in (window.rows, window.cols):
        reach, s = (axis.width - 1) * axis.dilation + 1, axis.stride
        expected.append(min(-(-reach // s), (axis.padded - reach) // s + 1))
    assert window.group_count == expected[0] * expected[1] == len(list(window.groups()))


def test_group_count_depends_on_width_and_stride_alone():
    counts = {Window.over((n, n), 3, 1, "valid").group_count for n in range(5, 60)}
    assert counts == {9}
    assert all(Window.over((n, n), 3, 3, "valid").group_count == 1 for n in range(3, 60))
    assert all(Window.over((n, n), 2, 5, "valid").group_count == 1 for n in range(2, 60))


def test_groups_of_the_faqs_example():
    """2x2 window, stride 1, 4x4 image numbered from 1: which pixel the window's corner is on."""
    image = np.arange(1, 17).reshape(4, 4)
    corners = []
    for rows, cols in Window.over((4, 4), 2, 1, "valid").groups():
        positions = image[: rows.stop, : cols.stop]
        corners.append(
            positions[rows.start :: rows.block, cols.start :: cols.block][
                : rows.count, : cols.count
            ]
        )
    # The FAQ's four groups, by the pixels that the filter's first element meets.
    assert [group.ravel().tolist() for group in corners] == [[1, 3, 9, 11], [2, 10], [5, 7], [6]]


@given(
    st.integers(1, 30),
    st.integers(1, 7),
    st.integers(1, 8),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_groups_cover_every_position_once_and_do_not_overlap(size, f, s, before, after, dilation):
    axis = Axis(size, f, s, before, after, dilation)
    if axis.padded < axis.reach:
        return
    positions = np.zeros(axis.out, int)
    for group in axis.groups():
        members = np.arange(axis.out)[group.positions]
        positions[members] += 1
        assert len(members) == group.count
        starts = members * s
        assert np.all(starts == group.start + group.block * np.arange(group.count))
        assert np.all(np.diff(starts) >= axis.reach)  # no two windows of a group overlap
        assert group.stop <= axis.extent
    assert np.all(positions == 1)


@pytest.mark.parametrize(
    ("size", "f", "padding", "dilation", "message"),
    [
        ((4, 4), 5, "valid", 1, "a 5x5 window does not fit on an image of 4x4"),
        ((4, 9), 5, "valid", 1, "a 5x5 window does not fit on an image of 4x9"),
        ((9, 4), (3, 5), "valid", 1, "a 3x5 window does not fit on an image of 9x4"),
        # the padding is counted: 4 + 2 · 1 = 6
        ((4, 9), 7, 1, 1, "a 7x7 window does not fit on an image of 6x11 with padding 1"),
        # three pixels that lie two apart reach over five
        ((4, 9), 3, "valid", 2, "a 3x3 window with dilation 2 does not fit on an image of 4x9"),
    ],
)
def test_a_window_that_does_not_fit_is_refused(size, f, padding, dilation, message):
    with pytest.raises(ShapeError, match=f"^{message}$"):
        Window.over(size, f, 1, padding, dilation)


@pytest.mark.parametrize("padding", ["full", -1, 1.5, True, [1], [[1, 2], 3, 4], [[1, -2], 0]])
def test_unknown_padding_is_refused(padding):
    with pytest.raises(OptionError, match="padding must be"):
        Window.over((4, 4), 2, 1, padding)
