"""Results and gradients of every implementation, in both precisions, against PyTorch and SciPy.

Geometries are single layers with a window: convolutions of every kind and both poolings, of random
sizes, kernels, strides, paddings, dilations, groups and channels; result and gradients of input,
weights and biases are compared. Networks are random trees of layers, trained for some steps; loss,
gradients, running statistics and predictions are compared. How much rounding may do is derived in
`tests/nn/random_geometries.py` and `tests/nn/rounding.py`; what differs by more has failed.

Without PyTorch geometries are compared with SciPy alone, and networks are left out. A seed that
failed is tried again by ``--first SEED --geometries 1 --networks 1``.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from cnnexp.engine import IMPLEMENTATIONS
from experiments.benchmarks.machine import has_torch
from experiments.benchmarks.page import markdown

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "results and gradients against PyTorch and SciPy"
SHOWN = ("what", "impl", "dtype", "tried", "compared", "undecided", "eps", "part", "failed")
GEOMETRIES, NETWORKS = 10_000, 2_000
QUICK = 40, 4
IMPLS = ("naive", "sg", "im2col", "fast", "compiled")
DTYPES = ("float64", "float32")
STEPS = {"naive": 1}  # of training, beside 2 for all others

Row = dict[str, Any]


def installed() -> list[str]:
    """Return the implementations that are installed."""
    return [impl for impl in IMPLS if not IMPLEMENTATIONS[impl].missing()]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--geometries", type=int, default=None, help=f"{GEOMETRIES:,}")
    parser.add_argument("--networks", type=int, default=None, help=f"{NETWORKS:,}")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="of the first of both")


def measure(chosen: argparse.Namespace) -> Iterator[Row]:
    """Try geometries, then networks."""
    counts = QUICK if chosen.quick else (GEOMETRIES, NETWORKS)
    asked = (chosen.geometries, chosen.networks)
    geometries, networks = (b if a is None else a for a, b in zip(asked, counts, strict=True))
    yield from try_geometries(range(chosen.first, chosen.first + geometries))
    if has_torch():
        yield from try_networks(range(chosen.first, chosen.first + networks))
    else:
        print("  networks are left out: PyTorch is not installed (pip install '.[peers]')")


class _Tally:
    """What was found of one kind, under one implementation in one precision."""

    def __init__(self) -> None:
        self.seeds: set[int] = set()
        self.failing: set[int] = set()
        self.compared = self.undecided = 0
        self.eps = self.part = 0.0

    def row(self) -> Row:
        return {
            "tried": len(self.seeds),
            "compared": self.compared,
            "undecided": self.undecided,
            "eps": self.eps,
            "part": self.part,
            "failed": len(self.failing),
            "failing": " ".join(["seeds", *map(str, sorted(self.failing)[:20])]),
        }

    def take(self, seed: int, eps: float, part: float, compared: int = 1) -> None:
        """Take one comparison; a part above 1, or nan, has failed."""
        self.seeds.add(seed)
        self.compared += compared
        if not part <= 1:
            self.failing.add(seed)
        self.eps, self.part = max(self.eps, eps), max(self.part, part)


def try_geometries(seeds: range) -> Iterator[Row]:
    """Compare every implementation on some geometries, and yield a row for each kind of layer."""
    from tests.nn.random_geometries import differences

    tallies: dict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
    start, oracles, impls = time.process_time(), set(), installed()
    for seed in seeds:
        for found in differences(seed, impls):
            exact = 0.0 if found.units == 0 else float("inf")
            part = found.units / found.allowed if found.allowed else exact
            tallies[found.kind, found.impl, found.dtype].take(seed, found.units, part)
            oracles.add(found.oracle)
    seconds = time.process_time() - start
    yield from _rows(tallies, " and ".join(sorted(oracles)), seconds)


def try_networks(seeds: range) -> Iterator[Row]:
    """Compare every implementation on some networks."""
    from tests.nn.rounding import rounding

    tallies: dict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
    start, impls = time.process_time(), installed()
    for seed in seeds:
        for impl in impls:
            for dtype in DTYPES:
                found = rounding(seed, impl, dtype, STEPS.get(impl, 2))
                tally = tallies["network", impl, dtype]
                tally.take(seed, found.eps, found.part, found.compared)
                tally.undecided += found.undecided
    yield from _rows(tallies, "PyTorch", time.process_time() - start)


def _rows(
    tallies: dict[tuple[str, str, str], _Tally], oracles: str, seconds: float
) -> Iterator[Row]:
    for what, impl, dtype in sorted(tallies, key=lambda k: (k[0], IMPLS.index(k[1]), k[2])):
        row = {"what": what, "impl": impl, "dtype": dtype, "oracles": oracles}
        yield row | tallies[what, impl, dtype].row() | {"cpu_seconds": seconds}


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    networks = frame[frame["what"] == "network"]
    layers = frame[frame["what"] != "network"]
    one = layers[(layers["impl"] == "fast") & (layers["dtype"] == "float64")]
    text = (
        "## Numbers\n\n"
        f"{one['tried'].sum():,} layers with a window, of random geometries, were computed by"
        f" every implementation in both precisions, and compared with {_oracles(layers)}:"
        " result and gradients of input, weights and biases. "
    )
    if len(networks):
        text += (
            f"{networks['tried'].max():,} random networks were trained for two steps (one under"
            f" `naive`) and compared with {_oracles(networks)}: loss, gradients, running"
            " statistics, predictions."
        )
    text += (
        " The figures are the largest differences from the oracle in units of `eps`, the spacing of"
        " the precision at 1 (2.2e-16 and 1.2e-7). Differences of layers are relative to the"
        " largest sum of absolute values, those of networks to the largest number. The last row"
        " divides the difference of networks by what rounding may do, given how much the network"
        " itself enlarges a change of its numbers by one `eps`; above 1 would be a failure."
        " `fast` and `compiled` compute convolutions with enough channels by Winograd's method,"
        " which rounds more.\n\n"
    )
    return f"{text}{_table(layers, networks)}\n{_verdict(frame, networks)}"


def _oracles(frame: pd.DataFrame) -> str:
    return str(frame["oracles"].iloc[0])


def _table(layers: pd.DataFrame, networks: pd.DataFrame) -> str:
    """Return the largest differences by kind of layer, implementation and precision."""
    columns = list(product(DTYPES, layers["impl"].unique()))
    cells = [_cells(what, part, "eps", columns) for what, part in layers.groupby("what")]
    if len(networks):
        cells.append(_cells("network", networks, "eps", columns))
        cells.append(_cells("network, part of allowed", networks, "part", columns))
    header = ["", "tried", *(f"{impl}, {dtype}" for dtype, impl in columns)]
    return markdown(header, cells)


def _cells(
    what: str, frame: pd.DataFrame, figure: str, columns: list[tuple[str, str]]
) -> list[str]:
    found = frame.set_index(["dtype", "impl"])
    return [
        what,
        f"{frame['tried'].max():,}",
        *(f"{found.loc[column, figure]:.2g}" for column in columns),
    ]


def _verdict(frame: pd.DataFrame, networks: pd.DataFrame) -> str:
    """Say what failed, and what could not be compared."""
    failed = frame[frame["failed"] > 0]
    text = f"Of {frame['compared'].sum():,} comparisons none differs by more than rounding."
    if len(failed):
        which = (f"{r.what} under {r.impl} in {r.dtype}: {r.failing}" for r in failed.itertuples())
        text = f"These differ by more than rounding: {'; '.join(which)}."
    if len(networks):
        undecided, compared = networks["undecided"].sum(), networks["compared"].sum()
        text += (
            f" {undecided:,} of {undecided + compared:,} passes of networks were not compared:"
            " a value lay so near to a kink (the 0 of a ReLU, two candidates of a max-pool) that"
            " rounding decides on which side it falls."
        )
    minutes = frame.groupby("oracles")["cpu_seconds"].first().sum() / 60
    return f"{text} All of it took {minutes:.1f} minutes of processor time.\n"
