"""Random layers with a window, of any geometry, under every implementation against two oracles.

A trial draws a layer, images, weights, biases and a gradient of the result from a seed. Its result
and the gradients of input, weights and biases are compared with PyTorch's and with SciPy's, which
compute them in float64 from the very numbers that we were given.

How much rounding may do: a sum of ``n`` products in a precision with the unit ``eps`` is off by at
most ``n · eps`` times the sum of the products' absolute values, in whatever order it is added
(Higham, section 3.1). So a difference is measured in this unit: ``eps`` times the largest sum of
absolute values of the array, which the oracle computes from the absolute values of everything.
Allowed is `length`, the most terms that any sum of the trial has. Winograd's transforms enlarge the
sums that they add up: one axis of F(4, 3) by at most 16 (the row sums of ``|Aᵀ| (|G| 1 · |Bᵀ| 1)``
over 3), both axes by 256, and the allowance is larger by that. The largest values of max-pooling
are copies: nothing is allowed there.

Many pixels are equal, or zero, in a third of the trials: where candidates of a max-pool tie, both
sides must choose the first.

References
----------
N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, 2002
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnexp import (
    AvgPool2D,
    Conv2D,
    DepthwiseConv2D,
    Layer,
    MaxPool2D,
    Network,
    PointwiseConv2D,
    SeparableConv2D,
    TransposedConv2D,
)
from cnnexp.engine import Limits
from cnnexp.engine.fast import winograd
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.plan import Plan, finish
from tests.engine.geometries import TABLE as ENGINE
from tests.engine.geometries import TINY
from tests.nn.networks import HERE
from tests.nn.scipy_layers import layer_by_scipy

KINDS = (
    "conv",
    "conv",
    "depthwise_conv",
    "pointwise_conv",
    "separable_conv",
    "transposed_conv",
    "max_pool",
    "avg_pool",
)
PRECISIONS = {name: float(np.finfo(name).eps) for name in ("float64", "float32")}
WINOGRAD = 256.0  # how much larger its sums of absolute values may be
MOST = 800  # values of the result: the four loops visit each

Arrays = dict[str, np.ndarray]


class Difference(NamedTuple):
    """One comparison: with which oracle, of which array, and how far apart."""

    kind: str
    impl: str
    dtype: str
    oracle: str
    array: str
    units: float  # of eps times the largest sum of absolute values
    allowed: float

    @property
    def failed(self) -> bool:
        """Whether it is more than rounding; nan is."""
        return not self.units <= self.allowed


class Trial(NamedTuple):
    """A built layer in a network of its own, with what goes in at both ends."""

    kind: str
    net: Network
    A: np.ndarray
    dZ: np.ndarray
    limits: Limits

    @property
    def layer(self) -> Layer:
        return self.net.layers[0]

    @property
    def length(self) -> float:
        """The most terms of a sum; those of convolutions in a row add up."""
        layer, positions = self.layer, self.dZ[..., 0].size
        if "pool" in self.kind:
            return float(layer.geometry.size) + 1
        total = 0
        for part in getattr(layer, "parts", [layer]):
            f_h, f_w, n_c, n_f = part.params["W"].shape
            total += max(f_h * f_w * n_c, f_h * f_w * n_f, positions) + 2
        return float(total)

    def __str__(self) -> str:
        return f"{self.layer!r} on {self.A.shape}"


def draw(seed: int, dtype: str) -> Trial:
    """Return a trial, the same geometry for both precisions."""
    for attempt in range(1000):
        rng = np.random.default_rng([seed, attempt])
        kind = str(rng.choice(KINDS))
        shape = (int(rng.integers(1, 13)), int(rng.integers(1, 13)), int(rng.choice(CHANNELS)))
        n_m = int(rng.integers(1, 5))
        try:
            layer = MAKE[kind](rng, shape[2])
            net = Network([layer], dtype=dtype, loss="mean_squared_error").build(shape)
        except (ShapeError, OptionError):
            continue  # it does not fit
        if 0 < n_m * np.prod(layer.output_shape) <= MOST:
            return _filled(kind, net, rng, n_m)
    raise AssertionError(f"No geometry of seed {seed} fits.")


CHANNELS = (1, 1, 2, 3, 4, 8, 9)


def _filled(kind: str, net: Network, rng: np.random.Generator, n_m: int) -> Trial:
    """Draw the numbers of a trial."""
    net.parameters[...] = rng.standard_normal(net.parameter_count)
    A = rng.standard_normal((n_m, *net.input_shape))
    like = rng.random()
    if like < 0.2:
        A = np.round(A)  # many are equal
    elif like < 0.35:
        A[:, : 1 + A.shape[1] // 2] = 0  # half of the image is black
    dZ = rng.standard_normal((n_m, *net.output_shape))
    limits = TINY if rng.random() < 0.5 else Limits()
    return Trial(kind, net, A.astype(net.dtype), dZ.astype(net.dtype), limits)


def _pair(rng: np.random.Generator, most: int) -> tuple[int, int]:
    return int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))


def _padding(rng: np.random.Generator, most: int = 3) -> Any:
    """Return a padding of any form."""
    ends = rng.integers(0, most + 1, 4).tolist()
    forms = ("valid", "same", ends[0], tuple(ends[:2]), (tuple(ends[:2]), tuple(ends[2:])))
    return forms[rng.integers(len(forms))]


def _kernel(rng: np.random.Generator) -> tuple[int, int]:
    return (3, 3) if rng.random() < 0.3 else _pair(rng, 5)


def _stride(rng: np.random.Generator) -> tuple[int, int]:
    return (1, 1) if rng.random() < 0.4 else _pair(rng, 5)


def _conv(rng: np.random.Generator, n_c: int) -> Layer:
    if rng.random() < 0.2:  # Winograd's method, where there are enough channels
        return Conv2D(int(rng.integers(8, 10)), 3, padding=_padding(rng))
    groups = int(rng.choice([g for g in (1, 1, 1, 2, 3, n_c) if n_c % g == 0]))
    dilation = (1, 1) if rng.random() < 0.5 else _pair(rng, 3)
    filters = groups * int(rng.integers(1, 5))
    options = {"padding": _padding(rng), "dilation": dilation, "groups": groups}
    return Conv2D(filters, _kernel(rng), _stride(rng), **options)


def _depthwise(rng: np.random.Generator, n_c: int) -> Layer:
    dilation = (1, 1) if rng.random() < 0.5 else _pair(rng, 3)
    options = {"padding": _padding(rng), "dilation": dilation}
    multiplier = int(rng.integers(1, 3))
    return DepthwiseConv2D(_kernel(rng), _stride(rng), multiplier=multiplier, **options)


def _separable(rng: np.random.Generator, n_c: int) -> Layer:
    return SeparableConv2D(int(rng.integers(1, 6)), _kernel(rng), _stride(rng), _padding(rng))


def _transposed(rng: np.random.Generator, n_c: int) -> Layer:
    padding = _padding(rng, most=2)
    return TransposedConv2D(int(rng.integers(1, 5)), _kernel(rng), _pair(rng, 3), padding)


def _pool(kind: Callable[..., Layer]) -> Callable[[np.random.Generator, int], Layer]:
    def make(rng: np.random.Generator, n_c: int) -> Layer:
        stride = None if rng.random() < 0.3 else _pair(rng, 5)
        return kind(_pair(rng, 5), stride, _padding(rng, most=2))

    return make


MAKE: dict[str, Callable[[np.random.Generator, int], Layer]] = {
    "conv": _conv,
    "depthwise_conv": _depthwise,
    "pointwise_conv": lambda rng, n_c: PointwiseConv2D(int(rng.integers(1, 10)), _stride(rng)),
    "separable_conv": _separable,
    "transposed_conv": _transposed,
    "max_pool": _pool(MaxPool2D),
    "avg_pool": _pool(AvgPool2D),
}


def computed(trial: Trial, impl: str) -> Arrays:
    """Return what an implementation makes of a trial: result and gradients, by name."""
    plan = Plan([trial.layer], ENGINE[impl], limits=trial.limits, input_gradient=True)
    contexts, found = plan.contexts(), {}
    for step, context in zip(plan.all_steps, contexts, strict=True):
        context.grads = {name: np.full_like(p, np.nan) for name, p in step.layer.params.items()}
        found |= {f"{step.layer.path}.{name}": array for name, array in context.grads.items()}
    with one_blas_thread():
        Z, caches = finish(plan.forward(trial.A, contexts))
        Z = Z.copy()
        dA = finish(plan.backward(caches, trial.dZ, contexts))
    return {"Z": Z, "dA": dA, **found}


def oracles(trial: Trial) -> dict[str, Callable[[np.ndarray, np.ndarray, Arrays], Arrays]]:
    """Return what computes a trial in float64: PyTorch where it is installed, and SciPy."""
    found: dict[str, Callable[[np.ndarray, np.ndarray, Arrays], Arrays]] = {}
    if importlib.util.find_spec("torch") is not None:
        from tests.nn.torch_networks import Peer

        found["PyTorch"] = lambda A, dZ, params: Peer(trial.net).vjp(A, dZ, params)
    found["SciPy"] = lambda A, dZ, params: layer_by_scipy(trial.layer, A, dZ, params)
    return found


def differences(
    seed: int, impls: list[str] = HERE, which: str | None = None
) -> Iterator[Difference]:
    """Yield every comparison of one geometry: all implementations, precisions and oracles."""
    for dtype, eps in PRECISIONS.items():
        trial = draw(seed, dtype)
        asked = {name: by for name, by in oracles(trial).items() if which in (None, name)}
        A, dZ = (array.astype(np.float64) for array in (trial.A, trial.dZ))
        params = {name: W.astype(np.float64) for name, W in trial.net.weights().items()}
        wanted = {name: oracle(A, dZ, params) for name, oracle in asked.items()}
        scales = _scales(trial, next(iter(asked.values())), A, dZ, params)
        for impl in impls:
            found = computed(trial, impl)
            for name, arrays in wanted.items():
                for array, expected in arrays.items():
                    units = _apart(found[array], expected) / (eps * scales[array])
                    allowed = _allowed(trial, impl, array)
                    yield Difference(trial.kind, impl, dtype, name, array, units, allowed)


def _apart(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape, f"{found.shape} and {wanted.shape}"
    return float(np.abs(found.astype(np.float64) - wanted).max())


def _scales(
    trial: Trial, oracle: Callable[..., Arrays], A: np.ndarray, dZ: np.ndarray, params: Arrays
) -> dict[str, float]:
    """Return the largest sum of absolute values of each array; 1 if all are zero."""
    if trial.kind == "max_pool":
        return {"Z": float(np.abs(A).max()) or 1.0, "dA": float(np.abs(dZ).max())}
    sums = oracle(np.abs(A), np.abs(dZ), {name: np.abs(W) for name, W in params.items()})
    return {name: float(array.max()) or 1.0 for name, array in sums.items()}


def _allowed(trial: Trial, impl: str, array: str) -> float:
    if trial.kind == "max_pool" and array == "Z":
        return 0.0
    W, (_, _, n_c) = trial.layer.params.get("W"), trial.net.input_shape
    tiles = impl in ("fast", "compiled") and W is not None
    tiled = tiles and winograd.suits(W, n_c, trial.layer.geometry)
    return trial.length * (WINOGRAD if tiled else 1.0)
