"""How far random networks are from PyTorch's, and how far rounding may take them.

Every step is compared for itself, in float32 or float64, with PyTorch in float64 on the very
numbers that we have, so what rounding may do can be said:

- A sum of ``n`` terms is off by at most ``n · eps`` of its absolute values. `longest_sums` adds up
  the longest sum of every layer, of its outputs or of the gradients of its weights.
- A network enlarges what its numbers are off by; a normalisation of nearly equal values divides by
  nearly 0. By how much is measured: the reference is computed again with samples and parameters
  that are changed by up to ``eps``, and its `condition` is what that changes, in ``eps``.
- Allowed is ``eps · longest_sums · condition``, relative to the largest number of an array.
- A value that is nearer to a kink than `NEAR` units (the 0 of a ReLU, two candidates of a max-pool
  that nearly tie) may fall to its other side, where the gradient is another one and nothing can be
  compared; such steps are counted. Exact ties are decided by definition, and are compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cnnexp import Network
from cnnexp.nn.layer import walk
from tests.nn.random_networks import comparable, largest, relative
from tests.nn.torch_networks import Peer

NEAR = 16  # a value nearer to a kink than this, in eps times the condition, may fall beyond it


class Rounding(NamedTuple):
    """How far a network is from the reference.

    Attributes
    ----------
    part : float
        The largest difference as a part of what is allowed; above 1 it is no rounding.
    eps : float
        The same in units of the epsilon of the precision.
    compared, undecided : int
        Passes that were compared, and those with a value too near to a kink.
    """

    part: float
    eps: float
    compared: int
    undecided: int


def rounding(
    seed: int, impl: str, dtype: str = "float32", steps: int = 2, rate: float = 0.05
) -> Rounding:
    """Train a random network, and compare every step, and inference at the end, with PyTorch."""
    net, X, targets, _ = comparable(seed, impl, dtype)
    eps, noise = float(np.finfo(dtype).eps), np.random.default_rng(seed)
    parts, units, compared = [0.0], [0.0], 0
    for step in range(steps + 1):
        weights, training = net.weights(), step < steps
        peer, wanted = _reference(net, weights, X, targets, step, training)
        moved = [_moved(W, eps, noise) for W in (X, *weights.values())]
        other = _reference(
            net, dict(zip(weights, moved[1:], strict=True)), moved[0], targets, step, training
        )[1]
        condition = max(_apart(other, wanted) / eps, 1.0)
        allowed = eps * longest_sums(net, len(X)) * condition
        found = _stepped(net, X, targets, step, rate) if training else {"A": net.predict(X)}
        if peer.nearest_kink > NEAR * eps * condition or not training:
            difference, compared = _apart(found, wanted), compared + 1
            parts.append(difference / allowed)
            units.append(difference / eps)
    return Rounding(largest(parts), largest(units), compared, steps + 1 - compared)


def _stepped(
    net: Network, X: np.ndarray, targets: np.ndarray, step: int, rate: float
) -> dict[str, np.ndarray]:
    """Take a step, and return loss, gradients and running statistics."""
    sums, gradient = net.batch_gradients(net.batch(X, targets), step)
    found = {p.path: gradient[p.part].reshape(p.shape).copy() for p in net.named_parameters}
    shorter = max(1.0, float(np.abs(gradient).max()))
    net.parameters[...] -= net.dtype.type(rate / shorter) * gradient
    net.take_state()
    found |= {name: W for name, W in net.weights().items() if name not in found}
    return found | {"loss": np.array(net.means(sums)["loss"])}


def _reference(
    net: Network,
    weights: Mapping[str, np.ndarray],
    X: np.ndarray,
    targets: np.ndarray,
    step: int,
    training: bool,
) -> tuple[Peer, dict[str, np.ndarray]]:
    """Return a peer, and its loss, gradients and running statistics; in inference its outputs."""
    peer = Peer(net, weights)
    peer.step, peer.training = step, training
    if not training:
        return peer, {"A": peer.predicted(X)}
    loss = peer.loss(X, targets)
    loss.backward()
    found = peer.descend(0.0) | {name: value.numpy() for name, value in peer.state.items()}
    return peer, found | {"loss": loss.detach().numpy()}


def longest_sums(net: Network, n_m: int) -> float:
    """Return the terms of the longest sum of each layer with parameters, added up."""
    total = 2.0
    for layer in walk(net.layers):
        sizes = [W.size // W.shape[-1] for W in layer.params.values()]
        total += max(*sizes, n_m * math.prod(layer.output_shape[:-1])) if sizes else 0
    return total


def _moved(values: np.ndarray, eps: float, noise: np.random.Generator) -> np.ndarray:
    """Return numbers in float64 that are changed by up to an epsilon, as a part of themselves."""
    return values * (1 + eps * noise.uniform(-1, 1, values.shape))


def _apart(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """Return the largest difference, of gradients relative to the largest of all, if above 1."""
    most = max(1.0, *(float(np.abs(array).max()) for array in wanted.values()))
    return largest([relative(found[name], array, most) for name, array in wanted.items()])
