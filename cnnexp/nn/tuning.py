"""Sizes of micro-batches by measurement: which of a few sizes trains a mini-batch fastest.

The automatic size (`micro_batch`) follows from the network and the processor's cache. What is best
also depends on things that no rule knows: the speed of memory, of BLAS, of a call. So a few sizes
around the automatic one are tried on one mini-batch.

Sizes are compared on one worker, by the processor time of its thread, which other programs hardly
disturb. On several workers a larger size must leave each of them a micro-batch; how well workers
share a mini-batch is not measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from cnnexp.engine import Array
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.network import Network
from cnnexp.nn.saving import unbuilt

SMALLEST, LARGEST = 8, 256  # samples of a micro-batch that is tried
SHARE = 0.06  # seconds to measure one size
LONG = 0.5  # seconds of a mini-batch: to try sizes would take too long
MOST_ROUNDS = 50
MARGIN = 0.97  # of the time of the automatic size: what is hardly faster is not taken


def can_be_tuned(network: Network) -> bool:
    """Say whether sizes matter: not on a device, and not where Python's loops take the time."""
    found = network.implementation
    return found.device is None and found.releases_gil


def measured(network: Network, X: Array, Y: Array) -> dict[int, float]:
    """Return the seconds of one worker for a mini-batch, by the size of a micro-batch.

    Parameters
    ----------
    network : Network
        Built, with its automatic size. It is not changed: copies of it compute.
    X, Y : array (n_m, …)
        A mini-batch, as in training.

    Returns
    -------
    dict
        The automatic size first. Empty if there is no other one to try, or if a mini-batch takes
        so long that trying would.
    """
    usual = min(int(network.micro_batch), len(X))
    found: dict[int, float] = {}
    for size in sizes_around(usual, len(X)):
        seconds = _seconds(_copy(network, size), X, Y)
        if not found and seconds > LONG:
            return {}
        found[size] = seconds
    return found if len(found) > 1 else {}


def sizes_around(usual: int, batch_size: int) -> list[int]:
    """Return the sizes to try: the usual one, half of it, twice and four times as much.

    Examples
    --------
    >>> sizes_around(64, 128), sizes_around(16, 16)
    ([64, 32, 128], [16, 8])
    """
    others = (usual // 2, 2 * usual, 4 * usual)
    most = min(batch_size, LARGEST)
    return [usual, *(size for size in others if SMALLEST <= size <= most)]


def best_size(seconds: Mapping[int, float], batch_size: int, workers: int) -> int:
    """Return the size to take, of those that `measured` returned.

    Parameters
    ----------
    seconds : mapping of int to float
        By size, the automatic one first.
    batch_size, workers : int
        Samples of a mini-batch, and who shares them.

    Examples
    --------
    >>> seconds = {64: 1.0, 32: 1.2, 128: 0.9}
    >>> best_size(seconds, 128, workers=1), best_size(seconds, 128, workers=2)
    (128, 64)
    """

    def parts(size: int) -> int:
        return -(-batch_size // size)

    usual = next(iter(seconds))
    fewest = min(workers, parts(usual))
    best = min((size for size in seconds if parts(size) >= fewest), key=lambda s: seconds[s])
    return best if seconds[best] < MARGIN * seconds[usual] else usual


def _copy(network: Network, size: int) -> Network:
    """Return a network like another one, on one worker, with micro-batches of a size."""
    arguments = network._arguments() | {"threads": 1, "micro_batch": size}
    layers = [unbuilt(layer) for layer in network.layers]
    return Network(layers, limits=network.limits, **arguments).build(network.input_shape)


def _seconds(network: Network, X: Array, Y: Array) -> float:
    """Return the least processor time of a mini-batch, after a first one that is not counted."""
    batch = network.batch(X, Y)
    found: list[float] = []
    with one_blas_thread():
        begin = time.thread_time()
        network.batch_gradients(batch)
        if (first := time.thread_time() - begin) > LONG:
            return first
        while len(found) < 2 or sum(found) < SHARE:
            start = time.thread_time()
            network.batch_gradients(batch)
            found.append(time.thread_time() - start)
            if len(found) == MOST_ROUNDS:
                break
    return min(found)
