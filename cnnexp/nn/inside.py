"""Looking into a network: what every layer gives, and which pixels matter.

Both go layer by layer, without fusions and with memory of their own, so that every array can be
kept. They are for a few samples: all of them are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnexp.engine import Array, Context, Kernels
from cnnexp.nn.layer import Layer
from cnnexp.nn.workers import not_finite_is_no_news


def activations(layers: Sequence[Layer], kernels: Kernels, X: Array) -> list[tuple[str, Array]]:
    """Return name and result of each layer for samples `X`, from the first to the last."""
    found, A = [], X
    with not_finite_is_no_news():
        for layer in layers:
            A, _ = layer.forward(A, Context(kernels, training=False))
            found.append((layer.name, np.array(A, order="C")))
    return found


def input_gradient(layers: Sequence[Layer], kernels: Kernels, X: Array, classes: Array) -> Array:
    """Return how one output of each sample changes with each number of its input.

    Parameters
    ----------
    layers : sequence of Layer
        Up to the scores.
    kernels : Kernels
        The implementation.
    X : array (n_m, …)
        Samples.
    classes : integer array (n_m,)
        Which output, for each sample.

    Returns
    -------
    array (n_m, …)
        Of the shape of `X`. Where a layer couples samples, it is the gradient of the sum of those
        outputs.
    """
    A, passed = X, []
    with not_finite_is_no_news():
        for layer in layers:
            context = Context(kernels)
            A, cache = layer.forward(A, context)
            passed.append((layer, cache, context))
        dA: Array = np.zeros_like(A, order="C")
        dA[np.arange(len(classes)), classes] = 1
        for layer, cache, context in reversed(passed):
            dA_prev, _ = layer.backward(cache, dA, context)
            assert dA_prev is not None
            dA = dA_prev
    return np.array(dA, order="C")
