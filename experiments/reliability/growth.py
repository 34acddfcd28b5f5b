"""How the error of float32 grows over a training, per implementation.

One network (two convolutions, the second one wide enough for Winograd's method under `fast`, a
max-pool, a dense layer) is trained on MNIST for three epochs, by plain gradient steps. All runs
begin with the same parameters and see the same mini-batches; the reference computes in float64
under `im2col`. After each tenth of the steps the parameters are compared: the distance is the norm
of the difference over the norm of the reference. Loss and error on the test images are computed
from the parameters in float64, so that they show what was learnt, and no rounding of their own.

What a distance means is measured too, by trainings in float64 that differ from the reference in one
thing: initial parameters moved by one unit in the last place of float64, or of float32; another
order of the samples; another seed of the initial parameters. A value that rounding puts on the
other side of a kink (the 0 of a ReLU, two candidates of a max-pool) sends a gradient elsewhere. To
see what that does, a network without kinks (tanh, average pooling) is trained as well. `naive` is
trained on 1,000 samples, with a reference of its own.

Without MNIST in ``$CNNEXP_DATA_DIR/mnist`` the digits of scikit-learn are used instead.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnexp import AvgPool2D, Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax
from cnnexp.data import SOURCES
from cnnexp.engine import Array
from cnnexp.nn.blas import one_blas_thread
from experiments.benchmarks.page import markdown
from experiments.reliability.numbers import IMPLS, installed

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "growth of float32's error over a training"
SHOWN = ("run", "net", "samples", "tenth", "distance", "loss_difference", "error_difference")
EPOCHS, BATCH, RATE = 3, 100, 0.1
FEW = 1_000  # samples of `naive`
QUICK, QUICK_FEW, QUICK_BATCH = 200, 80, 20
REFERENCE = "im2col, float64"
PASSED = 3e-5  # a distance that rounding alone does not reach

Row = dict[str, Any]


class Run(NamedTuple):
    """One training.

    Attributes
    ----------
    name : str
        As the table shows it.
    impl, dtype : str
        Of the network.
    moved : str
        A precision: initial parameters are moved by one unit in its last place, up or down.
    seed, order : int
        Of the initial parameters, and of the order of the samples.
    """

    name: str
    impl: str = "im2col"
    dtype: str = "float64"
    moved: str = ""
    seed: int = 0
    order: int = 0


# All of them, installed or not: a page may be written on another machine than its rows.
QUICK_ONES = [impl for impl in IMPLS if impl != "naive"]
IMPLEMENTATIONS = [Run(f"{impl}, float32", impl, "float32") for impl in QUICK_ONES]
DOUBLES = [Run(f"{impl}, float64", impl) for impl in QUICK_ONES if impl != "im2col"]
PERTURBED = [
    Run("one unit of float64", moved="float64"),
    Run("one unit of float32", moved="float32"),
    Run("another order of samples", order=1),
    Run("another seed", seed=1),
]
NAIVE = Run("naive, float32", "naive", "float32")


class Data(NamedTuple):
    """Training and test samples, and how they are learnt.

    Attributes
    ----------
    name : str
        The name of the data set.
    X, Y, X_test, Y_test : array
        Samples and labels.
    batch : int
        Samples of a mini-batch.
    smooth : bool
        Whether the network has no kinks.
    """

    name: str
    X: Array
    Y: Array
    X_test: Array
    Y_test: Array
    batch: int = BATCH
    smooth: bool = False

    def first(self, count: int) -> Data:
        """Return the same with fewer samples to train on."""
        return self._replace(X=self.X[:count], Y=self.Y[:count])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")


def measure(chosen: argparse.Namespace) -> Iterator[Row]:
    """Train everything, first on all samples, then what is compared with `naive` on a few."""
    data = load(chosen.data)
    if chosen.quick:
        data = data.first(QUICK)._replace(X_test=data.X_test[:500], Y_test=data.Y_test[:500])
        data = data._replace(batch=QUICK_BATCH)
    few = data.first(QUICK_FEW if chosen.quick else FEW)
    present = installed()
    for part, runs in (
        (data, [*IMPLEMENTATIONS, *DOUBLES, *PERTURBED]),
        (data._replace(smooth=True), [*IMPLEMENTATIONS, PERTURBED[1]]),
        (few, [NAIVE, *IMPLEMENTATIONS, *PERTURBED]),
    ):
        reference = [judged(found, part) for found in training(Run(REFERENCE), part)]
        for run in runs:
            if run.impl in present:
                yield from compared(run, part, reference)


def load(name: str) -> Data:
    """Return a data set in float32, so that both precisions see the same numbers."""
    source = SOURCES["mnist"]()
    if name == "mnist" and not _is_there(source):
        print(
            f"  MNIST is not in {source.folder}: CNNEXP_DATA_DIR must name the folder that holds"
            " mnist/. The digits of scikit-learn are used instead."
        )
        name = "digits"
    raw = SOURCES[name]().load()
    X, Y = (raw.X / raw.largest).astype(np.float32), raw.Y.astype(np.intp)
    if raw.X_test is None:
        cut = len(X) * 4 // 5
        return Data(name, X[:cut], Y[:cut], X[cut:], Y[cut:])
    X_test = (raw.X_test / raw.largest).astype(np.float32)
    return Data(name, X, Y, X_test, raw.Y_test.astype(np.intp))


def _is_there(source: Any) -> bool:
    from cnnexp.data.files import find

    return all(find(source.folder, file) is not None for file in source.files)


def network(impl: str, dtype: str, data: Data) -> Network:
    """Return the network that is trained, without its parameters."""
    activation = "tanh" if data.smooth else "relu"
    layers = [
        Conv2D(8, 3, stride=2 if data.X.shape[1] > 8 else 1, activation=activation),
        Conv2D(16, 3, activation=activation),
        AvgPool2D(2) if data.smooth else MaxPool2D(2),
        Flatten(),
        Dense(10),
        Softmax(),
    ]
    return Network(layers, impl=impl, dtype=dtype).build(data.X.shape[1:])


def initial(run: Run, data: Data) -> dict[str, Array]:
    """Return the parameters that a run begins with, the same numbers in both precisions."""
    net = Network(network("im2col", "float32", data).layers, seed=run.seed, dtype="float32")
    found = net.build(data.X.shape[1:]).weights()
    if not run.moved:
        return found
    generator = np.random.default_rng(0)
    return {name: _moved(W, np.dtype(run.moved), generator) for name, W in found.items()}


def _moved(values: Array, dtype: np.dtype[Any], generator: np.random.Generator) -> Array:
    """Return numbers in float64, each one unit of a precision above or below what it was."""
    values = values.astype(dtype)
    ends = np.where(generator.random(values.shape) < 0.5, -np.inf, np.inf).astype(dtype)
    # the neighbours of 0 are denormal: biases stay at 0
    return np.where(values == 0, values, np.nextafter(values, ends)).astype(np.float64)


def training(run: Run, data: Data) -> Iterator[dict[str, Array]]:
    """Train, and yield the parameters in float64 at the beginning and after each tenth."""
    net = network(run.impl, run.dtype, data)
    net.load_weights(initial(run, data))
    yield _in_double(net)
    steps = len(data.Y) // data.batch * EPOCHS
    stops = {round(steps * tenth / 10) for tenth in range(1, 11)}
    rate = net.dtype.type(RATE)
    with one_blas_thread():
        for step, rows in enumerate(_batches(run, data), 1):
            batch = net.batch(data.X[rows], data.Y[rows])
            _, gradient = net.batch_gradients(batch, step - 1)
            gradient *= rate
            net.parameters[...] -= gradient
            if step in stops:
                yield _in_double(net)


def _batches(run: Run, data: Data) -> Iterator[Array]:
    """Yield the rows of every mini-batch; each epoch has an order of its own."""
    for epoch in range(EPOCHS):
        order = np.random.default_rng([run.order, epoch]).permutation(len(data.Y))
        yield from order[: len(order) // data.batch * data.batch].reshape(-1, data.batch)


def _in_double(net: Network) -> dict[str, Array]:
    return {name: W.astype(np.float64) for name, W in net.weights().items()}


class Judged(NamedTuple):
    """Parameters, and what they are worth on the test images, computed in float64."""

    weights: dict[str, Array]
    loss: float
    error: float


def judged(weights: dict[str, Array], data: Data) -> Judged:
    """Return parameters with their loss and error."""
    net = network("im2col", "float64", data).load_weights(weights)
    _, figures = net.evaluate_figures(data.X_test, data.Y_test)
    return Judged(weights, figures["loss"], figures["error"])


def compared(run: Run, data: Data, reference: list[Judged]) -> Iterator[Row]:
    """Train, and yield a row for the beginning and for each tenth."""
    start = time.process_time()
    for tenth, (weights, wanted) in enumerate(zip(training(run, data), reference, strict=True)):
        found = judged(weights, data)
        yield {
            "run": run.name,
            "net": "without kinks" if data.smooth else "with kinks",
            "data": data.name,
            "samples": len(data.Y),
            "tenth": tenth,
            "distance": distance(weights, wanted.weights),
            "loss_difference": found.loss - wanted.loss,
            "error_difference": found.error - wanted.error,
            "loss": found.loss,
            "error": found.error,
            "cpu_seconds": time.process_time() - start,
        }


def distance(found: dict[str, Array], wanted: dict[str, Array]) -> float:
    """Return the norm of the difference of all parameters over the norm of those wanted.

    Examples
    --------
    >>> distance({"W": np.array([3.0, 4.5])}, {"W": np.array([3.0, 4.0])})
    0.1
    """
    apart = sum(float(((found[name] - W) ** 2).sum()) for name, W in wanted.items())
    return (apart / sum(float((W**2).sum()) for W in wanted.values())) ** 0.5


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    parts = [_table(part) for _, part in frame.groupby(["net", "samples"], sort=False)]
    data = str(frame["data"].iloc[0])
    name = "MNIST" if data == "mnist" else f"the data set {data}"
    minutes = frame.groupby(["net", "samples", "run"])["cpu_seconds"].max().sum() / 60
    return (
        "## Growth of the error of float32\n\n"
        f"A small network learns {name} for three epochs under each implementation in float32,"
        " with the same initial parameters and mini-batches as a reference in float64 (`im2col`)."
        " The distance is that of all parameters, relative to their norm. Loss and error are those"
        " of the test images, compared with the reference's.\n\n"
        f"{_meaning(frame)}\n\n" + "\n".join(parts) + "\nThe first rows of each table differ from"
        " the reference in arithmetic alone. The rows below them are trainings in float64 that"
        " differ in one thing: each initial parameter one unit in the last place of float64 or of"
        " float32 up or down, another order of the samples, another seed of the initial"
        f" parameters. All of it took {minutes:.1f} minutes of processor time.\n"
    )


def _meaning(frame: pd.DataFrame) -> str:
    """Say in words what the distances at the end mean."""
    whole = frame[frame["samples"] == frame["samples"].max()]
    last = whole[whole["tenth"] == whole["tenth"].max()].set_index(["net", "run"])
    kinks, smooth = last.loc["with kinks"], last.loc["without kinks"]
    names = [run.name for run in IMPLEMENTATIONS if run.name in kinks.index]
    singles, order = kinks.loc[names], kinks.loc["another order of samples"]
    worst = singles["distance"].max()
    others = [run.name for run in DOUBLES if run.name in kinks.index]
    doubles = kinks.loc[others, "distance"].max()
    below = "below" if worst < order["distance"] else "not below"
    return (
        "While every value stays on its side of every kink (the 0 of a ReLU, two candidates of a"
        " max-pool), two trainings differ by rounding alone. When rounding puts the first value on"
        " the other side, a gradient goes elsewhere, and from then on the trainings differ: the"
        f" distance jumps instead of growing. {_jumps(whole)} Under another implementation in"
        f" float64 the distance at the end is at most {doubles:.0e}. Without kinks (tanh, average"
        f" pooling) float32 ends {smooth.loc[names, 'distance'].max():.0e} from float64.\n\n"
        f"At the end float32 is {singles['distance'].min():.1e} to {worst:.1e} from the"
        " reference. A training in float64 whose initial parameters were moved by one unit of"
        f" float32 ends {kinks.loc['one unit of float32', 'distance']:.1e} away, and one that saw"
        f" the samples in another order {order['distance']:.1e},"
        f" {order['distance'] / worst:,.3g} times as far as the worst of float32. The error on"
        " test images differs by at most"
        f" {100 * singles['error_difference'].abs().max():.2f} percentage points in float32, and"
        f" by {100 * abs(order['error_difference']):.2f} with the samples in another order. So"
        f" the effect of rounding in float32 is {below} the noise of learning itself."
    )


def _jumps(frame: pd.DataFrame) -> str:
    """Say when each implementation in float32 has passed a kink."""
    frame = frame[frame["net"] == "with kinks"]
    passed = frame[frame["distance"] > PASSED].groupby("run")["tenth"].min()
    found = [
        f"under {run.impl} after {passed[run.name]}/10 of the training"
        if run.name in passed
        else f"under {run.impl} not at all"
        for run in IMPLEMENTATIONS
        if run.name in frame["run"].to_numpy()
    ]
    return f"In float32 the distance passes {PASSED:.0e} {', '.join(found)}."


def _table(frame: pd.DataFrame) -> str:
    """Return the distances of all runs on so many samples, at some tenths and the end."""
    cells = []
    for run, part in frame.groupby("run", sort=False):
        by_tenth, last = part.set_index("tenth")["distance"], part.iloc[-1]
        largest = part["error_difference"].abs().max()
        cells.append(
            [
                run,
                *(f"{by_tenth[tenth]:.1e}" for tenth in (0, 1, 3, 5, 7, 10)),
                f"{last['loss_difference']:+.1e}",
                f"{100 * last['error_difference']:+.2f}",
                f"{100 * largest:.2f}",
            ]
        )
    count = f"{frame['samples'].iloc[0]:,} samples, {frame['net'].iloc[0]}"
    tenths = ["start", "1/10", "3/10", "5/10", "7/10", "end"]
    header = [count, *tenths, "loss", "error [points]", "largest of error"]
    return markdown(header, cells)
