from __future__ import annotations

import math

from cnnexp.report.terminal import bar, chart


def text_of(lines: list) -> list[str]:  # type: ignore[type-arg]
    return [line.plain for line in lines]


def test_a_falling_line_is_drawn_dot_by_dot() -> None:
    # 8 x 8 dots: the line runs from the top left to the bottom right corner
    assert text_of(chart({"test": [1.0, 0.0]}, width=4, height=2)) == [
        "1 ┤⠑⢄",
        "0 ┤  ⠑⢄ test",
        "   1  2 epoch",
    ]


def test_two_lines_are_named_at_their_ends_in_their_order() -> None:
    lines = text_of(chart({"train": [1.0, 0.0], "test": [1.0, 0.05]}, width=4, height=4))
    assert lines[2].endswith("test") and lines[3].endswith("train")


def test_a_wide_range_is_drawn_logarithmically() -> None:
    lines = text_of(chart({"a": [1.0, 0.1, 0.01]}, width=5, height=3))
    assert lines[-1].endswith("logarithmic axis")
    assert lines[0].startswith("   1 ┤") and lines[2].startswith("0.01 ┤")
    assert lines[1].strip("│ ") != ""  # the middle value is in the middle


def test_one_epoch_is_a_dot_and_no_epoch_is_nothing() -> None:
    assert text_of(chart({"a": [0.5]}, width=3, height=2))[0] == "0.5 ┤⠁   a"
    assert chart({"a": [], "b": [math.nan]}, width=3, height=2) == []
    assert chart({}, width=3, height=2) == []


def test_figures_that_are_not_finite_are_left_out() -> None:
    assert chart({"a": [1.0, math.inf]}, 3, 2)[0].plain.startswith("1 ┤")


def test_all_zeros_lie_at_the_bottom() -> None:
    assert text_of(chart({"a": [0.0, 0.0]}, width=2, height=2))[1] == "0 ┤⣀⣀ a"


def test_bars_are_exact_to_an_eighth_of_a_character() -> None:
    assert [bar(share, 2) for share in (0, 1 / 16, 0.5, 0.75, 1)] == ["", "▏", "█", "█▌", "██"]
    assert bar(-0.1, 5) == ""
