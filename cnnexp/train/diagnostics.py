"""What tells why a training goes as it does: gradients, updates, and ReLUs that never fire.

Three figures per epoch. A gradient that vanishes, or grows without bounds, is seen in its norm; a
learning rate that is too small or too large in the ratio of an update to the weights it changes
(about 1e-3 is usual for SGD); and a unit that is 0 for every sample gets no gradient and cannot
recover: it is dead.

They only look: the trained bits are the same with and without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cnnexp.nn.activations import ReLU
from cnnexp.nn.layer import walk
from cnnexp.nn.network import Network
from cnnexp.train.transforms import Array

SAMPLES = 256  # the first training samples, on which units are looked at
AT_ONCE = 64  # all feature maps of so many samples are in memory
ALL = "all"  # stands for all parameters together


class DiagnosticRow(NamedTuple):
    """One parameter, or one activation layer, in one epoch: a row of ``diagnostics.csv``.

    Attributes
    ----------
    name : str
        The path of the parameter, ``all`` for all of them, or the path of the layer.
    gradient_norm : float or None
        Euclidean norm of the gradient before clipping and decay, mean over the epoch's steps.
    weight_norm : float or None
        Euclidean norm of the weights after the step, mean over the epoch's steps.
    update_ratio : float or None
        Norm of the change made by a step, divided by the norm of the weights; both are means.
    dead_fraction : float or None
        Fraction of the units (filters of a convolution) of a ReLU layer that are 0 for each of the
        first 256 training samples, at every position, with the weights at the end of the epoch.
    """

    name: str
    gradient_norm: float | None
    weight_norm: float | None
    update_ratio: float | None
    dead_fraction: float | None


class Diagnostics:
    """Gathers the figures of one epoch.

    Parameters
    ----------
    network : Network
        The network, built.
    samples : array (n, …)
        Training samples; the first 256 are looked at for dead units.
    """

    def __init__(self, network: Network, samples: Array) -> None:
        self.network, self.samples = network, samples[:SAMPLES]
        self.names = [ALL, *(parameter.path for parameter in network.named_parameters)]
        self.reset()

    def reset(self) -> None:
        """Begin a new epoch."""
        self._sums = np.zeros((3, len(self.names)))  # gradient, weights, update
        self._steps = 0

    def before_step(self, gradient: Array) -> None:
        """Look at the gradient and the weights before a step, which overwrites both."""
        self._gradient = self._norms(gradient)
        self._before = self.network.parameters.copy()

    def after_step(self) -> None:
        """Look at the weights after the step."""
        after = self.network.parameters
        norms = (self._gradient, self._norms(after), self._norms(after - self._before))
        self._sums += norms
        self._steps += 1

    def rows(self) -> list[DiagnosticRow]:
        """Return the figures of the epoch."""
        gradients, weights, updates = self._sums / max(self._steps, 1)
        ratios = np.divide(updates, weights, out=np.zeros_like(updates), where=weights > 0)
        found = [
            DiagnosticRow(name, gradient, weight, ratio, None)
            for name, gradient, weight, ratio in zip(
                self.names, gradients.tolist(), weights.tolist(), ratios.tolist(), strict=True
            )
        ]
        dead = dead_units(self.network, self.samples)
        return [*found, *(DiagnosticRow(name, None, None, None, d) for name, d in dead.items())]

    def snapshot(self) -> dict[str, Any]:
        """Return the sums so far by name: the order of parameters depends on the machine."""
        sums = {name: self._sums[:, k].copy() for k, name in enumerate(self.names)}
        return {"sums": sums, "steps": self._steps}

    def restore(self, snapshot: Mapping[str, Any] | None) -> None:
        """Put the sums back; without a snapshot, to the start of an epoch."""
        self.reset()
        if snapshot is not None:
            self._sums[...] = np.stack([snapshot["sums"][name] for name in self.names], axis=1)
            self._steps = snapshot["steps"]

    def _norms(self, vector: Array) -> Array:
        """Return the norm of the whole vector, and of each parameter's part."""
        wide = vector.astype(np.float64)
        wide *= wide
        parts = [float(wide[p.part].sum()) for p in self.network.named_parameters]
        return np.sqrt([sum(parts), *parts])


def dead_units(network: Network, samples: Array) -> dict[str, float]:
    """Return the fraction of dead units of every ReLU layer, by its path.

    Parameters
    ----------
    network : Network
        The network, built.
    samples : array (n, …)
        A unit is dead if it is 0 for all of these, at every position of its feature map.
    """
    paths = [layer.path for layer in walk(network.layers) if isinstance(layer, ReLU)]
    alive: dict[str, Array] = {}
    for start in range(0, len(samples) if paths else 0, AT_ONCE):
        for path, A in network.activations(samples[start : start + AT_ONCE]):
            if path in paths:
                fires: Any = (A > 0).reshape(-1, A.shape[-1]).any(axis=0)
                alive[path] = alive[path] | fires if path in alive else fires
    return {path: 1.0 - float(alive[path].mean()) for path in paths if path in alive}
