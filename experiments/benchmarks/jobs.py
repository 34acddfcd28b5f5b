"""What is measured: a network from ``conf/model``, who computes it, and on which made images."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.data import Dataset, Samples
from cnnexp.data.dataset import Scale

MODELS = Path(__file__).parents[2] / "conf" / "model"
NETS = ("original_cnn", "lenet5", "cnn", "deep", "flat")
NORMALISED = ("lenet5_bn", "resnet")  # with batch normalisation; resnet has residual blocks
IMPLS = ("naive", "sg", "im2col", "fast", "compiled")  # the quickest last
BATCH_NORM = "+batch_norm"
LAYOUTS = ("channels_first", "channels_last")  # how PyTorch keeps its images
OTHERS = ("torch.compile", "jax")  # peers that compile the whole step
IMAGE_SHAPE = (28, 28, 1)  # MNIST's
LIT = 0.2  # of the pixels, as in MNIST
CLASSES = 10
POOL = 20_480  # images to draw batches from: more than a cache holds, a multiple of 512
MNIST = 60_000  # images of an epoch, to which times are scaled
LEARNING_RATE, MOMENTUM = 0.01, 0.9

Layers = list[dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """A network, who computes it, and how.

    Attributes
    ----------
    net : str
        A name in ``conf/model``; with `BATCH_NORM` behind it, as `with_batch_norm` makes it.
    by : str
        An implementation of ours, or a layout of PyTorch's.
    batch, threads : int
        Samples of a batch, and threads.
    micro_batch, fuse :
        As `cnnexp.Network` takes them; PyTorch has neither.
    dtype : str
        Type of all numbers.
    pool : int
        Images to draw batches from.
    """

    net: str
    by: str = "fast"
    batch: int = 128
    threads: int = 1
    micro_batch: int | str = "auto"
    fuse: bool = True
    dtype: str = "float32"
    pool: int = POOL


def layers_of(net: str) -> Layers:
    """Return the layers of a network in ``conf/model``, as its file lists them."""
    from omegaconf import OmegaConf

    file = MODELS / f"{net.removesuffix(BATCH_NORM)}.yaml"
    config = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(config, dict)
    layers: Layers = config["layers"]
    layers[-1].setdefault("units", CLASSES)
    return with_batch_norm(layers) if net.endswith(BATCH_NORM) else layers


def with_batch_norm(layers: Layers) -> Layers:
    """Return the layers with a batch normalisation after each convolution."""
    found: Layers = []
    for options in layers:
        if options["type"] != "conv":
            found.append(options)
            continue
        activation = options.get("activation")
        found += [options | {"activation": None}, {"type": "batch_norm"}]
        found += [{"type": activation}] if activation else []
    return found


def installed() -> list[str]:
    """Return the implementations that can be measured here, in the order of `IMPLS`."""
    from cnnexp.engine import IMPLEMENTATIONS

    return [name for name in IMPLS if not IMPLEMENTATIONS[name].missing()]


@functools.cache
def made_samples(count: int, dtype: str = "float32", lit: float = LIT, seed: int = 0) -> Samples:
    """Return made images of MNIST's shape, a part of their pixels lit, and labels."""
    generator = np.random.default_rng(seed)
    X = generator.random((count, *IMAGE_SHAPE), dtype=np.float32)
    X -= np.float32(1 - lit)
    np.maximum(X, 0, out=X)
    Y = generator.integers(0, CLASSES, count)
    return Samples(X.astype(dtype, copy=False), Y)


def made_dataset(count: int, dtype: str = "float32", lit: float = LIT) -> Dataset:
    """Return a data set of made images; there is one to test on, as none is tested."""
    train = made_samples(count, dtype, lit)
    classes = tuple(map(str, range(CLASSES)))
    return Dataset("made", train, train.at(slice(1)), None, classes, "", Scale(1, 0, 1))
