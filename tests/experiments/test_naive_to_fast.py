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
    *(
        (ONE, "both", ("shifted slices", layout), ("stride groups", layout))
        for layout in (FIRST, LAST)
    ),
    *((ONE, "both", ("stride groups", layout), ("im2col", layout)) for layout in (FIRST, LAST)),
    *(
        (ONE, "both", ("conv, ReLU, pool", layout), ("together", layout))
        for layout in (FIRST, LAST)
    ),
    *(
        (ONE, "forward", (step, FIRST), (step, LAST))
        for step in ("shifted slices", "stride groups")
    ),
    (MANY, "both", ("im2col", FIRST), ("stride groups", FIRST)),
    (MANY, "both", ("im2col", FIRST), ("shifted slices", FIRST)),
    (MANY, "both", ("shifted slices", LAST), ("stride groups", LAST)),
    (MANY, "both", ("stride groups", LAST), ("im2col", LAST)),
    (MANY, "both", ("im2col", FIRST), ("im2col", LAST)),
    (MANY, "both", ("shifted slices", LAST), ("shifted slices", FIRST)),
]


@pytest.fixture(scope="module")
def times():
    """Quartiles of every case: (layer, step, layout, pass) to low and high."""
    with (results.FOLDER / "naive_to_fast.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["memory"] == "kept"]
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
