"""Networks of ours computed by PyTorch, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnexp import (
    LAYERS,
    BinaryCrossEntropy,
    Context,
    CrossEntropy,
    Focal,
    Hinge,
    Huber,
    Layer,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
)
from cnnexp.engine.window import check_padding, pair
from cnnexp.nn.layer import walk
from cnnexp.nn.plan import RANDOM

Tensor = Any


class Peer:
    """The same network in PyTorch, in float64, with channels first.

    Parameters
    ----------
    net : Network
        A built network.
    weights : dict of str to array, optional
        Its parameters and state by path; copies of its own, if not given.
    """

    def __init__(self, net: Network, weights: Mapping[str, np.ndarray] | None = None) -> None:
        import torch

        torch.set_num_threads(1)  # more of them only get in each other's way in small networks
        self.torch, self.net = torch, net
        state = {f"{layer.path}.{key}" for layer in walk(net.layers) for key in layer.state}
        weights = net.weights() if weights is None else weights
        double = {k: torch.tensor(v, dtype=torch.float64) for k, v in weights.items()}
        self.params = {k: v.requires_grad_() for k, v in double.items() if k not in state}
        self.state = {k: v for k, v in double.items() if k in state}
        self.training, self.step = True, 0
        self.smallest_variance = math.inf  # that a normalisation divided by
        self.nearest_kink = math.inf  # see `_note`

    def outputs(self, X: np.ndarray) -> Tensor:
        """Return what the loss takes: channels first inside, logits at the end."""
        A = self._first(X)
        layers, fused = self.net.layers, self.net.loss.fuses
        return self.run(layers[:-1] if layers[-1].type == fused else layers, A)

    def loss(self, X: np.ndarray, targets: np.ndarray) -> Tensor:
        """Return the mean loss."""
        wanted = self.torch.tensor(targets)
        wanted = wanted.double() if wanted.is_floating_point() else wanted
        Z = self.outputs(X)
        self._note_loss(Z, wanted)
        return loss_of(self.net.loss, Z, wanted)

    def predicted(self, X: np.ndarray) -> np.ndarray:
        """Return the output of the last layer."""
        with self.torch.no_grad():
            outputs = self.outputs(X)
            found: np.ndarray = (
                self.run(self.net.layers[-1:], outputs) if self.net.loss.fuses else outputs
            ).numpy()
        return found

    def vjp(
        self, X: np.ndarray, dZ: np.ndarray, params: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the result ``Z`` for other parameters, and what a gradient ``dZ`` of it becomes.

        That are the gradient ``dA`` of the samples (n_m, ih, iw, n_c), and those of all parameters.
        """
        self.params = {k: self.torch.tensor(v, requires_grad=True) for k, v in params.items()}
        A = self._first(X).requires_grad_()
        Z = self.run(self.net.layers, A)
        wanted = {"dA": A, **self.params}
        grads = self.torch.autograd.grad(Z, list(wanted.values()), self._first(dZ))
        found = dict(zip(wanted, (grad.numpy() for grad in grads), strict=True))
        Z, dA = (a.transpose(0, 2, 3, 1) for a in (Z.detach().numpy(), found.pop("dA")))
        return {"Z": Z, "dA": dA, **found}

    def _first(self, X: np.ndarray) -> Tensor:
        """Return samples in float64, channels first."""
        A = self.torch.tensor(X, dtype=self.torch.float64)
        return A.permute(0, 3, 1, 2) if A.ndim == 4 else A

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

    def _note(self, distances: Tensor, values: Tensor) -> None:
        """Note how near values are to a kink, where rounding would change the gradient.

        Distances are relative to the largest of the values; what lies on a kink to within the
        rounding of float64 does not count: every side decides such ties alike, by definition.
        """
        scale = values[values.isfinite()].abs().max()
        relative = distances.detach().abs() / scale
        relative = relative[relative > 1e-12]
        if relative.numel():
            self.nearest_kink = min(self.nearest_kink, relative.min().item())

    def _note_candidates(self, A: Tensor, window: Any) -> None:
        """Note by how much the largest candidate of a max-pool is above the next."""
        (f_h, f_w), (s_h, s_w) = window.kernel, window.stride
        patches = A.detach().unfold(2, f_h, s_h).unfold(3, f_w, s_w).flatten(4)
        first, second = patches.topk(2).values.unbind(-1)
        self._note(first - second, first)

    def _note_loss(self, Z: Tensor, targets: Tensor) -> None:
        """Note how near outputs are to a kink of the loss."""
        if isinstance(self.net.loss, MeanAbsoluteError):
            self._note(Z - targets, Z)
        if isinstance(self.net.loss, Hinge):
            right = Z[self.torch.arange(len(Z)), targets][:, None]
            self._note(self.net.loss.margin - right + Z, Z)

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
        if window.size > 1:
            self._note_candidates(A, window)
        return self.torch.nn.functional.max_pool2d(A, window.kernel, window.stride)

    def _avg_pool(self, layer: Any, A: Tensor) -> Tensor:
        A = self._padded(A, layer.geometry, 0.0)
        window = layer.geometry
        return self.torch.nn.functional.avg_pool2d(A, window.kernel, window.stride)

    def _batch_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        mean, variance = (self.state[f"{layer.path}.{key}"] for key in ("mean", "variance"))
        axes = [0, *range(2, A.ndim)]
        self._note_variance(A.detach().var(dim=axes, correction=0))
        return self.torch.nn.functional.batch_norm(
            A, mean, variance, scale, shift, self.training, layer.momentum, layer.epsilon
        )

    def _note_variance(self, variance: Tensor) -> None:
        if variance.numel():
            self.smallest_variance = min(self.smallest_variance, variance.min().item())

    def _note_relative_variance(self, A: Tensor) -> None:
        """Note the variance of the last axis as a part of its mean square.

        Where all values are equal the normalised ones are rounding errors, made larger. Zeros
        are decided: they stay 0 on every side.
        """
        A = A.detach()
        square = (A * A).mean(dim=-1)
        self._note_variance((A.var(dim=-1, correction=0) / square)[square > 0])

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
        self._note(A, A)
        return self.torch.relu(A)

    def _leaky_relu(self, layer: Any, A: Tensor) -> Tensor:
        self._note(A, A)
        return self.torch.nn.functional.leaky_relu(A, layer.slope)

    def _sigmoid(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.sigmoid(A)

    def _tanh(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.tanh(A)

    def _elu(self, layer: Any, A: Tensor) -> Tensor:
        self._note(A, A)
        return self.torch.nn.functional.elu(A, layer.alpha)

    def _softplus(self, layer: Any, A: Tensor) -> Tensor:
        # functional.softplus is the identity above 20, which is off by up to exp(-20)
        return self.torch.logaddexp(A, self.torch.zeros_like(A))

    def _silu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.silu(A)

    def _gelu(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.gelu(A, approximate="tanh")

    def _hard_swish(self, layer: Any, A: Tensor) -> Tensor:
        self._note(A - 3, A)
        self._note(A + 3, A)
        return self.torch.nn.functional.hardswish(A)

    def _softmax(self, layer: Any, A: Tensor) -> Tensor:
        return self.torch.nn.functional.softmax(A, dim=1)

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
        (top, _), (left, _) = layer.cut()
        rows, cols, _ = layer.output_shape
        beyond = (0, max(left + cols - Z.shape[3], 0), 0, max(top + rows - Z.shape[2], 0))
        Z = self.torch.nn.functional.pad(Z, beyond) + b[:, None, None]
        return Z[:, :, top : top + rows, left : left + cols]

    def _layer_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        last = A.movedim(1, -1)
        self._note_relative_variance(last)
        size = last.shape[-1:]
        found = self.torch.nn.functional.layer_norm(last, size, scale, shift, layer.epsilon)
        return found.movedim(-1, 1)

    def _group_norm(self, layer: Any, A: Tensor) -> Tensor:
        scale, shift = (self.params[f"{layer.path}.{key}"] for key in ("scale", "shift"))
        # PyTorch 2.13's own backward pass crashes on gradients in channels-last order.
        parts = A.reshape(len(A), layer.groups, -1)
        self._note_relative_variance(parts)
        variance, mean = self.torch.var_mean(parts, dim=2, correction=0, keepdim=True)
        x = ((parts - mean) / (variance + layer.epsilon).sqrt()).reshape(A.shape)
        axes = (-1, *(1 for _ in A.shape[2:]))
        return x * scale.reshape(axes) + shift.reshape(axes)

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
