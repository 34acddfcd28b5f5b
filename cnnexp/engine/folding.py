"""Batch normalisation as part of the convolution before it, in inference.

The running statistics are constants there, so that normalisation is a linear function of each
filter's result, and a convolution with other weights computes both::

    factor = scale / √(variance + ε)
    factor · (conv(A_prev, W) + b - mean) + shift  =  conv(A_prev, factor · W) + new b
    new b = factor · (b - mean) + shift

A pass over the feature map is saved. Factors are computed in float64. Weights are multiplied again
for every micro-batch, so they are never out of date. That pass over the weights must be shorter
than the one that is saved: late layers, of many weights and few pixels, are not folded.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.operations import Cache, Fusion, Gradients, Params


class FoldedBatchNorm(Fusion):
    """A convolution, its batch normalisation, and what may be computed with a convolution.

    Parameters
    ----------
    inner : Fusion or None
        What computes the layers without the normalisation; None is the convolution by itself.
    samples : int
        So many samples must have at least as many outputs as there are weights.
    """

    name = "batch_norm folded"
    pattern = ("conv", "batch_norm")  # and what the inner fusion has behind the convolution

    def __init__(self, inner: Fusion | None, samples: int) -> None:
        self.inner, self.samples = inner, samples

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether fewer weights are multiplied than outputs would be normalised."""
        outputs: int = self.samples * math.prod(layers[0].output_shape)
        weights: int = layers[0].params["W"].size
        return outputs >= weights

    def kernels(self, layers: Sequence[Any]) -> list[Any]:
        """Return the kernels that the inner fusion needs."""
        conv, _, *behind = layers
        found: list[Any] = getattr(self.inner, "kernels", lambda _: [])((conv, *behind))
        return found

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result by the running statistics."""
        conv, norm, *behind = layers
        conv = copy.copy(conv)
        conv.params = folded(conv.params, norm, context)
        if self.inner is None:
            found: tuple[Array, Cache] = conv.forward(A_prev, context)
            return found
        return self.inner.forward((conv, *behind), A_prev, context)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Raise an error: training takes other steps."""
        raise NotImplementedError("batch normalisation is folded in inference alone")


def folded(params: Params, norm: Any, context: Context) -> Params:
    """Return weights and bias of a convolution that normalises its result.

    Parameters
    ----------
    params : mapping of str to array
        `W` (f_h, f_w, n_c, n_f) and `b` (n_f,).
    norm : layer
        The normalisation, with the parameters `scale` and `shift`, (n_f,); its geometry has
        `epsilon`.
    context : Context
        The running statistics, and memory.
    """
    W, b = params["W"], params["b"]
    mean, variance = (context.state[name].astype(np.float64) for name in ("mean", "variance"))
    factor = norm.params["scale"] / np.sqrt(variance + norm.geometry.epsilon)
    by_filter = context.array("folded W", W.shape, W.dtype)
    np.multiply(W, factor.astype(W.dtype), out=by_filter)
    return {"W": by_filter, "b": (factor * (b - mean) + norm.params["shift"]).astype(b.dtype)}
