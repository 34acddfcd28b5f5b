"""Looking into a network: the feature maps of every layer, and which pixels matter.

Both run every layer by itself, without fusions and with memory that is not used again, so that
every array can be kept. They are for a few samples: all of them are computed at once. The mode is
inference, so dropout does nothing and batch normalisation uses its running statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context, Implementation
from cnnexp.nn.blas import ignore_fp_warnings
from cnnexp.nn.layer import Layer
from cnnexp.nn.plan import Plan, Step, finish


def activations(
    layers: Sequence[Layer], implementation: Implementation, X: Array
) -> list[tuple[str, Array]]:
    """Return path and result of each layer for samples `X`, from the first to the last.

    The layers of a block come before the block itself.
    """
    plan = Plan(layers, implementation, fuse=False)
    found: list[tuple[str, Array]] = []
    with ignore_fp_warnings():
        _collect(plan.steps, X, _contexts(plan), found)
    return found


def input_gradient(
    layers: Sequence[Layer], implementation: Implementation, X: Array, classes: Array
) -> Array:
    """Return how one output of each sample changes with each number of its input.

    Parameters
    ----------
    layers : sequence of Layer
        Up to the logits.
    implementation : Implementation
        What computes them.
    X : array (n_m, …)
        Samples.
    classes : integer array (n_m,)
        Which output, for each sample.

    Returns
    -------
    array (n_m, …)
        Of the shape of `X`.
    """
    plan = Plan(layers, implementation, fuse=False, input_gradient=True)
    contexts = _contexts(plan)
    with ignore_fp_warnings():
        A, caches = finish(plan.forward(X, contexts))
        dA = np.zeros_like(A, order="C")
        dA[np.arange(len(classes)), classes] = 1
        dX: Array = finish(plan.backward(caches, dA, contexts))
    return np.array(dX, order="C")


def _contexts(plan: Plan) -> list[Context]:
    """Return contexts for one pass in inference whose caches are kept."""
    contexts = plan.contexts(reuse=False)
    for context in contexts:
        context.training = False
    return contexts


def _collect(
    steps: Sequence[Step], A: Array, contexts: Sequence[Context], found: list[tuple[str, Array]]
) -> Array:
    """Run some steps forward, and keep the result of each."""
    for step in steps:
        if step.branches:
            results = [_collect(branch, A, contexts, found) for branch in step.branches]
            container: Any = step.layer
            A, _ = container.join(results, contexts[step.index])
        else:
            A, _ = step.forward(A, contexts[step.index])
        found.append((step.name, np.array(A, order="C")))
    return A
