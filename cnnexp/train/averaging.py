"""Averages that a training keeps: of its weights over the steps, of gradients over mini-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cnnexp.errors import OptionError
from cnnexp.nn.layer import walk
from cnnexp.nn.network import Network
from cnnexp.nn.parameters import Parameter
from cnnexp.train.optimizer import state_by_path, state_from_paths
from cnnexp.train.transforms import Array


class Average:
    """An exponential moving average of all weights, taken after every step.

    ``average ← decay · average + (1 - decay) · weights``; it begins with the weights after the
    first step. The state of layers, such as the running statistics of batch normalisation, is
    averaged in the same way: the averaged network then normalises with statistics as old as its
    weights, without another pass over the training samples.

    Parameters
    ----------
    decay : float
        How much of the average is kept at each step, at least 0 and below 1.

    References
    ----------
    B. Polyak and A. Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992;
    M. Tan and Q. Le, EfficientNet, 2019, https://arxiv.org/abs/1905.11946 (of the statistics too)

    Examples
    --------
    >>> from cnnexp import Dense
    >>> net = Network([Dense(1)]).build((1,))
    >>> average = Average(0.75)
    >>> for weight in (1.0, 2.0, 2.0):
    ...     net.parameters[...] = weight
    ...     average.update(net)
    >>> with average.applied(net):
    ...     print(net.weights()["dense1.W"].item(), net.parameters.mean())
    1.4375 1.4375
    >>> net.weights()["dense1.W"].item()
    2.0
    """

    def __init__(self, decay: float) -> None:
        check_decay(decay)
        self.decay = decay
        self._arrays: list[Array] | None = None
        self._scratch: list[Array] = []

    @property
    def begun(self) -> bool:
        """Whether there was a step."""
        return self._arrays is not None

    def update(self, network: Network) -> None:
        """Take the weights after a step into the average."""
        own = _arrays(network)
        if self._arrays is None:
            self._begin(own)
            return
        for average, array, scratch in zip(self._arrays, own, self._scratch, strict=True):
            np.subtract(array, average, out=scratch)
            scratch *= scratch.dtype.type(1 - self.decay)
            average += scratch

    @contextmanager
    def applied(self, network: Network) -> Iterator[None]:
        """Give the network the averages for a while; before the first step nothing changes."""
        if self._arrays is None:
            yield
            return
        own = _arrays(network)
        before = [array.copy() for array in own]
        _copy(self._arrays, own)
        try:
            yield
        finally:
            _copy(before, own)

    def weights(self, network: Network) -> dict[str, Array] | None:
        """Return the averages by path, as `Network.weights` does; None before the first step."""
        if self._arrays is None:
            return None
        with self.applied(network):
            return network.weights()

    def restore(self, network: Network, weights: Mapping[str, Array] | None) -> None:
        """Take over averages by path; the network's own weights are another's to set after it."""
        if weights is not None:
            network.load_weights(weights)
            self._begin(_arrays(network))

    def _begin(self, own: list[Array]) -> None:
        self._arrays = [array.copy() for array in own]
        self._scratch = [np.empty_like(array) for array in own]


class GradientMean:
    """The mean gradient over all samples of several mini-batches, which make one step together.

    Examples
    --------
    >>> mean = GradientMean()
    >>> mean.add(np.array([1.0, 2.0]), samples=3)
    >>> mean.add(np.array([5.0, 2.0]), samples=1)
    >>> mean.take()
    array([2., 2.])
    >>> mean.samples
    0
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sum: Array | None = None

    def add(self, gradient: Array, samples: int) -> None:
        """Add the mean gradient of a mini-batch, which is overwritten."""
        gradient *= gradient.dtype.type(samples)
        if self._sum is None or not self.samples:
            self._sum = gradient.copy() if self._sum is None else self._sum
            self._sum[...] = gradient
        else:
            self._sum += gradient
        self.samples += samples

    def take(self) -> Array:
        """Return the mean, and begin again; the array is used again by the next sum."""
        assert self._sum is not None
        self._sum /= self._sum.dtype.type(self.samples)
        self.samples = 0
        return self._sum

    def snapshot(self, parameters: Sequence[Parameter]) -> dict[str, Any] | None:
        """Return the sum so far, as arrays by the paths of parameters; None between two steps."""
        if self._sum is None or not self.samples:
            return None
        return state_by_path({"sum": self._sum}, parameters) | {"samples": self.samples}

    @classmethod
    def restored(
        cls, snapshot: Mapping[str, Any] | None, parameters: Sequence[Parameter], xp: Any = np
    ) -> GradientMean:
        """Return what a snapshot holds, with its sum as an array of the module `xp`."""
        mean = cls()
        if snapshot is not None:
            mean._sum = state_from_paths({"sum": snapshot["sum"]}, parameters, xp)["sum"]
            mean.samples = snapshot["samples"]
        return mean


def check_decay(decay: float) -> None:
    """Raise OptionError unless a decay is at least 0 and below 1."""
    if not 0 <= decay < 1:
        raise OptionError(f"ema must be at least 0 and below 1. Got {decay}.")


def _arrays(network: Network) -> list[Array]:
    """Return the vector of parameters, and the arrays of the layers' state."""
    states = [array for layer in walk(network.layers) for array in layer.state.values()]
    return [network.parameters, *states]


def _copy(source: list[Array], target: list[Array]) -> None:
    for found, array in zip(source, target, strict=True):
        array[...] = found
