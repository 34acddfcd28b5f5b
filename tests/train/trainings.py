"""A data set made by hand, and a trainer on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp import Dense, Flatten, Network
from cnnexp.data import Dataset, Samples
from cnnexp.data.dataset import Scale
from cnnexp.train import OPTIMIZERS, SCHEDULES, Trainer


def samples(count: int, seed: int) -> Samples:
    """Two rows of three numbers; the class is where the largest sum of a column is."""
    X = np.random.default_rng(seed).standard_normal((count, 2, 3, 1)).astype("float32")
    return Samples(X, X.sum(axis=(1, 3)).argmax(axis=1))


def dataset(train: int = 10, test: int = 7, validation: int = 0) -> Dataset:
    return Dataset(
        name="made",
        train=samples(train, 1),
        test=samples(test, 2),
        validation=samples(validation, 3) if validation else None,
        classes=("0", "1", "2"),
        checksum="",
        scale=Scale(1.0, 0.0, 1.0),
    )


def network(**options: Any) -> Network:
    layers = [Flatten(), Dense(5, activation="relu"), Dense(3, activation="softmax")]
    return Network(layers, **options)


def trainer(
    data: Dataset | None = None,
    *,
    optimizer: str = "sgd",
    schedule: str = "constant",
    options: dict[str, Any] | None = None,
    net: Network | None = None,
    **settings: Any,
) -> Trainer:
    """A trainer of three epochs of three batches: 4, 4 and 2 samples."""
    return Trainer(
        net or network(),
        data or dataset(),
        OPTIMIZERS[optimizer](**(options or ({"momentum": 0.0} if optimizer == "sgd" else {}))),
        SCHEDULES[schedule](),
        **({"learning_rate": 0.1, "epochs": 3, "batch_size": 4} | settings),
    )
