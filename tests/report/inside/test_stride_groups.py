"""Which pixels each element of a filter meets: by hand, by brute force, and as a picture."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from cnnexp.engine.window import Window
from cnnexp.errors import OptionError
from cnnexp.report.inside.meetings import (
    elements,
    groups_of,
    heading,
    lines_of,
    outputs_of,
    pixels_met,
)
from cnnexp.report.inside.stride_groups import (
    GIVEN,
    check_drawable,
    color_of,
    draw_stride_groups,
    save_stride_groups,
)

# The example of the original's page, worked out by hand (its own list for C in group 1 is wrong).
BY_HAND = [
    ([1, 3, 7, 9], [[1, 3, 9, 11], [2, 4, 10, 12], [5, 7, 13, 15], [6, 8, 14, 16]]),
    ([2, 8], [[2, 10], [3, 11], [6, 14], [7, 15]]),
    ([4, 6], [[5, 7], [6, 8], [9, 11], [10, 12]]),
    ([5], [[6], [7], [10], [11]]),
]
GEOMETRIES = [
    ((4, 4), 2, 1, "valid"),
    ((5, 7), 3, 2, "same"),
    ((6, 4), 3, 1, 1),
    ((9, 8), 2, 3, "valid"),
    ((1, 6), 1, 2, "valid"),
    ((3, 3), 3, 1, "same"),
]


def met_by(window: Window) -> list[tuple[list[int], list[list[int]]]]:
    """Return outputs and meetings of each group."""
    return [
        (
            list(outputs_of(window, group)),
            [list(pixels_met(window, group, *place)) for place in elements(window.rows.width)],
        )
        for group in groups_of(window)
    ]


def test_the_example_of_four_by_four_pixels() -> None:
    assert met_by(Window.over((4, 4), 2, 1, "valid")) == BY_HAND


@pytest.mark.parametrize(("image", "width", "stride", "padding"), GEOMETRIES)
def test_every_output_meets_its_own_pixels_once(
    image: tuple[int, int], width: int, stride: int, padding: int | str
) -> None:
    """Compare with the definition: output (y, x) meets pixel (y·s + row - top, …)."""
    window = Window.over(image, width, stride, padding)
    expected = {}
    for y, x in itertools.product(*map(range, window.out)):
        for row, col in elements(width):
            at = (y * stride + row - window.rows.before, x * stride + col - window.cols.before)
            inside = all(0 <= place < size for place, size in zip(at, image, strict=True))
            output = y * window.out[1] + x + 1
            expected[output, row, col] = at[0] * image[1] + at[1] + 1 if inside else 0
    found = {}
    for outputs, meetings in met_by(window):
        seen = [pixel for pixels in meetings for pixel in pixels if pixel]
        assert len(seen) == len(set(seen)), "a pixel is met twice in a group"
        for (row, col), pixels in zip(elements(width), meetings, strict=True):
            for output, pixel in zip(outputs, pixels, strict=True):
                assert (output, row, col) not in found
                found[output, row, col] = pixel
    assert found == expected


def test_text_of_the_example() -> None:
    lines = lines_of(Window.over((4, 4), 2, 1, "valid"))
    assert lines[0] == "a 2x2 filter over 4x4 pixels, stride 1: 3x3 outputs in 4 stride groups"
    assert "A B        1  2  3  4" in lines
    at = lines.index("group 1: outputs 1, 3, 7, 9")
    assert lines[at + 3] == "  C meets 5, 7, 13, 15"


def test_padding_is_said() -> None:
    window = Window.over((6, 7), 3, 2, "same")
    assert "with padding (bottom 1, left 1, right 1), stride 2" in heading(window)
    assert "  A meets ·, 4, ·, 32" in lines_of(window)


def test_huge_geometries_are_shortened() -> None:
    for window in (
        Window.over((10**6, 10**6), 3, 1, "valid"),
        Window.over((10**6, 10**6), 5, 1, 2),
        Window.over((10**9, 10**9), 10**5, 1, "valid"),
    ):
        lines = lines_of(window)
        assert len(lines) < 140
        assert max(map(len, lines)) < 200
    assert "further groups" in lines_of(Window.over((99, 99), 7, 1, "valid"))[-1]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("image", "width", "stride", "padding"), GEOMETRIES)
@pytest.mark.few(2)
def test_a_drawing_shows_every_group_with_its_lists(
    image: tuple[int, int], width: int, stride: int, padding: int | str
) -> None:
    window = Window.over(image, width, stride, padding)
    shown = texts(draw_stride_groups(window))
    for number, (outputs, meetings) in enumerate(met_by(window), 1):
        assert any(words.startswith(f"group {number}: {len(outputs)} output") for words in shown)
        if len(outputs) <= 9:
            numbers = ", ".join(str(pixel) if pixel else "·" for pixel in meetings[0])
            assert f"A × {numbers}" in shown


@pytest.mark.parametrize(("image", "width", "stride", "padding"), GEOMETRIES[:2])
def test_each_output_is_given_by_one_group(
    image: tuple[int, int], width: int, stride: int, padding: int | str
) -> None:
    window = Window.over(image, width, stride, padding)
    (axes,) = draw_stride_groups(window).axes
    found = [one.get_facecolor() for one in axes.artists + axes.patches]
    assert found.count(to_rgba(GIVEN)) == window.out[0] * window.out[1]


def test_nothing_is_written_outside_of_the_figure() -> None:
    for image, width, stride, padding in GEOMETRIES[:2]:
        figure = draw_stride_groups(Window.over(image, width, stride, padding))
        renderer = FigureCanvasAgg(figure).get_renderer()
        for text in figure.axes[0].texts:
            box = text.get_window_extent(renderer)
            assert figure.bbox.x0 <= box.x0
            assert box.x1 <= figure.bbox.x1 + 1, text.get_text()


@pytest.mark.long
def test_a_large_image_is_cut_and_it_is_said() -> None:
    figure = draw_stride_groups(Window.over((28, 28), 5, 1, "valid"))
    shown = " ".join(texts(figure))
    assert "the upper left 11x11 of 28x28 pixels and 16 of 25 groups" in shown


def test_colours_tell_elements_apart() -> None:
    for width in (2, 3, 5):
        colors = {color_of(width, row, col) for row, col in elements(width)}
        assert len(colors) == width**2


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
@pytest.mark.few(1)
def test_a_file_is_written(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"groups.{ending}"
    save_stride_groups(path, Window.over((4, 4), 2, 1, "valid"))
    assert path.stat().st_size > 1000


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    window = Window.over((4, 4), 2, 1, "valid")
    with pytest.raises(OptionError, match=r"must end in \.png, \.svg or \.pdf"):
        check_drawable(window, tmp_path / "groups.gif")
    with pytest.raises(OptionError, match="at most 11x11"):
        check_drawable(Window.over((40, 40), 12, 1, "valid"), tmp_path / "groups.png")
