"""``cnnexp inspect stride-groups``: which pixels each element of a filter meets, and when."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from cnnexp.app.arguments import parser_of
from cnnexp.app.screen import telling
from cnnexp.engine.window import Padding, Window
from cnnexp.errors import OptionError, ShapeError, require
from cnnexp.report.inside.meetings import lines_of
from cnnexp.report.inside.stride_groups import check_drawable, save_stride_groups

EPILOG = """\
Pixels are numbered row by row from 1, the elements of the filter have letters. In one group no
pixel is met twice, so the group is one slice of the image and one matrix product.

examples
  python -m cnnexp inspect stride-groups --input 4x4 --filter 2
  python -m cnnexp inspect stride-groups --input 28x28 --filter 3 --stride 2 --padding same
  python -m cnnexp inspect stride-groups --input 4x4 --filter 2 --out groups.png
"""


def main(words: list[str]) -> int:
    """Print the stride groups of a window, or draw them."""
    given = _parser().parse_args(words)
    window = window_of(given)
    if given.out is None:
        print("\n".join(lines_of(window)).rstrip())
        return 0
    require("matplotlib", "--out", "plots")
    check_drawable(window, given.out)
    with telling(given.out):
        save_stride_groups(given.out, window)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(
        "inspect stride-groups",
        EPILOG,
        "Show which pixels each element of a filter meets in each stride group.",
    )
    add = parser.add_argument
    add("--input", required=True, metavar="4x4", help="pixels, rows x columns")
    add("--filter", required=True, metavar="2", help="its width, or 2x2")
    add("--stride", type=int, default=1, metavar="1", help="pixels from position to position")
    add(
        "--padding",
        default="valid",
        metavar="0",
        help="valid (none), same, or pixels on every side",
    )
    add("--out", type=Path, metavar="FILE.png", help="draw it; .svg and .pdf too")
    return parser


def window_of(given: argparse.Namespace) -> Window:
    """Return the window that the words ask for.

    Raises
    ------
    OptionError
        If one of them cannot be read.
    ShapeError
        If the filter does not fit on the image.
    """
    image = _two_numbers("--input", given.input, "4x4: rows and columns")
    rows, cols = _two_numbers("--filter", given.filter, "2, or 2x2")
    if rows != cols:
        raise OptionError(
            f"--filter {given.filter}: filters here are square. Write --filter {rows}."
        )
    if given.stride < 1:
        raise OptionError(f"--stride must be at least 1. Got {given.stride}.")
    padding: Padding = given.padding
    if given.padding.isascii() and given.padding.isdigit():
        padding = int(given.padding)
    try:
        return Window.over(image, rows, given.stride, padding)
    except OptionError as error:
        raise OptionError(f"--{error}") from None
    except ShapeError as error:
        raise ShapeError(f"{error}.") from None


def _two_numbers(option: str, text: str, example: str) -> tuple[int, int]:
    """Read ``4x6``, or ``4`` for both, or say how it is written."""
    match = re.fullmatch(r"([0-9]{1,9})(?:[x×]([0-9]{1,9}))?", text)
    numbers = [int(number) for number in match.groups(match[1])] if match else [0]
    if min(numbers) < 1:
        raise OptionError(f"{option} {text}: must be written as {example}, in pixels.")
    return numbers[0], numbers[1]
