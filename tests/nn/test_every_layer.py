"""Every layer of the table in a network made from settings, as a config gives them."""

from __future__ import annotations

import numpy as np
import pytest

from cnnexp import LAYERS, Network
from cnnexp.nn.layer import make_layer
from tests.nn.networks import IMPLEMENTATIONS

CONV = {"type": "conv", "filters": 4, "kernel_size": 3, "padding": "same"}
SETTINGS = {
    "conv": {"filters": 3, "kernel_size": [3, 2], "groups": 1},
    "depthwise_conv": {"kernel_size": 3, "multiplier": 2},
    "pointwise_conv": {"filters": 3},
    "separable_conv": {"filters": 3, "kernel_size": 3, "activation": "relu"},
    "transposed_conv": {"filters": 3, "kernel_size": 3, "stride": 2, "padding": "same"},
    "max_pool": {"kernel_size": 2},
    "avg_pool": {"kernel_size": 2},
    "pad": {"padding": 1},
    "crop": {"margin": 1},
    "reshape": {"shape": [3, 12, -1]},
    "upsample": {"factor": 2},
    "group_norm": {"groups": 2},
    "block": {"layers": [CONV, {"type": "relu"}]},
    "residual": {"layers": [CONV]},
    "concat": {"layers": [CONV, {"type": "block", "layers": [CONV, {"type": "tanh"}]}]},
}
ONE_ROW = {"global_avg_pool", "global_max_pool", "flatten", "dense"}
OWN = [name for name in LAYERS if LAYERS[name].__module__.startswith("cnnexp.")]


def network(name: str, impl: str, **options: int) -> Network:
    """Return a network of a convolution, the layer, and a dense layer."""
    tested = {"type": name} | SETTINGS.get(name, {"units": 5} if name == "dense" else {})
    layers = [CONV, *([{"type": "flatten"}] if name == "dense" else []), tested]
    layers += [] if name in ONE_ROW else [{"type": "flatten"}]
    layers += [{"type": "dense", "units": 3, "activation": "softmax"}]
    made = [make_layer(entry) for entry in layers]
    return Network(made, impl=impl, dtype="float64", **options)


def bits(net: Network, steps: int = 3) -> list[bytes]:
    """Return all weights and state after a few steps, and what is predicted then."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((7, 6, 6, 2)), rng.integers(0, 3, 7)
    losses = [net.train(X, Y, 0.1)[0] for _ in range(steps)]
    assert np.isfinite(losses).all()
    found = [array.tobytes() for array in net.weights().values()]
    found.append(net.predict(X).tobytes())
    net.close()
    return found


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", OWN)
def test_every_layer_trains_and_workers_change_no_bit(name, impl):
    alone = bits(network(name, impl, micro_batch=2, threads=1))
    assert bits(network(name, impl, micro_batch=2, threads=3)) == alone


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", OWN)
def test_micro_batches_change_rounding_alone(name, impl):
    """Dropout draws the same masks, and batch normalisation sees the whole mini-batch."""
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((7, 6, 6, 2)), rng.integers(0, 3, 7)
    gradients = [network(name, impl, micro_batch=n).gradients(X, Y)[1].copy() for n in (7, 2)]
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
