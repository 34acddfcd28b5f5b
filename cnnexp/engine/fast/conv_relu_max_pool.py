"""Convolution, ReLU and max-pooling in one go, by stride groups.

A pooling window of p x p outputs of a convolution has p² places, and each place, taken over all
windows at once, is a stride group of the convolution: positions that are p steps apart. So the
convolution is computed one place at a time, for all windows together, and each result goes straight
into a running maximum. The full output of the convolution never lies in memory, and what is kept
for the way back is one byte for each of its values::

    conv output, pooled 2x2        place 0        1          2          3
    a b a b                        a . a .    . b . b    . . . .    . . . .
    c d c d                        . . . .    . . . .    c . c .    . d . d
    a b a b                        a . a .    . b . b    . . . .    . . . .
    c d c d                        . . . .    . . . .    c . c .    . d . d
                                   one product and one maximum each

The bias is added after pooling, to a p²-th of the values; ReLU is what the maximum starts from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnexp.engine.context import Context
from cnnexp.engine.fast.columns import padded_input
from cnnexp.engine.fast.convolution import flat_gradient
from cnnexp.engine.fast.maximum import Running, winners
from cnnexp.engine.kernels import Cache, Fusion, Gradients
from cnnexp.engine.layout import samples_outermost, unpadded_outermost
from cnnexp.engine.products import outer, product
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


class Candidates(ABC):
    """The outputs of a convolution, place by place of the pooling windows, and the way back.

    Parameters
    ----------
    X : array (n_c, h, w, n_m)
        Images with their padding.
    W : array (f_w, f_w, n_c, n_f)
        The filters.
    conv, pool : Window
        Where they stand, and where the pooling windows stand on their outputs.
    scratch : Scratch
        Memory.
    """

    def __init__(self, X: Array, W: Array, conv: Window, pool: Window, scratch: Scratch) -> None:
        self.X_shape, self.W, self.conv, self.pool, self.scratch = X.shape, W, conv, pool, scratch
        self.step = conv.stride * pool.stride  # pixels from one pooling window to the next

    @abstractmethod
    def candidate(self, k: int) -> Array:
        """Return the outputs at place `k` of all windows, (n_f, oh · ow · n_m)."""

    @abstractmethod
    def begin_back(self, need_dA_prev: bool) -> None:
        """Make ready for the gradients of the candidates."""

    @abstractmethod
    def gradient_of(self, k: int) -> Array:
        """Return memory for the gradient of candidate `k`."""

    @abstractmethod
    def go_back(self, k: int) -> None:
        """Take in the gradient of candidate `k`, now that it is there."""

    @abstractmethod
    def gradients(self) -> tuple[Array, Array | None]:
        """Return ``dW``, and the gradients of the padded images if they are wanted."""


class Places(Candidates):
    """One product for each place of the pooling window."""

    def __init__(self, X: Array, W: Array, conv: Window, pool: Window, scratch: Scratch) -> None:
        super().__init__(X, W, conv, pool, scratch)
        view = self._windows(X)
        cols = scratch.array("cols", view.shape, X.dtype)
        np.copyto(cols, view)
        self.W_flat = W.reshape(-1, W.shape[3])
        self.cols = cols.reshape(pool.width**2, len(self.W_flat), -1)

    def candidate(self, k: int) -> Array:
        """Multiply the filters with the columns of one place."""
        Z = self.scratch.array("Z", (self.W.shape[3], self.cols.shape[2]), self.W.dtype)
        return product(self.W_flat.T, self.cols[k], out=Z)

    def begin_back(self, need_dA_prev: bool) -> None:
        """Begin with gradients of zero."""
        self.dW = np.zeros_like(self.W_flat)
        self.dX = self.scratch.zeros("dX", self.X_shape, self.W.dtype) if need_dA_prev else None

    def gradient_of(self, k: int) -> Array:
        """Return the same memory for all."""
        return self.scratch.array("Z", (self.W.shape[3], self.cols.shape[2]), self.W.dtype)

    def go_back(self, k: int) -> None:
        """Two products: one for the filters, one for the pixels under them."""
        dZ = self.gradient_of(k)
        self.dW += outer(self.cols[k], dZ)
        if self.dX is None:
            return
        d_cols = self.scratch.array("d_cols", self.cols.shape[1:], self.W.dtype)
        product(self.W_flat, dZ, out=d_cols)
        view = self._windows(self.dX)[divmod(k, self.pool.width)]
        parts = d_cols.reshape(view.shape)
        for pixel in np.ndindex(view.shape[:2]):
            place = view[pixel]
            place += parts[pixel]

    def gradients(self) -> tuple[Array, Array | None]:
        """Return the sums over all places."""
        return self.dW.reshape(self.W.shape), self.dX

    def _windows(self, X: Array) -> Array:
        """Return a view (p, p, f_w, f_w, n_c, oh, ow, n_m): the windows of each place."""
        to_c, to_h, to_w, to_i = X.strides
        s, p, f_w = self.conv.stride, self.pool.width, self.conv.width
        return as_strided(
            X,
            (p, p, f_w, f_w, X.shape[0], *self.pool.out, X.shape[3]),
            (s * to_h, s * to_w, to_h, to_w, to_c, self.step * to_h, self.step * to_w, to_i),
        )


class ConvReLUMaxPool(Fusion):
    """conv + relu + max_pool, where the pooling windows do not overlap and have no padding."""

    name = "stride groups"
    pattern = ("conv", "relu", "max_pool")
    candidates: ClassVar[type[Candidates]] = Places

    def applies(self, layers: Sequence[Any]) -> bool:
        """Pooling windows must not overlap, or places would be computed twice."""
        pool: Window = layers[2].geometry
        return not pool.padded and pool.stride >= pool.width

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the pooled activations: one maximum per place."""
        scratch = context.scratch
        conv, pool, b = layers[0].geometry, layers[2].geometry, layers[0].params["b"]
        X = padded_input(A_prev, conv, 0.0, scratch)
        work = self.candidates(X, layers[0].params["W"], conv, pool, scratch)
        oh, ow = pool.out
        A = scratch.array("A", (len(b), oh * ow * X.shape[3]), X.dtype)
        A[...] = -b[:, None]
        running = Running(A, pool.width**2, scratch, "greater", context.training)
        for k in range(pool.width**2):
            running.take(k, work.candidate(k))
        A += b[:, None]
        pooled = A.reshape(len(b), oh, ow, X.shape[3])
        return samples_outermost(pooled), (work, running.greater, A)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Give each gradient to the candidate that won."""
        work, greater, A = cache
        dA_in = flat_gradient(dA)
        work.begin_back(context.need_dA_prev)
        for k, won in winners(greater, context.scratch):
            np.multiply(dA_in, won, out=work.gradient_of(k))
            work.go_back(k)
        dW, dX = work.gradients()
        db = np.multiply(dA_in, A > 0).sum(axis=1)
        dA_prev = None if dX is None else unpadded_outermost(dX, work.conv)
        return dA_prev, {"W": dW, "b": db}
