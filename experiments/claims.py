"""What the original says of itself, beside what is measured here: ``python -m experiments.claims``.

Times are processor seconds of training on one core, of the network that the claim is of, with the
implementations of this project that compute as the original's two do: ``naive`` has its four loops,
``sg`` its stride groups. Errors are those of the studies `original_flat` and `original_cnn`, which
need MNIST; they are read from the files that these studies left. What is found goes to
``experiments/results/claims.csv``, and into the table of ``docs/original.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
from cnnexp.engine import Window
from cnnexp.nn.blas import one_blas_thread
from experiments import outcomes
from experiments.benchmarks import results
from experiments.benchmarks.machine import describe
from experiments.provenance import ROOT
from experiments.summaries import duration, first_at, percent

FILE = results.FOLDER / "claims.csv"
COMMAND = "python -m experiments.claims"
STUDY = "python -m cnnexp experiments={}"
IMAGES, PAGE_TRAIN = 70_000, 65_500
TRAIN = 95 * IMAGES // 100
SAMPLES = {"naive": 4, "sg": 128}  # of a step
TURNS = 3
SIZES = (7, 14, 28, 56, 112)


class Claim(NamedTuple):
    """One claim: what it is of, what the original says, what is found here, and the command.

    `origin` is what the file says of itself, for a figure that is read from one.
    """

    claim: str
    the_original: str
    here: str
    command: str
    origin: Mapping[str, str] | None = None


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write the file, and fill the table of the page."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE.csv")
    output = parser.parse_args(words).output
    results.refuse_changes(output.parent)
    found, machine = list(claims()), describe()
    for row in found:
        print(f"{row.claim}: {row.the_original} | {row.here}")
    results.write(output, [as_row(claim, machine) for claim in found])
    if output == FILE:
        page = ROOT / "docs" / "original.md"
        subprocess.run([sys.executable, ROOT / "docs" / "tables.py", page], check=True)
    return 0


def as_row(claim: Claim, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of the file: the claim, and where and at which commit its figure was taken.

    What the file of a study does not say of its origin is left empty.
    """
    row = claim._asdict()
    origin = row.pop("origin")
    return row | (machine if origin is None else {name: origin.get(name, "") for name in machine})


def claims() -> Iterator[Claim]:
    """Yield every claim."""
    yield from speed()
    yield from errors()
    yield from counts()


def speed() -> Iterator[Claim]:
    """Yield what the original says of times."""
    turns = {impl: seconds_per_sample(impl) for impl in SAMPLES}
    naive, sg = (float(np.median(turns[impl])) for impl in SAMPLES)
    quotients = [a / b for a, b in zip(*turns.values(), strict=True)]
    one = "four loops, 32 filters of 3x3: training"
    yield Claim(f"{one}, per sample", "about 2 s", duration(naive), COMMAND)
    epoch = f"{duration(naive * TRAIN)} (from {SAMPLES['naive'] * TURNS} samples)"
    yield Claim(f"{one}, per epoch", "36 h", epoch, COMMAND)
    yield Claim(
        "four loops ÷ stride groups",
        "about 1,000",
        f"{np.median(quotients):,.0f} ({min(quotients):,.0f} to {max(quotients):,.0f});"
        f" stride groups take {duration(sg)} per sample",
        COMMAND,
    )


def seconds_per_sample(impl: str) -> list[float]:
    """Return the processor seconds of some steps of training, each per sample."""
    samples, draw = SAMPLES[impl], np.random.default_rng(0)
    X = draw.random((samples, 28, 28, 1), np.float32)
    Y = draw.integers(0, 10, samples)
    layers = [Conv2D(32, 3), MaxPool2D(2), Flatten(), Dense(100), ReLU(), Dense(10), Softmax()]
    net = Network(layers, impl=impl, threads=1).build((28, 28, 1))
    turns = []
    with one_blas_thread():
        for turn in range(TURNS + 1):
            start = time.process_time()
            net.train(X, Y, 0.01)
            if turn or impl == "naive":  # the first step of the others allocates memory
                turns.append((time.process_time() - start) / samples)
    return turns[-TURNS:]


def errors() -> Iterator[Claim]:
    """Yield what the original says of errors."""
    studies = [outcomes.load(study) for study in ("original_flat", "original_cnn")]
    (flat, flat_origin), (cnn, cnn_origin) = ((study.epochs, study.facts) for study in studies)
    without, with_one = "no convolution: test error at most", "one convolution: test error"
    for bound, words in ((0.10, "within 1 min"), (0.05, "within 3 min")):
        here = first_at(flat, "test_error", bound)
        claim = f"{without} {percent(bound, 0)}"
        yield Claim(claim, words, here, STUDY.format("original_flat"), flat_origin)
    first = f"{percent(cnn['test_error'].iloc[0])} in {duration(cnn['seconds'].iloc[0])}"
    claim, words = f"{with_one} after an epoch", "below 30 %, a little over 2 min"
    yield Claim(claim, words, first, STUDY.format("original_cnn"), cnn_origin)
    claim, here = f"{with_one} after more epochs", first_at(cnn, "test_error", 0.03)
    yield Claim(claim, "below 3 %", here, STUDY.format("original_cnn"), cnn_origin)


def counts() -> Iterator[Claim]:
    """Yield what the original counts."""
    yield Claim("95 % of 70,000 images", f"{PAGE_TRAIN:,}", f"{TRAIN:,}", "arithmetic")
    inner = 26 * 26 * 32
    yield Claim(
        "inner calculations of its four loops per epoch, forward pass",
        "14,168,960,000, called «14 trillion»",
        f"{PAGE_TRAIN} · 26 · 26 · 32 = {PAGE_TRAIN * inner:,}; of {TRAIN:,}: {TRAIN * inner:,}",
        "arithmetic",
    )
    groups = [Window.over((size, size), 3, 1, "valid").group_count for size in SIZES]
    sizes = ", ".join(f"{size}x{size}" for size in SIZES)
    yield Claim(
        "iterations of stride groups for filters of 3x3",
        "at most 9; not proportional to the size of the image",
        f"{', '.join(map(str, groups))} for images of {sizes}",
        "python -m experiments.stride_groups_scaling",
    )
    strided = Window.over((28, 28), 3, 3, "valid").group_count
    claim = "iterations where the stride is the width of the filter"
    yield Claim(claim, "1", str(strided), "python -m experiments.stride_groups_scaling")


if __name__ == "__main__":
    sys.exit(main())
