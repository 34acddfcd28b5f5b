"""The figure at the top of the project's page: an epoch by each implementation, and by PyTorch.

    python -m experiments.landing           # measure, keep the figures, and draw
    python -m experiments.landing --kept    # draw what was measured before

The original's network is trained on images of MNIST's size in batches of 128. Each contender works
in a process of its own, on one thread, all of them in turns, and the fastest turn of each counts.
Time is that of the processor, which other programs do not lengthen. PyTorch gets what helps it:
memory that glibc keeps, a fused step, channels last if that is faster. It is left out where it is
not installed, and so is ``compiled`` without Numba. The four loops see a few samples; their epoch
is extrapolated.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
from cnnexp.nn.blas import one_blas_thread
from cnnexp.report.lines import STYLES
from cnnexp.report.plots import Panel, Picture, save_plot
from experiments import outcomes as kept
from experiments.benchmarks import machine
from experiments.figures import FOLDER, make_small
from experiments.summaries import MNIST_TRAIN, duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "landing"
BATCH = 128
LEARNING_RATE, MOMENTUM = 0.01, 0.9
SAMPLES = {"naive": 8}  # of a turn; others see more
MANY = 20 * BATCH
TURNS = {"naive": 1}
MOST_TURNS = 4
TORCH = {"torch": False, "torch, channels last": True}
NAMES = {
    "naive": "four loops,\nextrapolated",
    "sg": "stride groups",
    "im2col": "im2col",
    "torch": "PyTorch",
    "fast": "fast",
    "compiled": "compiled",
}
NEEDS = {"torch": "torch", "compiled": "numba"}  # packages
TICKS = ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36000, "10 h"))
KEEP_MEMORY = {  # glibc gives large arrays back at once otherwise, which costs PyTorch much
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}

Step = Callable[[np.ndarray, np.ndarray], None]


def main(words: Sequence[str] | None = None) -> int:
    """Measure, or read what was measured, and draw."""
    parser = argparse.ArgumentParser(prog="experiments.landing", description="Draw the figure.")
    parser.add_argument("--kept", action="store_true", help="measure nothing")
    parser.add_argument("--turn", choices=[*NAMES, *TORCH], help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, default=MANY, help="of a turn")
    args = parser.parse_args(words)
    if args.turn:
        print(json.dumps(turn(args.turn, args.samples)))
        return 0
    if not args.kept:
        kept.save(kept.Results(NAME, facts(), measured(args.samples)))
    results = kept.load(NAME)
    print(results.epochs.to_string(index=False))
    draw(results)
    return 0


# Measuring -------------------------------------------------------------------------------------


def measured(samples: int) -> pd.DataFrame:
    """Take all contenders in turns, and return the fastest turn of each."""
    import pandas as pd

    present = [name for name in NAMES if is_installed(NEEDS.get(name))]
    contenders = [name for name in present if name != "torch"]
    contenders += TORCH if "torch" in present else []
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(MOST_TURNS):
        for name in contenders:
            if number < TURNS.get(name, MOST_TURNS):
                seconds[name].append(in_own_process(name, SAMPLES.get(name, samples)))
    best = {name: min(times) for name, times in seconds.items()}
    torch = [best.pop(name) for name in TORCH if name in best]
    if torch:
        best["torch"] = min(torch)
    rows = [{"by": name, "seconds_a_sample": best[name]} for name in NAMES if name in best]
    return pd.DataFrame(rows)


def is_installed(package: str | None) -> bool:
    """Whether a package is there, if one is needed."""
    return package is None or importlib.util.find_spec(package) is not None


def in_own_process(name: str, samples: int) -> float:
    """Return the seconds a sample of one turn."""
    answer = subprocess.run(
        [sys.executable, "-m", "experiments.landing", "--turn", name, "--samples", str(samples)],
        env=os.environ | KEEP_MEMORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(answer.stdout))


def turn(name: str, samples: int) -> float:
    """Train on some samples after a few to warm up, and return the processor seconds per sample."""
    draw = np.random.default_rng(0)
    X = draw.random((samples, 28, 28, 1), np.float32)
    Y = draw.integers(0, 10, samples)
    batch = min(BATCH, samples)
    step = torch_step(torch_model(), TORCH[name]) if name in TORCH else our_step(name)
    if name != "naive":
        for first in range(0, min(4 * batch, samples), batch):
            step(X[first : first + batch], Y[first : first + batch])
    start = time.process_time()
    for first in range(0, samples, batch):
        step(X[first : first + batch], Y[first : first + batch])
    return (time.process_time() - start) / samples


def our_step(impl: str) -> Step:
    """Return one step of training by an implementation of ours, with momentum as PyTorch has it."""
    from cnnexp.train.optimizers import SGD

    layers = [Conv2D(32, 2), ReLU(), MaxPool2D(3), Flatten(), Dense(100), ReLU(), Dense(10)]
    net = Network([*layers, Softmax()], impl=impl, threads=1).build((28, 28, 1))
    optimizer = SGD(momentum=MOMENTUM, nesterov=True)
    names = net.named_parameters
    state = optimizer.initial_state(names, net.parameters)

    def step(X: np.ndarray, Y: np.ndarray) -> None:
        with one_blas_thread():
            _, gradient = net.gradients(X, Y)
            optimizer.step(net.parameters, gradient, state, LEARNING_RATE, names)

    return step


def torch_model() -> Any:
    """Return the network as PyTorch has it; the softmax is part of its loss."""
    from torch import nn

    parts = [nn.Conv2d(1, 32, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3), nn.Flatten()]
    parts += [nn.Linear(32 * 9 * 9, 100), nn.ReLU(inplace=True), nn.Linear(100, 10)]
    return nn.Sequential(*parts)


def torch_step(model: Any, channels_last: bool) -> Step:
    """Return one step of training by PyTorch."""
    import torch

    order = torch.channels_last if channels_last else torch.contiguous_format
    model.to(memory_format=order)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True, fused=True
    )
    loss = torch.nn.CrossEntropyLoss()
    torch.set_num_threads(1)

    def step(X: np.ndarray, Y: np.ndarray) -> None:
        images = torch.from_numpy(X).reshape(-1, 1, 28, 28).to(memory_format=order)
        optimizer.zero_grad(set_to_none=True)
        loss(model(images), torch.from_numpy(Y)).backward()
        optimizer.step()

    return step


def facts() -> dict[str, str]:
    """Say how, when and where."""
    data = f"random images of 28x28 pixels, batches of {BATCH}; one thread"
    return machine.facts("python -m experiments.landing", data)


# Drawing ---------------------------------------------------------------------------------------


def draw(results: kept.Results) -> None:
    """Draw the times, and keep the picture small."""
    seconds = dict(results.epochs.itertuples(index=False, name=None))
    title = f"One epoch of {MNIST_TRAIN:,} images of 28x28 pixels, one convolution"
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{NAME}.png"
    save_plot(path, Picture([Panel("", partial(dots, measured=seconds))]), title)
    make_small(path)


def dots(axes: Axes, measured: dict[str, float]) -> None:
    """Draw a dot for each contender on a logarithmic axis, with its time in words."""
    from matplotlib.ticker import NullLocator

    cast("Figure", axes.figure.figure).set_size_inches(6.4, 3.6)
    epochs = [measured[name] * MNIST_TRAIN for name in NAMES if name in measured]
    names = [NAMES[name] for name in NAMES if name in measured]
    grey, ours = "#7A7A7A", STYLES[0].color
    colors = [grey if name == "PyTorch" else ours for name in names]
    axes.scatter(epochs, range(len(names)), color=colors, s=70, zorder=3)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlim(min(1, min(epochs) / 3), max(epochs) * 8)
    shown = [(seconds, words) for seconds, words in TICKS if seconds < axes.get_xlim()[1]]
    axes.set_xticks([seconds for seconds, _ in shown], [words for _, words in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0, labelsize=10.5)
    axes.set_xlabel("processor time of training on one core, logarithmic (lower is better)")
    for place, value in enumerate(epochs):
        axes.annotate(
            duration(value),
            (value, place),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=10.5,
            fontweight="bold",
        )


if __name__ == "__main__":
    sys.exit(main())
