"""Run the original's own code again: ``python -m experiments.original_code FOLDER``.

The original, David Stein's cnn-numpy, cannot be included here. You need:

1. its files ``cnn_numpy.py`` and ``cnn_numpy_sg.py``, from
   https://www.github.com/neuron-whisperer/cnn-numpy, in a folder of yours: FOLDER. They are
   imported, so look at them first;
2. MNIST, which is downloaded, or lies in ``$CNNEXP_DATA_DIR``;
3. the learning rates that its ``mnist.py`` passes to ``net.train``: ``--flat-rate`` and
   ``--cnn-rate``.

Its two networks are trained as its page describes: 95 % of the 70,000 images to train on, pixels
not scaled, one-hot labels, ten mini-batches per epoch without a convolution, mini-batches of 133
with one. Then a step of both of its implementations is timed. What was found goes to
``experiments/results/original_code.csv``, with the machine, the commit, and checksums of its files.
``python -m experiments.tables --kept`` puts the figures beside ours.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks import results
from experiments.benchmarks.machine import describe

FILE = results.FOLDER / "original_code.csv"
NAIVE, GROUPS = "cnn_numpy", "cnn_numpy_sg"
SPLIT = 0.95
BOUNDS = {"10 %": 0.10, "5 %": 0.05}
Array = np.ndarray


class Found(NamedTuple):
    """One figure: of which network, what, from its lowest to its highest value."""

    part: str
    what: str
    low: float
    high: float


def main(words: Sequence[str] | None = None) -> int:
    """Measure all of it, and write the file."""
    asked = _parser().parse_args(words)
    if absent := [f"{n}.py" for n in (NAIVE, GROUPS) if not (asked.folder / f"{n}.py").is_file()]:
        lacking = " and no ".join(absent)
        print(f"error: {asked.folder}: there is no {lacking}.\n\n{__doc__}", file=sys.stderr)
        return 2
    results.refuse_changes(asked.output.parent)
    data = mnist(asked.samples)
    naive, groups = (load(asked.folder, name) for name in (NAIVE, GROUPS))
    rows: list[Found] = []
    if asked.flat_rate is not None:
        rows += train_flat(groups, data, asked.flat_rate, asked.flat_epochs)
    if asked.cnn_rate is not None:
        rows += train_cnn(groups, data, asked.cnn_rate, asked.cnn_epochs)
        rows += speed(naive, groups, data, asked.cnn_rate)
    write(asked, rows)
    for row in rows:
        print(f"{row.part:6}{row.what:32}{row.low:.4g}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.original_code",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help=f"with {NAIVE}.py and {GROUPS}.py")
    add("--flat-rate", type=float, metavar="RATE", help="train the network without a convolution")
    add("--cnn-rate", type=float, metavar="RATE", help="train the one with a convolution, and time")
    add("--flat-epochs", type=int, default=100, help="100")
    add("--cnn-epochs", type=int, default=2, help="2")
    add("--samples", type=int, help="take only the first so many of the 70,000")
    add("--output", type=Path, default=FILE, metavar="FILE.csv", help="another file")
    return parser


def load(folder: Path, name: str) -> ModuleType:
    """Import a file of the original."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def mnist(samples: int | None) -> tuple[Array, Array, Array, Array]:
    """Return images and one-hot labels to train on, and to test with, as the original has them."""
    from cnnexp.data import SOURCES

    raw = SOURCES["mnist"]().load()  # type: ignore[abstract]
    X = np.concatenate([raw.X, raw.X_test])[:samples]
    labels = np.concatenate([raw.Y, raw.Y_test])[:samples]
    Y = np.eye(10)[np.asarray(labels)]
    X = np.asarray(X, float).reshape(-1, 28, 28, 1)
    cut = int(SPLIT * len(X))
    return X[:cut], Y[:cut], X[cut:], Y[cut:]


def train_flat(code: ModuleType, data: Any, rate: float, epochs: int) -> Iterator[Found]:
    """Train without a convolution, and yield when its error was below the bounds of its page."""
    layers = [code.FlatLayer(), code.FCLayer_ReLU(100), code.FCLayer_Softmax(10)]
    log = list(epochs_of(code.Net(layers), data, rate, len(data[0]) // 10, epochs))
    for name, bound in BOUNDS.items():
        times = [seconds for seconds, error in log if error <= bound]
        reached = times[0] if times else float("nan")
        yield Found("flat", f"seconds until {name}", reached, reached)
    seconds, error = log[-1]
    yield Found("flat", f"error after {len(log)} epochs", error, error)
    yield Found("flat", f"seconds of {len(log)} epochs", seconds, seconds)


def train_cnn(code: ModuleType, data: Any, rate: float, epochs: int) -> Iterator[Found]:
    """Train with a convolution, and yield error and time of each epoch."""
    before = 0.0
    log = epochs_of(code.Net(convolutional(code)), data, rate, 133, epochs)
    for number, (seconds, error) in enumerate(log, 1):
        yield Found("cnn", f"error after epoch {number}", error, error)
        yield Found("cnn", f"seconds of epoch {number}", seconds - before, seconds - before)
        before = seconds


def epochs_of(
    net: Any, data: Any, rate: float, batch: int, epochs: int
) -> Iterator[tuple[float, float]]:
    """Yield, after each epoch, the seconds of training so far and the test error."""
    X, Y, X_test, Y_test = data
    seconds = 0.0
    for _ in range(epochs):
        start = time.perf_counter()
        for first in range(0, len(X) - batch + 1, batch):
            net.train((X[first : first + batch], Y[first : first + batch]), rate)
        seconds += time.perf_counter() - start
        outputs = net.predict(X_test)
        yield seconds, float(np.mean(outputs.argmax(axis=1) != Y_test.argmax(axis=1)))


def convolutional(code: ModuleType) -> list[Any]:
    """Return the layers of its convolutional network."""
    layers = [code.ConvLayer(32, 2), code.PoolLayer_Max(3), code.FlatLayer()]
    return [*layers, code.FCLayer_ReLU(100), code.FCLayer_Softmax(10)]


def speed(naive: ModuleType, groups: ModuleType, data: Any, rate: float) -> Iterator[Found]:
    """Time a step of both implementations: four loops on a few samples, groups on a mini-batch."""
    times = {}
    for code, count in ((naive, 4), (groups, 128)):
        net, batch = code.Net(convolutional(code)), (data[0][:count], data[1][:count])
        net.train(batch, rate)  # makes the weights
        turns = []
        for _ in range(3):
            start = time.perf_counter()
            net.train(batch, rate)
            turns.append((time.perf_counter() - start) / count)
        times[code] = turns
        yield Found("speed", f"seconds per sample, {code.__name__}", min(turns), max(turns))
    quotients = [a / b for a, b in zip(times[naive], times[groups], strict=True)]
    yield Found("speed", "naive ÷ stride groups", min(quotients), max(quotients))


def write(asked: argparse.Namespace, rows: Sequence[Found]) -> None:
    """Write the file."""
    sums = " ".join(
        f"{name}.py={hashlib.sha256((asked.folder / f'{name}.py').read_bytes()).hexdigest()[:12]}"
        for name in (NAIVE, GROUPS)
    )
    how = f"measured; rates {asked.flat_rate} and {asked.cnn_rate}"
    machine = describe()
    results.write(
        asked.output, [row._asdict() | {"how": how, "original": sums} | machine for row in rows]
    )


if __name__ == "__main__":
    sys.exit(main())
