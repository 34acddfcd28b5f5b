"""The pictures of the pages that teach show what is computed."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.docs.pages import ROOT

DRAWINGS = runpy.run_path(str(ROOT / "docs" / "drawings.py"))


def numbers(name: str) -> list[str]:
    """Draw one picture, and return what is written in its cells."""
    draw, size = DRAWINGS["DRAWINGS"][name]
    axes = Figure(figsize=size).add_axes((0, 0, 1, 1))
    draw(axes)
    assert (DRAWINGS["FOLDER"] / f"{name}.png").stat().st_size < 100_000
    return [text.get_text() for text in axes.texts]


def test_the_convolution_is_the_one_that_is_worked_by_hand() -> None:
    shown = numbers("backprop_conv")
    d_filter = DRAWINGS["conv"](DRAWINGS["IMAGE"], DRAWINGS["D_CONV"])
    np.testing.assert_array_equal(d_filter, [[3, 7], [1, 3]])
    assert "A weight: all pixels that it met\n0·1 + 1·(−1) + 3·2 + 1·1 + 1·1 = 7" in shown
    assert "A pixel: all windows that cover it\n0·(−1) − 1·0 + 2·2 + 0·1 = 4" in shown
    at = shown.index("dA_prev")
    cells = [int(cell.replace("−", "-")) for cell in shown[at + 1 : at + 17]]
    assert cells == [1, 2, -1, -2, 0, 1, 4, 1, 1, 2, -1, 2, 0, -1, 0, -1]


@pytest.mark.parametrize(("title", "cells"), [("output", "4 2 1 7"), ("dA", "10 20 30 40")])
def test_the_first_of_equal_pixels_gets_the_gradient(title: str, cells: str) -> None:
    shown = numbers("backprop_pool")
    at = shown.index(title)
    assert shown[at + 1 : at + 5] == cells.split()
    back = shown[shown.index("dA_prev") + 1 :][:16]
    assert back == [
        "0",
        "0",
        "20",
        "0",
        "10",
        "0",
        "0",
        "0",
        "0",
        "30",
        "0",
        "0",
        "0",
        "0",
        "40",
        "0",
    ]
