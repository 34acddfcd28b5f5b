"""The order of steps that the lesson on speed and the pages claim holds in the kept results."""

from __future__ import annotations

import argparse
import csv

import numpy as np
import pytest

from experiments.benchmarks import naive_to_fast, results

ONE, MANY = naive_to_fast.LAYERS
FIRST, LAST = naive_to_fast.LAYOUTS
CLAIMS = [
    # layer, pass, the slower (step, layout), the faster (step, layout)
    (ONE, "both", ("shifted slices", LAST), ("stride groups", LAST)),
    *(
        (ONE, "both", (step, layout), ("im2col", layout))
        for step in ("shifted slices", "stride groups")
        for layout in (FIRST, LAST)
    ),
    *(
        (ONE, "both", ("conv, ReLU, pool", layout), ("together", layout))
        for layout in (FIRST, LAST)
    ),
    (ONE, "both", ("stride groups", FIRST), ("stride groups", LAST)),
    (MANY, "both", ("im2col", FIRST), ("stride groups", FIRST)),
    (MANY, "both", ("im2col", FIRST), ("shifted slices", FIRST)),
    (MANY, "both", ("shifted slices", LAST), ("stride groups", LAST)),
    (MANY, "both", ("shifted slices", LAST), ("im2col", LAST)),
    (MANY, "both", ("im2col", FIRST), ("im2col", LAST)),
    (MANY, "both", ("shifted slices", LAST), ("shifted slices", FIRST)),
]
PARTS = [
    # layer, part, the slower (step, layout), the faster, at least so many times as fast
    (ONE, "products", ("shifted slices", LAST), ("stride groups", LAST), 1.2),
    (ONE, "copy", ("stride groups", FIRST), ("stride groups", LAST), 2),
    (ONE, "add_back", ("stride groups", FIRST), ("stride groups", LAST), 2),
    (MANY, "copy", ("im2col", FIRST), ("im2col", LAST), 2),
    (MANY, "add_back", ("im2col", FIRST), ("im2col", LAST), 2),
    (MANY, "products", ("shifted slices", LAST), ("shifted slices", FIRST), 1.2),
]


@pytest.fixture(scope="module")
def rows():
    """Rows of memory that is used again."""
    with (results.FOLDER / "naive_to_fast.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["memory"] == "kept"]


@pytest.fixture
def times(rows):
    """Quartiles of every case: (layer, step, layout, pass) to low and high."""
    return {
        (row["layer"], row["step"], row["layout"], row["pass"]): (
            float(row["low"]),
            float(row["high"]),
        )
        for row in rows
    }


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_the_faster_is_faster_by_more_than_the_quartiles(times, claim):
    layer, which, slower, faster = claim
    assert times[layer, *slower, which][0] > times[layer, *faster, which][1]


@pytest.mark.parametrize("claim", PARTS, ids=str)
def test_the_part_that_is_named_as_the_reason_is_slower(rows, claim):
    layer, part, slower, faster, ratio = claim
    found = {
        (row["step"], row["layout"]): float(row[part])
        for row in rows
        if (row["layer"], row["pass"]) == (layer, "both") and row[part]
    }
    assert found[slower] > ratio * found[faster]


def test_the_parts_add_up_to_the_whole(rows):
    parts = ("copy", "products", "output", "add_back")
    for row in rows:
        if row["copy"]:
            whole = float(row["microseconds_per_sample"])
            assert sum(float(row[part]) for part in parts) == pytest.approx(whole, rel=0.1)


def test_shifted_slices_and_groups_are_close_with_one_channel(times):
    """Not several times apart, as with a product that does without BLAS."""
    for layout in (FIRST, LAST):
        shifted, groups = (
            times[ONE, s, layout, "both"] for s in ("shifted slices", "stride groups")
        )
        assert shifted[0] < 1.7 * groups[1]


def test_all_are_hundreds_of_times_faster_than_four_loops(times):
    for layer in naive_to_fast.LAYERS:
        loops = times.pop((layer, naive_to_fast.LOOPS, LAST, "both"))[0]
        others = [
            high for (at, _, _, which), (_, high) in times.items() if (at, which) == (layer, "both")
        ]
        assert len(others) == 10
        assert loops > 200 * max(others)


def test_it_measures_the_code_of_the_lesson():
    code = naive_to_fast.notebook_code(naive_to_fast.NOTEBOOK)
    memory = code["Memory"]("batch-last")
    X, W, dZ = code["example"](memory, size=6, n_c=2, n_f=3, n_m=2)
    expected = [array.copy() for array in _pass(code, "four loops", X, W, dZ, memory)]
    for name in code["CONVOLUTIONS"]:
        for layout in naive_to_fast.LAYOUTS:
            memory = code["Memory"](layout)
            found = _pass(code, name, *code["example"](memory, size=6, n_c=2, n_f=3, n_m=2), memory)
            for array, wanted in zip(found, expected, strict=True):
                np.testing.assert_allclose(array, wanted, atol=1e-4)


def _pass(code, name, X, W, dZ, memory):
    forward, backward = code["CONVOLUTIONS"][name]
    return forward(X, W, memory), *backward(dZ, X, W, memory)


@pytest.mark.long
def test_the_benchmark_runs():
    asked = argparse.Namespace(quick=True, rounds=1)
    rows = list(naive_to_fast.measure(asked))
    assert {row["layer"] for row in rows} == set(naive_to_fast.LAYERS)
    assert all(row["low"] <= row["microseconds_per_sample"] <= row["high"] for row in rows)
