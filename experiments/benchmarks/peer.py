"""The strict peer: PyTorch in eager mode, written as fast as its own means allow.

It is given every advantage that is PyTorch's own: batches are gathered into memory that was
allocated once, ReLU works in place, the update is the fused one where this PyTorch has it, no loss
is read back and no errors are counted while it trains, inference runs in ``inference_mode`` and
leaves the softmax out. It is run with images in PyTorch's own order and with channels last; the
faster one counts.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnexp.data import Samples
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

FORMATS = {"channels_first": torch.contiguous_format, "channels_last": torch.channels_last}
CHUNK = 1_000  # images at a time where many are predicted
Arrays = dict[str, np.ndarray]


class Peer:
    """A network of ``conf/model`` in PyTorch, its images, and its optimizer."""

    def __init__(self, job: Job, samples: Samples | None = None) -> None:
        torch.set_num_threads(job.threads)
        self.layout, self.format = job.by, FORMATS[job.by]
        self.batch = job.batch
        self.layers = layers_of(job.net)
        dtype = getattr(torch, job.dtype)
        self.module = module_of(self.layers, IMAGE_SHAPE)
        self.module.to(dtype=dtype, memory_format=self.format)
        if samples is None:
            self.X, self.Y = made_tensors(job.pool, job.dtype, job.by)
        else:
            self.X, self.Y = tensors(samples, job.by)
        self.optimizer = optimizer_of(self.module, LEARNING_RATE, momentum=MOMENTUM, nesterov=True)
        self.loss = nn.CrossEntropyLoss()
        self._steps = self._training()

    def train(self, batches: int) -> float:
        """Train on some batches and return the seconds; shuffling is part of them."""
        start = time.perf_counter()
        for _ in range(batches):
            next(self._steps)
        return time.perf_counter() - start

    def _training(self) -> Iterator[None]:
        """Train for ever, and pause after every batch."""
        while True:
            yield from self.epoch(torch.randperm(len(self.Y)))

    def epoch(self, order: torch.Tensor) -> Iterator[None]:
        """Train on all samples once, in an order, and pause after every batch."""
        X, Y = self._memory()
        for rows in order.split(self.batch):
            x = torch.index_select(self.X, 0, rows, out=X[: len(rows)])
            y = torch.index_select(self.Y, 0, rows, out=Y[: len(rows)])
            self.gradients(x, y)
            self.optimizer.step()
            yield

    def gradients(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fill in the gradients of a batch and return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss: torch.Tensor = self.loss(self.module(x), y)
        loss.backward()
        return loss

    def _memory(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return memory for one batch."""
        shape = (self.batch, *self.X.shape[1:])
        X = torch.empty(shape, dtype=self.X.dtype, memory_format=self.format)
        return X, torch.empty(self.batch, dtype=torch.int64)

    def infer(self, samples: int, at_once: int) -> float:
        """Predict some samples, so many a call but 1,000 at most, and return the seconds."""
        X = self.X[:samples]
        with torch.inference_mode():
            start = time.perf_counter()
            for part in X.split(min(at_once, CHUNK)):
                self.module(part)
            return time.perf_counter() - start

    def wrong(self, samples: Samples) -> float:
        """Return the fraction of samples that it classifies wrongly."""
        X, _ = tensors(samples, self.layout)
        with torch.inference_mode():
            found = [self.module(x).argmax(1) for x in X.split(CHUNK)]
        return float((torch.cat(found).numpy() != samples.Y).mean())

    def load(self, weights: Arrays) -> None:
        """Take over parameters of ours, named and shaped as `Network.weights` has them."""
        with torch.no_grad():
            for (name, order), values in self._parameters().items():
                values.copy_(torch.from_numpy(theirs(weights[name], order)))

    def arrays(self, gradients: bool = False) -> Arrays:
        """Return parameters, or their gradients, named and shaped as ours."""
        return {
            name: ours((values.grad if gradients else values).detach().numpy(), order)
            for (name, order), values in self._parameters().items()
        }

    def _parameters(self) -> dict[tuple[str, tuple[int, ...]], Any]:
        """Return the parameters by our names, with the image shape before a flattening."""
        flattened: dict[nn.Module, tuple[int, ...]] = {}
        shape: tuple[int, ...] = ()
        x = torch.zeros((1, IMAGE_SHAPE[2], *IMAGE_SHAPE[:2]), dtype=self.X.dtype)
        self.module.eval()  # or zeros would be part of running statistics
        for part in self.module:
            if isinstance(part, nn.Flatten):
                shape = tuple(x.shape[1:])
            if isinstance(part, nn.Linear):
                flattened[part], shape = shape, ()
            x = part(x)
        self.module.train()
        found: dict[tuple[str, tuple[int, ...]], Any] = {}
        for path, part in named_parts(self.module, "", {}):
            names = ("W", "b") if hasattr(part, "in_features") or part.weight.ndim > 1 else NORM
            found[f"{path}.{names[0]}", flattened.get(part, ())] = part.weight
            found[f"{path}.{names[1]}", ()] = part.bias
        return found


class CompiledPeer(Peer):
    """The same, with the network compiled by PyTorch, and channels last."""

    def __init__(self, job: Job) -> None:
        super().__init__(replace(job, by="channels_last"))
        self.module = torch.compile(self.module)  # type: ignore[assignment]


@functools.cache
def made_tensors(count: int, dtype: str, layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the made images and their labels as tensors."""
    return tensors(made_samples(count, dtype), layout)


def tensors(samples: Samples, layout: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (n_m, n_c, ih, iw) in the memory order of a layout, and labels.

    Images are copied: with one channel `contiguous` would keep whatever strides there are.
    """
    images = torch.from_numpy(samples.X).permute(0, 3, 1, 2)
    X = torch.empty(images.shape, dtype=images.dtype, memory_format=FORMATS[layout])
    return X.copy_(images), torch.from_numpy(np.asarray(samples.Y, np.int64))


def module_of(layers: Layers, image: tuple[int, int, int]) -> nn.Sequential:
    """Return the network as PyTorch's modules; the loss contains the softmax."""
    return chain_of(layers, torch.zeros(2, image[2], *image[:2]))  # one alone has no variance


def chain_of(layers: Layers, x: torch.Tensor) -> nn.Sequential:
    """Return some layers of a config, for inputs such as `x`."""
    parts: list[nn.Module] = []
    for options in layers:
        made = [made_layer(options, x)]
        if options.get("activation") == "relu":
            made.append(nn.ReLU(inplace=True))
        parts += made
        x = nn.Sequential(*made)(x)
    return nn.Sequential(*parts)


def made_layer(options: dict[str, Any], x: torch.Tensor) -> nn.Module:
    """Return one layer of a config, for inputs such as `x`, as a module of PyTorch's."""
    kind, width = options["type"], options.get("kernel_size", 0)
    n_in = int(x.shape[1])
    if kind == "conv":
        return made_conv(options, x)
    if kind == "residual":
        return Residual(options, x)
    if kind == "global_avg_pool":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if kind == "max_pool":
        return nn.MaxPool2d(width, options.get("stride"))
    if kind == "batch_norm":
        return nn.BatchNorm2d(n_in) if x.ndim == 4 else nn.BatchNorm1d(n_in)
    if kind == "dropout":
        return nn.Dropout(options["rate"])
    if kind == "relu":
        return nn.ReLU(inplace=True)
    if kind == "flatten":
        return nn.Flatten()
    assert kind == "dense", kind
    return nn.Linear(n_in, options.get("units", CLASSES))


class Residual(nn.Module):
    """Some layers and a shortcut, whose results are added."""

    def __init__(self, options: dict[str, Any], x: torch.Tensor) -> None:
        super().__init__()
        self.body = chain_of(options["layers"], x)
        self.shortcut = chain_of(options.get("shortcut", []), x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum."""
        total: torch.Tensor = self.body(x) + self.shortcut(x)
        return total


KINDS = {
    nn.Conv2d: "conv",
    nn.Linear: "dense",
    nn.BatchNorm2d: "batch_norm",
    nn.BatchNorm1d: "batch_norm",
    Residual: "residual",
}
NORM = ("scale", "shift")


def named_parts(
    module: nn.Module, prefix: str, counts: dict[str, int]
) -> Iterator[tuple[str, Any]]:
    """Yield all parts that have parameters, with the paths that ours have."""
    for part in module.children():
        kind = KINDS.get(type(part))
        if kind is None:
            yield from named_parts(part, prefix, counts)
            continue
        counts[kind] = counts.get(kind, 0) + 1
        path = f"{prefix}{kind}{counts[kind]}"
        if isinstance(part, Residual):
            yield from named_parts(part.body, f"{path}.", {})
            yield from named_parts(part.shortcut, f"{path}.shortcut.", {})
        else:
            yield path, part


def made_conv(options: dict[str, Any], x: torch.Tensor) -> nn.Module:
    """Return a convolution; where a stride leaves "same" unequal, the larger part is behind."""
    width, stride = options["kernel_size"], options.get("stride", 1)
    padding = options.get("padding", "valid")
    if stride == 1 or padding == "valid":
        return nn.Conv2d(int(x.shape[1]), options["filters"], width, stride, padding)
    pads = []
    for size in (int(x.shape[3]), int(x.shape[2])):
        whole = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads += [whole // 2, whole - whole // 2]
    conv = nn.Conv2d(int(x.shape[1]), options["filters"], width, stride)
    return nn.Sequential(nn.ZeroPad2d(tuple(pads)), conv) if any(pads) else conv


def optimizer_of(
    module: nn.Module, learning_rate: float, **options: float | bool
) -> torch.optim.Optimizer:
    """Return gradient descent with momentum, all parameters in one call where it is known."""
    choices: dict[str, Any] = {"lr": learning_rate} | options
    try:
        return torch.optim.SGD(module.parameters(), **choices, fused=True)
    except (TypeError, RuntimeError):  # before 2.4 there is none for processors
        return torch.optim.SGD(module.parameters(), **choices, foreach=True)


def theirs(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a parameter of ours in PyTorch's order; `shape` is that of images (c, h, w)."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1).copy()
    if shape:
        c, h, w = shape
        array = array.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(c * h * w, -1)
    return array.T.copy()


def ours(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a parameter of PyTorch's in our order: the inverse of `theirs`."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0).copy()
    array = array.T
    if shape:
        c, h, w = shape
        array = array.reshape(c, h, w, -1).transpose(1, 2, 0, 3).reshape(h * w * c, -1)
    return array.copy()
