"""A network of this project, trained as a run trains it."""

from __future__ import annotations

import time
from typing import Any

from cnnexp.nn.network import Network
from cnnexp.runs.rebuild import build_layers
from cnnexp.train import OPTIMIZERS, SCHEDULES, BatchDone, Trainer
from experiments.benchmarks.jobs import (
    LEARNING_RATE,
    MOMENTUM,
    Job,
    layers_of,
    made_dataset,
)


class Ours:
    """Trains by the program's own trainer: shuffling, gathering, gradients, update, checks."""

    def __init__(self, job: Job, **changes: Any) -> None:
        dataset = changes.get("dataset") or made_dataset(job.pool, job.dtype)
        layers = build_layers({"model": {"layers": layers_of(job.net)}})
        network = Network(
            layers,
            impl=changes.get("impl", job.by),
            dtype=job.dtype,
            threads=job.threads,
            micro_batch=job.micro_batch,
            fuse=job.fuse,
        )
        self.trainer = Trainer(
            network,
            dataset,
            OPTIMIZERS["sgd"](momentum=MOMENTUM, nesterov=True),  # type: ignore[call-arg]
            SCHEDULES["constant"](),
            learning_rate=LEARNING_RATE,
            epochs=1_000_000,
            batch_size=job.batch,
        )
        self.network = network
        self._events = self.trainer.events()

    def train(self, batches: int) -> float:
        """Train on some batches and return the seconds, as ``batches.csv`` of a run has them."""
        seconds, done = 0.0, 0
        while done < batches:
            event = next(self._events)
            if isinstance(event, BatchDone):
                seconds, done = seconds + event.seconds, done + 1
        return seconds

    def infer(self, samples: int, at_once: int) -> float:
        """Predict some samples, so many a call, and return the seconds."""
        X = self.trainer.dataset.train.X[:samples]
        start = time.perf_counter()
        for first in range(0, samples, at_once):
            self.network.predict(X[first : first + at_once])
        return time.perf_counter() - start
