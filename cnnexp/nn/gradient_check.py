"""Gradients of a network against differences of its loss.

If a parameter `w` grows by a small step `h`, the loss of a mini-batch changes by about
``h · dloss/dw``. So each gradient can be measured by two evaluations of the loss, without any of
the code that computes it::

    numeric = (loss(w + h) - loss(w - h)) / (2 h)

Where a ReLU or a max-pool changes sides between the two, the loss has a kink and the difference
means nothing; with a smaller step that is less likely, so several are tried. A ReLU may even stand
exactly at its kink: biases begin at 0, and where all inputs are 0, so is the sum. So all parameters
are moved a little at random for the check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnnexp.engine import Array, host_copy
from cnnexp.errors import OptionError
from cnnexp.nn.network import Network
from cnnexp.nn.runner import Batch

STEPS = (1e-5, 1e-6, 1e-4)  # the first that agrees counts
MOVED = 0.01  # standard deviation of what parameters are moved by
SMALL = 1e-4  # of the whole gradient: parts far below it are lost in the rounding of the loss


@dataclass(frozen=True)
class GradientCheck:
    """What was found of one parameter.

    Attributes
    ----------
    path : str
        For example ``conv1.W``.
    shape : tuple of int
        Its shape.
    numeric, analytic : float
        Norms of the gradient for the numbers that were tried, by differences and as computed.
    difference : float
        The norm of what lies between them, over the larger of both; gradients that should be 0,
        such as that of a bias before batch normalisation, are compared with the whole gradient.
    tried : int
        How many of its numbers were tried.
    """

    path: str
    shape: tuple[int, ...]
    numeric: float
    analytic: float
    difference: float
    tried: int


def check_gradients(network: Network, batch: Batch, most: int = 20) -> list[GradientCheck]:
    """Check the gradient of every parameter for a mini-batch.

    Parameters
    ----------
    network : Network
        Built, in float64.
    batch : Batch
        Some samples.
    most : int
        Numbers of each parameter that are tried, drawn at random from it.

    Raises
    ------
    OptionError
        If the network computes in float32, whose rounding is larger than the differences.
    """
    if network.dtype != np.float64:
        raise OptionError(f"gradients are checked in float64. Got dtype={network.dtype}.")
    generator = np.random.default_rng(0)
    begun: Array = network.parameters.copy()
    moves = MOVED * generator.standard_normal(begun.size)
    network.parameters[...] += network.implementation.xp.asarray(moves)
    try:
        return list(_checks(network, batch, most, generator))
    finally:
        network.parameters[...] = begun


def _checks(
    network: Network, batch: Batch, most: int, generator: np.random.Generator
) -> Iterator[GradientCheck]:
    """Yield what is found of each parameter."""
    gradient = host_copy(network.batch_gradients(batch)[1])
    least = max(SMALL * float(np.linalg.norm(gradient)), 1e-12)
    for parameter in network.named_parameters:
        size = parameter.part.stop - parameter.part.start
        at = parameter.part.start + generator.permutation(size)[:most]
        analytic = gradient[at]
        numeric = np.array([_slope(network, batch, int(k), gradient[k], least) for k in at])
        scale = max(float(np.linalg.norm(numeric)), float(np.linalg.norm(analytic)), least)
        difference = float(np.linalg.norm(numeric - analytic)) / scale
        norms = float(np.linalg.norm(numeric)), float(np.linalg.norm(analytic))
        yield GradientCheck(parameter.path, parameter.shape, *norms, difference, len(at))


def _slope(network: Network, batch: Batch, index: int, expected: float, least: float) -> float:
    """Return the slope of the loss along one number, by the step that agrees best."""
    slopes = []
    for step in STEPS:
        slopes.append(_loss(network, batch, index, step) - _loss(network, batch, index, -step))
        slopes[-1] /= 2 * step
        if abs(slopes[-1] - expected) <= 1e-6 * max(abs(expected), least):
            break
    return min(slopes, key=lambda slope: abs(slope - expected))


def _loss(network: Network, batch: Batch, index: int, step: float) -> float:
    """Return the mean loss with one number changed."""
    values: Array = network.parameters
    before = float(values[index])
    values[index] += step
    try:
        return network.means(network.batch_gradients(batch)[0])["loss"]
    finally:
        values[index] = before
