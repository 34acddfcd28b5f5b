"""Gradients that are multiplied once a batch.

The gradient of a dense layer's weights is ``A.T @ dZ``, as large as the weights. Made for every
piece of a batch, it would be written and added up once a piece, which for a wide layer costs more
than the products themselves. So the pieces only leave their factors, rows of `A` and of `dZ`, and
the product is made once they are all there::

    piece 1   A₁  dZ₁  ──┐
    piece 2   A₂  dZ₂  ──┼──  A.T @ dZ, once
    piece 3   A₃  dZ₃  ──┘

Threads share it by rows of the weights; the rows of a share do not depend on their number.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from cnnexp.engine import Array, Factors
from cnnexp.nn.layer import Layer
from cnnexp.nn.parameters import ParameterVector
from cnnexp.nn.team import shared_array
from cnnexp.nn.workers import Workers, pieces

SHARE = 1024  # rows of the weights in one share


class Share(NamedTuple):
    """Some rows of one product: ``dW = A_T @ dZ``."""

    layer: Layer
    A_T: Array
    dZ: Array
    dW: Array


class OuterProducts:
    """The factors of a batch, by layer and parameter."""

    def __init__(self) -> None:
        self.samples = 0
        self._memory: dict[tuple[int, str], Factors] = {}
        self._kept: dict[tuple[int, str], tuple[Layer, Factors]] = {}
        self._lock = threading.Lock()

    def begin(self, samples: int) -> None:
        """Make ready for a batch of so many samples."""
        self.samples = samples
        self._kept.clear()

    def keep(self, layer: Layer, key: str, factors: Factors, at: slice) -> None:
        """Copy the factors of the piece `at`; pieces may come from several threads."""
        with self._lock:
            whole = self._whole(layer, key, factors)
        whole.A[at] = factors.A
        whole.dZ[at] = factors.dZ

    def multiply(self, vector: ParameterVector, into: Array, workers: Workers) -> None:
        """Write all products into the places of their parameters."""
        workers.map(self.multiply_share, self.shares(vector, into))

    def shares(self, vector: ParameterVector, into: Array) -> list[Share]:
        """Return all products, cut into shares, in an order that is always the same."""
        shares = []
        for layer, key, factors in ((kept[0], key[1], kept[1]) for key, kept in self._kept.items()):
            dW = vector.views(layer, into)[key]
            shares += [
                Share(layer, factors.A[:, rows].T, factors.dZ, dW[rows])
                for rows in pieces(len(dW), SHARE)
            ]
        return shares

    def multiply_share(self, worker: int, share: Share) -> None:
        """Make a part of one product."""
        np.matmul(share.A_T, share.dZ, out=share.dW)

    def _whole(self, layer: Layer, key: str, factors: Factors) -> Factors:
        """Return the memory for the factors of the whole batch, in the order of the first piece."""
        place = (id(layer), key)
        if place in self._kept:
            return self._kept[place][1]
        whole = self._memory.get(place)
        if whole is None or len(whole.A) < self.samples:
            whole = Factors(*(_like(factor, self.samples) for factor in factors))
            self._memory[place] = whole
        fitting = Factors(whole.A[: self.samples], whole.dZ[: self.samples])
        self._kept[place] = (layer, fitting)
        return fitting


def _like(factor: Array, samples: int) -> Array:
    """Return memory for so many samples, innermost if they are so in `factor`."""
    n_m, n = factor.shape
    if n_m > 1 and factor.strides[0] == factor.itemsize:
        return shared_array((n, samples), factor.dtype).T
    return shared_array((samples, n), factor.dtype)
