"""How often pooling windows tie, and what Winograd's convolution makes of it.

The network is `deep`: two convolutions, the second one by Winograd's method under ``impl=fast``,
and a max-pool. Counted are the pooling windows whose largest outputs are equal to the last bit, and
those whose largest output is exactly 0. Then the gradient of every convolution is compared with
that of ``impl=im2col``, both in float64, relative to its norm::

    python -m experiments.ties                 the digits of scikit-learn
    python -m experiments.ties --data mnist    MNIST

While a bias is exactly 0, `fast` looks for patches of zeros. What that costs is measured with
biases of 0 and of 0.001, alternately::

    python -m experiments.ties --data mnist --cost
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, Softmax
from cnnexp.data import SOURCES
from cnnexp.engine.context import Array

SAMPLES, COUNTED = 128, 16  # of a gradient; of those whose windows are counted
STEPS = (0, 30)  # of training before
PATHS = ("conv1.W", "conv1.b", "conv2.W", "conv2.b")


def main(words: Sequence[str] | None = None) -> int:
    """Print a row for each activation, padding and number of steps."""
    parser = argparse.ArgumentParser(prog="experiments.ties")
    parser.add_argument("--data", default="digits", choices=("digits", "mnist"))
    parser.add_argument("--cost", action="store_true", help="measure what the search costs")
    chosen = parser.parse_args(words)
    raw = SOURCES[chosen.data]().load()
    X, Y = raw.X[: 4 * SAMPLES] / raw.largest, raw.Y[: 4 * SAMPLES]
    if chosen.cost:
        print(f"a step with biases of 0 takes {cost(X[:SAMPLES], Y[:SAMPLES]):.3f} times as long")
        return 0
    print("activation  padding  steps   tied  at 0 ", *(f"{path:>9}" for path in PATHS))
    for activation in ("relu", "tanh"):
        for padding in ("valid", "same"):
            for steps in STEPS:
                tied, zero, differences = measure(X, Y, steps, activation, padding)
                print(
                    f"{activation:10}  {padding:7}  {steps:5}  {tied:5.1%} {zero:5.1%}",
                    *(f"{value:9.1e}" for value in differences),
                )
    return 0


def network(impl: str, activation: str, padding: str, dtype: str = "float64") -> Network:
    """Return `deep`, with another activation or padding."""
    options: dict[str, Any] = {"activation": activation, "padding": padding}
    layers = [Conv2D(32, 3, **options), Conv2D(64, 3, **options), MaxPool2D(2), Flatten()]
    ends = [Dense(128, activation="relu"), Dense(10), Softmax()]
    return Network([*layers, *ends], impl=impl, dtype=dtype)


def measure(
    X: Array, Y: Array, steps: int, activation: str, padding: str
) -> tuple[float, float, list[float]]:
    """Return fractions of windows that tie, and that are 0, and the differences of gradients."""
    trained = network("fast", activation, padding, "float32").build(X.shape[1:])
    for step in range(steps):
        rows = np.arange(step * SAMPLES, (step + 1) * SAMPLES) % len(X)
        trained.train(X[rows], Y[rows], learning_rate=0.1)
    gradients = []
    for impl in ("im2col", "fast"):
        net = network(impl, activation, padding).build(X.shape[1:]).load_weights(trained.weights())
        gradient = net.gradients(X[:SAMPLES], Y[:SAMPLES])[1]
        gradients.append({p.path: gradient[p.part].copy() for p in net.named_parameters})
    wanted, found = gradients
    differences = [
        float(np.linalg.norm(found[path] - wanted[path]) / np.linalg.norm(wanted[path]))
        for path in PATHS
    ]
    first = net.activations(X[:COUNTED])[1][1]  # before the second convolution
    Z = convolved(first, net.weights()["conv2.W"], 1 if padding == "same" else 0)
    n_m, rows, cols, n_f = Z.shape
    windows = Z[:, : rows // 2 * 2, : cols // 2 * 2].reshape(n_m, rows // 2, 2, cols // 2, 2, n_f)
    candidates = windows.transpose(2, 4, 0, 1, 3, 5).reshape(4, -1)
    largest = candidates.max(axis=0)
    tied = (candidates == largest).sum(axis=0) > 1
    return float(tied.mean()), float((largest == 0).mean()), differences


def cost(X: Array, Y: Array, repeats: int = 25) -> float:
    """Return the time of a step with biases of 0, over that with others; medians."""
    net = network("fast", "relu", "valid", "float32").build(X.shape[1:])
    biases = [p.part for p in net.named_parameters if p.kind == "bias"]
    seconds: dict[float, list[float]] = {0.0: [], 0.001: []}
    for _ in range(repeats):
        for bias, taken in seconds.items():
            for part in biases:
                net.parameters[part] = bias
            start = time.process_time()
            net.gradients(X, Y)
            taken.append(time.process_time() - start)
    return statistics.median(seconds[0.0]) / statistics.median(seconds[0.001])


def convolved(A: Array, W: Array, padding: int) -> Array:
    """Return the convolution, summed in one order for all positions: equal patches, equal bits."""
    A = np.pad(A, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, cols = A.shape[1] - 2, A.shape[2] - 2
    Z = np.zeros((len(A), rows, cols, W.shape[3]), A.dtype)
    for a, b, c in np.ndindex(W.shape[:3]):
        Z += A[:, a : a + rows, b : b + cols, c, None] * W[a, b, c]
    return Z


if __name__ == "__main__":
    raise SystemExit(main())
