"""Networks of ours computed by PyTorch, layer by layer, and random networks to compare by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp import (
    LAYERS,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Block,
    Context,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Focal,
    Hinge,
    Huber,
    Layer,
    LeakyReLU,
    Loss,
    MaxPool2D,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from cnnexp.engine.window import check_padding, pair
from cnnexp.errors import ShapeError
from cnnexp.nn.plan import RANDOM

Tensor = Any


class Peer:
    """The same network in PyTorch, in float64, with channels first.

    Parameters
    ----------
    net : Network
        A built network; its weights are copied.
    """

    def __init__(self, net: Network) -> None:
        import torch

        self.torch, self.net = torch, net
        state = {f"{layer.path}.{key}" for layer in _walk(net.layers) for key in layer.state}
        weights = net.weights()
        self.params = {
            k: torch.tensor(v, requires_grad=True) for k, v in weights.items() if k not in state
        }
        self.state = {k: torch.tensor(v) for k, v in weights.items() if k in state}
        self.training, self.step = True, 0
        self.smallest_variance = math.inf  # seen by a batch normalisation

    def outputs(self, X: np.ndarray) -> Tensor:
        """Return what the loss takes: channels first inside, logits at the end."""
        A = self.torch.tensor(X).permute(0, 3, 1, 2) if X.ndim == 4 else self.torch.tensor(X)
        layers, fused = self.net.layers, self.net.loss.fuses
        return self.run(layers[:-1] if layers[-1].type == fused else layers, A)

    def loss(self, X: np.ndarray, targets: np.ndarray) -> Tensor:
        """Return the mean loss."""
        return loss_of(self.net.loss, self.outputs(X), self.torch.tensor(targets))

    def descend(self, rate: float) -> dict[str, np.ndarray]:
        """Take a plain gradient step, and return the gradients."""
        found = {}
        with self.torch.no_grad():
            for name, tensor in self.params.items():
                found[name] = tensor.grad.numpy().copy()
                tensor -= rate * tensor.grad
                tensor.grad = None
        return found

    def run(self, layers: Sequence[Layer], A: Tensor) -> Tensor:
        """Run some layers."""
        for layer in layers:
            A = getattr(self, f"_{layer.type}")(layer, A)
        return A

    def _conv(self, layer: Any, A: Tensor) -> Tensor:
        W, b = (self.params[f"{layer.path}.{key}"] for key in "Wb")
        window = layer.geometry
        A = self._padded(A, window, 0.0)
        return self.torch.nn.functional.conv2d(
            A,
            W.permute(3, 2, 0, 1).contiguous(),
            b,
            window.stride,
            0,
            window.dilation,
            layer.groups,
        )

    def _padded(self, A: Tensor, window: Any, value: float) -> Tensor:
        pads = (window.cols.before, window.cols.after, window.rows.before, window.rows.after)
        return self.torch.nn.functional.pad(A, pads, value=value)

    def _max_pool(self, layer: Any, A: Tensor) -> Tensor:
        A = self._padded(A, layer.geometry, -math.inf)
        window = layer.geometry
        return self.torch.nn.functional.max_pool2d(A, window.kernel, window.stride)

    def _avg_pool(self, layer: Any, A: Tensor) -> Tensor:
        A = self._padded(A, layer.geometry, 0.0)
        window = layer.geometry
        return self.torch.nn.functional.avg_pool2d(A, window.kernel, window.stride)

    def _batch_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        mean, variance = (self.state[f"{layer.path}.{key}"] for key in ("mean", "variance"))
        axes = [0, *range(2, A.ndim)]
        found = A.detach().var(dim=axes, correction=0).min().item()
        self.smallest_variance = min(self.smallest_variance, found)
        return self.torch.nn.functional.batch_norm(
            A, mean, variance, scale, shift, self.training, layer.momentum, layer.epsilon
        )

    def _dropout(self, layer: Any, A: Tensor) -> Tensor:
        """Draw the mask of the whole mini-batch at once."""
        if not self.training:
            return A
        context = Context(seed=(self.net.seed, RANDOM, *layer.path.encode()), step=self.step)
        ours = np.ones((len(A), *layer.input_shape))
        mask, _ = layer.forward(ours, context)
        mask = self.torch.tensor(np.ascontiguousarray(mask))
        return A * (mask.permute(0, 3, 1, 2) if mask.ndim == 4 else mask)

    def _dense(self, layer: Any, A: Tensor) -> Tensor:
        return A @ self.params[f"{layer.path}.W"] + self.params[f"{layer.path}.b"]

    def _flatten(self, layer: Any, A: Tensor) -> Tensor:
        return (A.permute(0, 2, 3, 1) if A.ndim == 4 else A).reshape(len(A), -1)

    def _relu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.relu(A)

    def _leaky_relu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.leaky_relu(A, layer.slope)

    def _sigmoid(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.sigmoid(A)

    def _tanh(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.tanh(A)

    def _elu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.elu(A, layer.alpha)

    def _softplus(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.softplus(A)

    def _silu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.silu(A)

    def _gelu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.gelu(A, approximate="tanh")

    def _hard_swish(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.hardswish(A)

    def _softmax(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.softmax(A, dim=1)

    def _log_softmax(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.log_softmax(A, dim=1)

    def _depthwise_conv(self, layer: Any, A: Tensor) -> Tensor:
        return self._conv(layer, A)

    def _pointwise_conv(self, layer: Any, A: Tensor) -> Tensor:
        return self._conv(layer, A)

    def _separable_conv(self, layer: Any, A: Tensor) -> Tensor:
        A = self.run(layer.parts, A)
        return self.run([LAYERS[layer.activation]()], A) if layer.activation else A

    def _transposed_conv(self, layer: Any, A: Tensor) -> Tensor:
        """Compute the whole result, and cut off what the padding says."""
        W, b = (self.params[f"{layer.path}.{key}"] for key in "Wb")
        stride = pair("stride", layer.stride)
        W = W.permute(2, 3, 0, 1).contiguous()
        Z = self.torch.nn.functional.conv_transpose2d(A, W, None, stride)
        (top, _), (left, _) = layer._cut()
        rows, cols, _ = layer.output_shape
        beyond = (0, max(left + cols - Z.shape[3], 0), 0, max(top + rows - Z.shape[2], 0))
        Z = self.torch.nn.functional.pad(Z, beyond) + b[:, None, None]
        return Z[:, :, top : top + rows, left : left + cols]

    def _layer_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        last = A.movedim(1, -1)
        size = last.shape[-1:]
        found = self.torch.nn.functional.layer_norm(last, size, scale, shift, layer.epsilon)
        return found.movedim(-1, 1)

    def _group_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        return self.torch.nn.functional.group_norm(A, layer.groups, scale, shift, layer.epsilon)

    def _spatial_dropout(self, layer: Any, A: Tensor) -> Tensor:
        return self._dropout(layer, A)

    def _pad(self, layer: Any, A: Tensor) -> Tensor:
        (top, bottom), (left, right) = check_padding(layer.padding)
        pads = (left, right, top, bottom)
        return self.torch.nn.functional.pad(A, pads, value=layer.value)

    def _crop(self, layer: Any, A: Tensor) -> Tensor:
        (top, _), (left, _) = check_padding(layer.margin)
        rows, cols, _ = layer.output_shape
        return A[:, :, top : top + rows, left : left + cols]

    def _reshape(self, layer: Any, A: Tensor) -> Tensor:
        found = self._flatten(layer, A).reshape(len(A), *layer.output_shape)
        return found.permute(0, 3, 1, 2) if found.ndim == 4 else found

    def _upsample(self, layer: Any, A: Tensor) -> Tensor:
        tall, wide = pair("factor", layer.factor)
        return A.repeat_interleave(tall, dim=2).repeat_interleave(wide, dim=3)

    def _global_avg_pool(self, layer: Any, A: Tensor) -> Tensor:
        return A.mean(dim=(2, 3))

    def _global_max_pool(self, layer: Any, A: Tensor) -> Tensor:
        return A.flatten(2).max(dim=2).values

    def _concat(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.cat([self.run(branch, A) for branch in layer.branches], dim=1)

    def _block(self, layer: Any, A: Tensor) -> Tensor:
        return self.run(layer.layers, A)

    def _residual(self, layer: Any, A: Tensor) -> Tensor:
        return self.run(layer.layers, A) + self.run(layer.shortcut, A)


def loss_of(loss: Loss, Z: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of outputs."""
    import torch
    from torch.nn import functional

    if isinstance(loss, CrossEntropy):
        weights = None if loss.class_weights is None else torch.tensor(loss.class_weights).to(Z)
        smoothing = loss.label_smoothing
        total = functional.cross_entropy(
            Z, targets, weights, reduction="sum", label_smoothing=smoothing
        )
        return total / len(Z)
    if isinstance(loss, Focal):  # PyTorch has none; its gradient is found by differentiation
        log_p = functional.log_softmax(Z, dim=1)[torch.arange(len(Z)), targets]
        return (-((1 - log_p.exp()) ** loss.gamma) * log_p).mean()
    if isinstance(loss, Hinge):
        return functional.multi_margin_loss(Z, targets, margin=loss.margin)
    peers = {
        MeanSquaredError: functional.mse_loss,
        MeanAbsoluteError: functional.l1_loss,
        BinaryCrossEntropy: functional.binary_cross_entropy_with_logits,
    }
    if isinstance(loss, Huber):
        return functional.huber_loss(Z, targets, delta=loss.delta)
    return peers[type(loss)](Z, targets)


def _walk(layers: Sequence[Layer]) -> list[Layer]:
    from cnnexp.nn.layer import walk

    return list(walk(layers))


ACTIVATIONS = (ReLU, Sigmoid, Tanh, lambda: LeakyReLU(0.2))


def random_network(seed: int, impl: str) -> tuple[Network, np.ndarray, np.ndarray]:
    """Return a network drawn from a seed, with samples and targets that suit it."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(5, 10)), int(rng.integers(5, 10)), int(rng.choice([1, 2, 3, 8])))
    shape: tuple[int, ...] = image
    layers: list[Layer] = []
    while len(layers) < rng.integers(1, 6):
        part = _random_layers(rng, shape)
        try:
            trial = Network(part, loss="mean_squared_error").build(shape)
        except ShapeError:
            continue
        layers += part
        shape = trial.output_shape
        for layer in _walk(part):  # made again by the network that they are for
            layer.params, layer.state = {}, {}
    layers += [Flatten()]
    if rng.random() < 0.4:
        layers += [Dense(int(rng.integers(3, 9))), BatchNorm(), ACTIVATIONS[rng.integers(4)]()]
    n_m, classes = int(rng.integers(3, 12)), int(rng.integers(2, 5))
    layers += [Dense(classes)]
    loss: Any = MeanSquaredError()
    targets: np.ndarray = rng.standard_normal((n_m, classes))
    if rng.random() < 0.7:
        layers += [Softmax()]
        loss = CrossEntropy(float(rng.choice([0.0, 0.1])))
        targets = rng.integers(0, classes, n_m)
    net = Network(
        layers,
        impl=impl,
        loss=loss,
        dtype="float64",
        seed=seed,
        micro_batch=int(rng.integers(1, n_m + 2)),
        fuse=bool(rng.random() < 0.7),
        threads=1,
    )
    X = rng.standard_normal((n_m, *image))
    return net.build(X.shape[1:]), X, targets


def _random_layers(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Layer]:
    """Return one layer, or a convolution with what often follows it."""
    kind = rng.choice(["conv", "conv", "conv", "pool", "block", "norm", "dropout", "activation"])
    if kind == "pool":
        return [_random_pool(rng)]
    if kind == "norm":
        return [BatchNorm(momentum=float(rng.choice([0.1, 0.5])))]
    if kind == "dropout":
        return [Dropout(float(rng.choice([0.2, 0.5])))]
    if kind == "activation":
        return [ACTIVATIONS[rng.integers(4)]()]
    if kind == "block":
        return [_random_block(rng, shape)]
    layers: list[Layer] = [_random_conv(rng, shape[2])]
    if rng.random() < 0.3:
        layers.append(BatchNorm())
    if rng.random() < 0.7:
        layers.append(ACTIVATIONS[rng.integers(4)]())
    if rng.random() < 0.4:
        layers.append(MaxPool2D(int(rng.integers(2, 4))))
    return layers


def _random_conv(rng: np.random.Generator, n_c: int) -> Conv2D:
    groups = int(rng.choice([g for g in (1, 1, 1, 2, n_c) if n_c % g == 0]))
    kernel = (3, 3) if rng.random() < 0.4 else tuple(rng.integers(1, 4, 2).tolist())
    plain = rng.random() < 0.5
    return Conv2D(
        groups * int(rng.choice([1, 2, 3, 8])),
        kernel,
        stride=1 if plain else tuple(rng.integers(1, 3, 2).tolist()),
        padding=["valid", "same", 1, ((0, 1), (2, 0))][rng.integers(4)],
        dilation=1 if plain else tuple(rng.integers(1, 3, 2).tolist()),
        groups=groups,
    )


def _random_pool(rng: np.random.Generator) -> Layer:
    kernel = tuple(rng.integers(1, 4, 2).tolist())
    kind = MaxPool2D if rng.random() < 0.5 else AvgPool2D
    padding = "same" if rng.random() < 0.3 else "valid"
    return kind(kernel, stride=tuple(rng.integers(1, 4, 2).tolist()), padding=padding)


def _random_block(rng: np.random.Generator, shape: tuple[int, ...]) -> Layer:
    """Return a block, a residual block, or one with a projection."""
    n_f, stride = int(rng.choice([2, 8])), int(rng.integers(1, 3))
    body = [
        Conv2D(n_f, 3, stride=stride, padding="same"),
        *([BatchNorm()] if rng.random() < 0.5 else []),
        ReLU(),
        *([Dropout(0.3)] if rng.random() < 0.3 else []),
    ]
    if rng.random() < 0.3:
        return Block(body)
    if n_f == shape[2] and stride == 1:
        return Residual(body)
    short: list[Layer] = [Conv2D(n_f, 1, stride=stride, padding="same")]
    return Residual(body, shortcut=short + ([BatchNorm()] if rng.random() < 0.5 else []))


def largest_difference(seed: int, impl: str, steps: int = 3, rate: float = 0.05) -> float:
    """Train a random network on both sides, and return by how much they differ at most.

    Compared are loss and gradients of every step, and outputs in inference after them, each
    relative to its largest value where that is above 1. Steps are shortened alike on both
    sides so that no network diverges.
    """
    net, X, targets, peer = _comparable(seed, impl)
    worst = 0.0
    for step in range(steps):
        peer.step = step
        value = peer.loss(X, targets)
        value.backward()
        sums, gradient = net.batch_gradients(net.batch(X, targets), step)
        found = {p.path: gradient[p.part].reshape(p.shape) for p in net.named_parameters}
        largest = max(1.0, *(tensor.grad.abs().max().item() for tensor in peer.params.values()))
        wanted = peer.descend(rate / largest)
        worst = max(worst, _relative(net.means(sums)["loss"], value.item()))
        worst = max(worst, *(_relative(found[name], wanted[name], largest) for name in found))
        net.parameters[...] -= rate / largest * gradient
        net.take_state()
    peer.training = False
    outputs = peer.outputs(X).detach()
    if isinstance(net.layers[-1], Softmax):
        outputs = outputs.softmax(dim=1)
    return max(worst, _relative(net.predict(X), outputs.numpy()))


def _comparable(seed: int, impl: str) -> tuple[Network, np.ndarray, np.ndarray, Peer]:
    """Return a random network whose gradients exist, with samples, targets and its peer.

    Where all inputs of a batch normalisation are equal (a convolution that sees nothing but
    padding), its outputs are rounding errors around 0, where a ReLU has no gradient.
    """
    for attempt in range(20):
        net, X, targets = random_network(seed + 1_000_000 * attempt, impl)
        peer = Peer(net)
        peer.loss(X, targets)
        if peer.smallest_variance > 1e-6:
            return net, X, targets, Peer(net)
    raise AssertionError(f"20 networks of seed {seed} see nothing but padding.")


def _relative(found: Any, wanted: Any, largest: float = 1.0) -> float:
    scale = max(largest, float(np.abs(wanted).max()))
    return float(np.abs(found - wanted).max()) / scale
