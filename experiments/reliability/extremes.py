"""Numbers at the edges: large logits, denormal numbers, zeros, constants, one sample, one class.

The cases are those of `tests/nn/extremes.py`. Loss, gradients and predictions of every
implementation in both precisions are compared with PyTorch's, which computes them in float64 from
the same numbers. Without PyTorch they are compared with `naive` in float64.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.machine import has_torch
from experiments.benchmarks.page import markdown
from experiments.reliability.numbers import installed

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "large logits, denormal numbers, zeros, one sample, one class"
SHOWN = ("case", "impl", "dtype", "loss", "outcome")
DTYPES = ("float64", "float32")
GOOD = "as the oracle"

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """There are none: all cases together take seconds."""


def measure(chosen: argparse.Namespace) -> Iterator[Row]:
    """Try every case."""
    from tests.nn import extremes

    oracle, impls = extremes.pytorch if has_torch() else _naive, installed()
    for case in extremes.CASES:
        for dtype in DTYPES:
            wanted = oracle(case, dtype)
            for impl in impls:
                found = extremes.ours(case, impl, dtype)
                yield {
                    "case": case,
                    "impl": impl,
                    "dtype": dtype,
                    "oracle": "PyTorch" if has_torch() else "naive in float64",
                    "loss": float(found["loss"]),
                    "outcome": "; ".join(extremes.faults(found, wanted, dtype)) or GOOD,
                }


def _naive(case: str, dtype: str) -> Any:
    from tests.nn import extremes

    return extremes.ours(case, "naive", "float64")


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    impls = list(frame["impl"].unique())
    cells = [
        [case, dtype, f"{part['loss'].iloc[0]:.6g}", *part["outcome"]]
        for (case, dtype), part in frame.groupby(["case", "dtype"], sort=False)
    ]
    wrong = int((frame["outcome"] != GOOD).sum())
    return (
        "## Extremes\n\n"
        "Networks with extreme numbers: loss, gradients and predictions are"
        f" compared with those of {frame['oracle'].iloc[0]}. Of {len(frame)} comparisons"
        f" {wrong or 'none'} {'differ' if wrong != 1 else 'differs'}. One class gives a loss and an"
        " error of 0 and no gradient: there is nothing to tell apart. Batch normalisation of a"
        " single value per channel gives its shift and no gradient, where PyTorch refuses."
        " `tests/nn/test_extremes.py` tests both. It also tries images, filters and gradients up to"
        " a 32nd of the largest number, 1e37 in float32: a convolution must not overflow where its"
        " definition does not.\n\n" + markdown(["case", "precision", "loss", *impls], cells)
    )
