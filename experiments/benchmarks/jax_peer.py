"""JAX on the CPU: the same networks, a whole step of training in one compiled function.

XLA sees gradients, momentum and update together. Images have channels last, which JAX's
convolutions take on a CPU; batches are gathered by NumPy into arrays that JAX copies.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.jobs import (
    CLASSES,
    IMAGE_SHAPE,
    LEARNING_RATE,
    MOMENTUM,
    Job,
    Layers,
    layers_of,
    made_samples,
)

Arrays = dict[str, Any]
AXES = ("NHWC", "HWIO", "NHWC")


class JaxPeer:
    """A network of ``conf/model`` in JAX, its images, and its optimizer."""

    def __init__(self, job: Job) -> None:
        samples = made_samples(job.pool, job.dtype)
        self.X, self.Y, self.batch = samples.X, np.asarray(samples.Y), job.batch
        self.layers, self._generator = layers_of(job.net), np.random.default_rng(0)
        self.params: Arrays = {}
        network(self.layers, jnp.asarray(self.X[:2]), self.params, self._generator)
        self.velocity = jax.tree.map(jnp.zeros_like, self.params)
        self._step = jax.jit(self._update, donate_argnums=(0, 1))
        self._order = np.zeros(0, int)

    def train(self, batches: int) -> float:
        """Train on some batches and return the seconds; shuffling is part of them."""
        start = time.perf_counter()
        for _ in range(batches):
            if len(self._order) < self.batch:
                self._order = self._generator.permutation(len(self.Y))
            rows, self._order = self._order[: self.batch], self._order[self.batch :]
            given = self.X[rows], self.Y[rows]
            self.params, self.velocity = self._step(self.params, self.velocity, *given)
        jax.block_until_ready(self.params)
        return time.perf_counter() - start

    def infer(self, samples: int, at_once: int) -> float:
        """Nothing is measured: the table is of training."""
        raise NotImplementedError

    def loss(self, params: Arrays, X: Any, Y: Any) -> Any:
        """Return the mean cross-entropy."""
        logits = jax.nn.log_softmax(network(self.layers, X, params))
        return -jnp.take_along_axis(logits, Y[:, None], axis=1).mean()

    def _update(self, params: Arrays, velocity: Arrays, X: Any, Y: Any) -> tuple[Arrays, Arrays]:
        """Return parameters and velocity after a step with Nesterov's momentum."""
        gradients = jax.grad(self.loss)(params, X, Y)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)

        def moved(p: Any, v: Any, g: Any) -> Any:
            return p - LEARNING_RATE * (g + MOMENTUM * v)

        return jax.tree.map(moved, params, velocity, gradients), velocity


def network(
    layers: Layers, x: Any, params: Arrays, make: np.random.Generator | None = None, at: str = ""
) -> Any:
    """Return the result of some layers; with a generator, make their parameters first."""
    for number, options in enumerate(layers):
        path = f"{at}{number}"
        if make is not None:
            params |= made_parameters(options, x, path, make)
        if options["type"] == "residual":
            body = network(options["layers"], x, params, make, f"{path}.")
            x = body + network(options.get("shortcut", []), x, params, make, f"{path}.s.")
        else:
            x = layer(options, x, params, path)
        if options.get("activation") == "relu":
            x = jax.nn.relu(x)
    return x


def made_parameters(
    options: dict[str, Any], x: Any, path: str, generator: np.random.Generator
) -> Arrays:
    """Return the first parameters of a layer."""
    kind, n_in = options["type"], x.shape[-1]
    if kind == "batch_norm":
        return {f"{path}.W": jnp.ones(n_in), f"{path}.b": jnp.zeros(n_in)}
    if kind not in ("conv", "dense"):
        return {}
    n_out = options.get("filters", options.get("units", CLASSES))
    window = (options["kernel_size"],) * 2 if kind == "conv" else ()
    shape = (*window, n_in, n_out)
    W = generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
    return {f"{path}.W": jnp.asarray(W, x.dtype), f"{path}.b": jnp.zeros(n_out)}


def layer(options: dict[str, Any], x: Any, params: Arrays, path: str) -> Any:
    """Return the result of one layer, without its activation."""
    kind, width = options["type"], options.get("kernel_size", 1)
    stride = options.get("stride") or (width if kind == "max_pool" else 1)
    if kind == "conv":
        padding = str(options.get("padding", "valid")).upper()
        W, b = params[f"{path}.W"], params[f"{path}.b"]
        return (
            jax.lax.conv_general_dilated(x, W, (stride, stride), padding, dimension_numbers=AXES)
            + b
        )
    if kind == "max_pool":
        size, step = (1, width, width, 1), (1, stride, stride, 1)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, step, "VALID")
    if kind == "dense":
        return x @ params[f"{path}.W"] + params[f"{path}.b"]
    if kind == "batch_norm":
        axes = tuple(range(x.ndim - 1))
        normal = (x - x.mean(axes)) / jnp.sqrt(x.var(axes) + 1e-5)
        return normal * params[f"{path}.W"] + params[f"{path}.b"]
    others = {
        "flatten": lambda: x.reshape(len(x), -1),
        "relu": lambda: jax.nn.relu(x),
        "global_avg_pool": lambda: x.mean((1, 2)),
        "dropout": lambda: x,  # no random numbers are drawn, which is in its favour
    }
    return others[kind]()


assert IMAGE_SHAPE[2] == 1
