"""The time of a training pass under several implementations, side by side.

The implementations are measured alternately on the same batch until the time is up, so that other
load on the machine affects all of them alike; the figures are medians over the passes. An
implementation that is too slow for whole batches gets a few samples instead. All figures are per
sample, and a field says which were measured on fewer samples.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnexp.engine import Window
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.layer import walk
from cnnexp.nn.network import Network
from cnnexp.nn.profile import Profile, ProfileRow, Times
from cnnexp.nn.runner import Batch

PROBE = 16  # samples of the first pass of an implementation that is not written in loops
LEAST, MOST = 3, 200  # passes
LOOP_SECONDS = (
    20e-6  # what a loop in Python takes for one output, forward and backward; a rough figure
)


@dataclass(frozen=True)
class Measured:
    """What was measured of one implementation. All seconds are those of one sample.

    Attributes
    ----------
    impl : str
        Its name.
    rows : list of ProfileRow
        A row for each step, and one for the loss.
    seconds : float
        A whole pass, forward and backward, by the clock.
    samples, passes : int
        Of a pass, and how many passes there were.
    extrapolated : bool
        Whether a pass had fewer samples than the batch.
    """

    impl: str
    rows: list[ProfileRow]
    seconds: float
    samples: int
    passes: int
    extrapolated: bool


@dataclass
class Course:
    """The passes of one implementation."""

    network: Network
    batch: Batch
    profile: Profile
    clock: list[float] = field(default_factory=list)
    figures: list[dict[str, dict[str, Any]]] = field(default_factory=list)

    def run(self) -> float:
        """Make one pass, note its figures, and return its seconds."""
        self.profile.reset()
        start = time.perf_counter()
        with one_blas_thread():
            self.network.batch_gradients(self.batch)
        seconds = time.perf_counter() - start
        self.clock.append(seconds)
        self.figures.append(self.profile.times())
        return seconds

    def measured(self, whole: int) -> Measured:
        """Return the medians."""
        return Measured(
            impl=self.network.implementation.name,
            rows=self.profile.rows({name: self._median(name) for name in self.profile.names}),
            seconds=statistics.median(self.clock) / self.batch.size,
            samples=self.batch.size,
            passes=len(self.clock),
            extrapolated=self.batch.size < whole,
        )

    def _median(self, name: str) -> Times:
        """Return the medians of one step, for one sample."""
        passes = [figures[name] for figures in self.figures]
        forward, backward = (
            statistics.median(figures[name] for figures in passes) / self.batch.size
            for name in ("forward", "backward")
        )
        return Times(forward, backward, 1, max(figures["cache_bytes"] for figures in passes))


def measure(networks: Mapping[str, Network], batch: Batch, seconds: float) -> list[Measured]:
    """Measure training passes of several networks, in turn.

    Parameters
    ----------
    networks : mapping of str to Network
        Built networks of the same layers, by the name of their implementation.
    batch : Batch
        What all of them compute.
    seconds : float
        How long all of it may take; a single sample of a very slow one may take longer.

    Returns
    -------
    list of Measured
        In the order of the networks.
    """
    share = seconds / max(len(networks), 1)
    courses = [_begin(network, batch, share) for network in networks.values()]
    spent = [sum(course.clock) for course in courses]
    for _ in range(MOST):
        for k, course in enumerate(courses):
            if not course.clock or spent[k] + course.clock[-1] <= share:
                spent[k] += course.run()
    return [course.measured(batch.size) for course in courses]


def made_up(network: Network, size: int, classes: int | None) -> Batch:
    """Return a batch of random images, the same for everybody; without classes, real values."""
    generator = np.random.default_rng(0)
    X = generator.random((size, *network.input_shape))
    if len(network.output_shape) > 1 or not classes:  # such as the input
        return network.batch(X, generator.standard_normal((size, *network.output_shape)))
    return network.batch(X, generator.integers(0, classes, size))


def loop_seconds(network: Network) -> float:
    """Return about what one sample takes where every output is an iteration of a loop in Python."""
    if network.implementation.releases_gil:
        return 0.0
    images = [layer for layer in walk(network.layers) if isinstance(layer.geometry, Window)]
    return LOOP_SECONDS * sum(math.prod(layer.output_shape) for layer in images)


def _begin(network: Network, batch: Batch, share: float) -> Course:
    """Try a few samples, and choose how many a pass will have."""
    profile = network.profile()
    probe = _first(batch, PROBE if network.implementation.releases_gil else 1)
    course = Course(network, probe, profile)
    each = course.run() / probe.size
    if 2 * each * probe.size > share:
        return course  # no time for more: the trial is the measurement
    fitting = int(share / LEAST / each)
    return Course(network, _first(batch, max(fitting, probe.size)), profile)


def _first(batch: Batch, samples: int) -> Batch:
    """Return the first samples of a batch; all if there are not more."""
    return Batch(batch.X[:samples], batch.targets[:samples])
