"""Convolution, activation and max-pooling as one step, by stride groups.

A pooling window covers some outputs of a convolution, and each of its pixels, taken over all
windows at once, is a stride group of the convolution: positions that lie one pooling stride apart.
So the convolution is computed one such pixel at a time, for all windows together, and each result
goes straight into a running maximum. The full output of the convolution is never stored; for
the backward pass one byte for each of its values is kept::

    conv output, pooled 2x2        pixel 0        1          2          3
    a b a b                        a . a .    . b . b    . . . .    . . . .
    c d c d                        . . . .    . . . .    c . c .    . d . d
    a b a b                        a . a .    . b . b    . . . .    . . . .
    c d c d                        . . . .    . . . .    c . c .    . d . d
                                   one product and one maximum each

Bias and activation come after pooling, on a fraction of the values; that is the same as before it,
because the activation never decreases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast.convolution import flat_gradient
from cnnexp.engine.fast.running_max import RunningMax
from cnnexp.engine.layout import batch_first, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Fusion, Gradients
from cnnexp.engine.products import outer, product
from cnnexp.engine.window import Window


class PooledConv:
    """The outputs of a convolution, pixel by pixel of the pooling windows: a product for each.

    Parameters
    ----------
    X : array (n_c, h, w, n_m)
        Images with their padding.
    W : array (f_h, f_w, n_c, n_f)
        The filters.
    conv, pool : Window
        The windows of the convolution, and those of the pooling on its outputs.
    context : Context
        Memory and limits.
    keep : bool
        Whether all outputs stay in memory, in `Z` (p_h · p_w, n_f, oh · ow · n_m).
    """

    def __init__(
        self,
        X: Array,
        W: Array,
        conv: Window,
        pool: Window,
        context: Context,
        keep: bool = False,
    ) -> None:
        self.X_shape, self.W, self.conv, self.pool, self.context = X.shape, W, conv, pool, context
        self.keep = keep
        self.step = conv.stride[0] * pool.stride[0], conv.stride[1] * pool.stride[1]
        self.prepare(X)

    def prepare(self, X: Array) -> None:
        """Copy the columns of every pixel of the pooling windows."""
        view = self._windows(X)
        cols = self.context.array("cols", view.shape, X.dtype)
        np.copyto(cols, view)
        self.W_flat = self.W.reshape(-1, self.W.shape[3])
        self.cols = cols.reshape(self.pool.size, len(self.W_flat), -1)
        shape = (self.pool.size if self.keep else 1, self.W.shape[3], self.cols.shape[2])
        self.Z = self.context.array("Z", shape, self.W.dtype)

    def candidate(self, k: int) -> Array:
        """Return the outputs at pixel `k` of all pooling windows, (n_f, oh · ow · n_m)."""
        Z = self.Z[k if self.keep else 0]
        return product(self.W_flat.T, self.cols[k], Z, self.context.limits)

    def spread(
        self, dA: Array, greater: Array, line: tuple[Array, Array] | None = None
    ) -> Iterator[tuple[int, Array]]:
        """Yield (k, the gradient of candidate k), from the last candidate to the first.

        The gradients take the memory of the candidates, which are not needed again.

        Parameters
        ----------
        dA : array (n_f, oh · ow · n_m)
            Gradients of the maxima.
        greater : array
            The bytes of the running maximum, which tell the candidate of each gradient.
        line : (slope, level), optional
            Numbers (n_f, 1): ``slope · Z + level`` is added, which needs all candidates kept.
        """
        for k, won in RunningMax.winners(greater, self.context):
            if line is None:
                yield k, np.multiply(dA, won, out=self.Z[k % len(self.Z)])
                continue
            Z = self.Z[k]
            Z *= line[0]
            Z += line[1]
            Z += np.multiply(dA, won, out=self.context.like("won gradient", dA))
            yield k, Z

    def backward(self, gradients: Iterator[tuple[int, Array]]) -> tuple[Array, Array | None]:
        """Return ``dW``, and the gradients of the padded images where they are needed.

        Parameters
        ----------
        gradients : iterator
            From `spread`.
        """
        context, limits = self.context, self.context.limits
        dW, dX = np.zeros_like(self.W_flat), None
        if context.need_dA_prev:
            dX = context.zeros("dX", self.X_shape, self.W.dtype)
        for k, d_k in gradients:
            dW += outer(self.cols[k], d_k, limits)
            if dX is None:
                continue
            d_cols = context.array("d_cols", self.cols.shape[1:], self.W.dtype)
            product(self.W_flat, d_k, d_cols, limits)
            view = self._windows(dX)[divmod(k, self.pool.cols.width)]
            parts = d_cols.reshape(view.shape)
            for pixel in np.ndindex(view.shape[:2]):
                under = view[pixel]
                under += parts[pixel]
        return dW.reshape(self.W.shape), dX

    def _windows(self, X: Array) -> Array:
        """Return a view (p_h, p_w, f_h, f_w, n_c, oh, ow, n_m): the windows of each pixel."""
        to_c, to_h, to_w, to_i = X.strides
        (s_h, s_w), (step_h, step_w) = self.conv.stride, self.step
        sizes = (*self.pool.kernel, *self.conv.kernel, X.shape[0], *self.pool.out, X.shape[3])
        inside = (s_h * to_h, s_w * to_w, to_h, to_w, to_c)
        return as_strided(X, sizes, (*inside, step_h * to_h, step_w * to_w, to_i))


class ConvPointwiseMaxPool(Fusion):
    """Where pooling windows do not overlap and have no padding, and the activation is monotonic."""

    name = "stride groups"
    pattern = ("conv", "pointwise", "max_pool")
    method: ClassVar[type[PooledConv]] = PooledConv

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether each output is computed once, and pooling may come before the activation."""
        conv, activation, pool = (layer.geometry for layer in layers)
        plain = conv.dilation == (1, 1) and layers[0].groups == 1
        fits = not pool.has_padding and not pool.overlaps
        return bool(plain and fits and activation.monotonic and activation.from_output)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the pooled activations: one maximum per pixel of the pooling window."""
        conv, activation, pool = (layer.geometry for layer in layers)
        W, b = layers[0].params["W"], layers[0].params["b"]
        X = padded_batch_last(A_prev, conv, 0.0, context)
        work = self.method(X, W, conv, pool, context)
        shape = (b.size, pool.out[0] * pool.out[1] * X.shape[3])
        A = context.array("A", shape, X.dtype)
        running = RunningMax(A, pool.size, context)
        for k in range(pool.size):
            running.take(k, work.candidate(k))
        A += b[:, None]
        activation.apply(A, out=A)
        pooled = A.reshape(b.size, *pool.out, X.shape[3])
        return batch_first(pooled), (work, running.greater, A)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Give each gradient to the candidate that won."""
        work, greater, A = cache
        dZ = context.like("dZ", A)
        layers[1].geometry.gradient(flat_gradient(dA), A, out=dZ)
        dW, dX = work.backward(work.spread(dZ, greater))
        dA_prev = None if dX is None else unpadded(dX, work.conv)
        return dA_prev, {"W": dW, "b": dZ.sum(axis=1)}
