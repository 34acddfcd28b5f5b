"""The training loop: epochs in, events out. It writes no files and prints nothing.

Whoever runs the trainer takes its events one by one, and may stop at any of them. Between two
events the state is whole: saved then and given back later, training goes on with the same bits,
because every random draw comes from the seed and its place and never from a generator's past.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnnexp.data import Dataset, Samples
from cnnexp.data.dataset import batches, epoch_order
from cnnexp.nn.losses import NO_LOSS, Loss
from cnnexp.nn.network import Network
from cnnexp.nn.parameters import chunks
from cnnexp.nn.workers import not_finite_is_no_news, one_blas_thread
from cnnexp.train.optimizers import Optimizer, State
from cnnexp.train.schedules import Schedule

LARGE_RATE = 1e15  # above it a finite gradient may give a step that is not finite


class BatchDone(NamedTuple):
    """A batch was trained on; epochs and batches are counted from 1."""

    epoch: int
    batch: int
    samples: int
    cce: float
    ce: float
    learning_rate: float
    seconds: float


class EpochDone(NamedTuple):
    """An epoch was trained and evaluated. Training figures are means over its batches."""

    epoch: int
    train_cce: float
    train_ce: float
    test_cce: float
    test_ce: float
    validation_cce: float | None
    validation_ce: float | None
    learning_rate: float
    seconds: float
    eval_seconds: float
    samples_per_second: float


class Diverged(NamedTuple):
    """The loss or the next step is not finite; the parameters are the last finite ones."""

    epoch: int
    batch: int
    reason: str


Event = BatchDone | EpochDone | Diverged


@dataclass
class Best:
    """The best epoch so far, by the error on the validation part, or on the test part."""

    metric: str
    value: float
    epoch: int


@dataclass
class TrainingState:
    """All that changes while training, but for the network's parameters.

    Attributes
    ----------
    epoch, batch : int
        Epochs finished, and batches of the next one that are done.
    optimizer : dict of str to array
        The optimizer's state.
    loss : Loss
        Sums over the batches done in this epoch.
    seconds : float
        Training time of the batches done in this epoch.
    best : Best or None
        The best epoch so far.
    """

    epoch: int = 0
    batch: int = 0
    optimizer: State = field(default_factory=dict)
    loss: Loss = NO_LOSS
    seconds: float = 0.0
    best: Best | None = None


@dataclass
class Trainer:
    """Trains a network on a data set.

    Parameters
    ----------
    network : Network
        Built for the images of the data set.
    dataset : Dataset
        The training part is learnt from, the other parts are evaluated after every epoch.
    optimizer, schedule : Optimizer, Schedule
        What a step is, and how the learning rate changes.
    learning_rate : float
        Before the schedule's factor.
    epochs, batch_size : int
        How long, and how many samples a step.
    seed : int
        Of the order of samples.
    """

    network: Network
    dataset: Dataset
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    epochs: int
    batch_size: int
    seed: int = 0
    state: TrainingState = field(default_factory=TrainingState)

    def __post_init__(self) -> None:
        self.network.build(self.dataset.image_shape)
        self._train = self.network.batch(self.dataset.train.X, self.dataset.train.Y)
        if not self.state.optimizer:
            self.state.optimizer = self.optimizer.initial_state(self.network.parameters)

    def snapshot(self) -> dict[str, Any]:
        """Return parameters and state as plain containers and arrays."""
        state = self.state
        return {
            "epoch": state.epoch,
            "batch": state.batch,
            "weights": self.network.weights(),
            "optimizer": {key: value.copy() for key, value in state.optimizer.items()},
            "loss": tuple(state.loss),
            "seconds": state.seconds,
            "best": None if state.best is None else dict(vars(state.best)),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put everything back to a snapshot; training then goes on with the same bits."""
        self.network.load_weights(snapshot["weights"])
        best = snapshot["best"]
        self.state = TrainingState(
            epoch=snapshot["epoch"],
            batch=snapshot["batch"],
            optimizer={key: np.array(value) for key, value in snapshot["optimizer"].items()},
            loss=Loss(*snapshot["loss"]),
            seconds=snapshot["seconds"],
            best=None if best is None else Best(**best),
        )

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches of one epoch, the last short one included."""
        return -(-self.dataset.train.count // self.batch_size)

    def events(self) -> Iterator[Event]:
        """Train from the present state to the last epoch, one event after another."""
        with one_blas_thread():
            while self.state.epoch < self.epochs:
                for event in self._epoch():
                    yield event
                    if isinstance(event, Diverged):
                        return

    def _epoch(self) -> Iterator[Event]:
        """Train the rest of one epoch, and evaluate."""
        state, epoch = self.state, self.state.epoch + 1
        start = time.perf_counter()
        order = epoch_order(self.dataset.train.count, self.seed, epoch)
        for number, rows in batches(order, self.batch_size, state.batch):
            rate = self._rate(epoch, number)
            loss, gradient = self.network.batch_gradients(self._train.at(rows))
            reason = self._step(loss, gradient, rate)
            if reason:
                yield Diverged(epoch, number + 1, reason)
                return
            seconds = time.perf_counter() - start
            state.batch, state.loss = number + 1, state.loss + loss
            state.seconds += seconds
            yield BatchDone(epoch, number + 1, loss.samples, loss.cce, loss.ce, rate, seconds)
            start = time.perf_counter()
        done = self._epoch_done(epoch, self._rate(epoch, self.batches_per_epoch - 1))
        state.epoch, state.batch, state.loss, state.seconds = epoch, 0, NO_LOSS, 0.0
        yield done

    def _rate(self, epoch: int, number: int) -> float:
        """Return the learning rate of a batch."""
        per_epoch = self.batches_per_epoch
        progress = ((epoch - 1) * per_epoch + number) / (self.epochs * per_epoch)
        return self.learning_rate * self.schedule.factor(progress)

    def _step(self, loss: Loss, gradient: Any, rate: float) -> str:
        """Take one step, or return why it cannot be taken; then nothing is changed."""
        if not math.isfinite(loss.cce_sum):
            return f"the loss is {loss.cce_sum}"
        self.optimizer.begin_step(self.state.optimizer)
        with not_finite_is_no_news():
            # A sum of squares that is finite, found in one pass, says that the step will be so too.
            if math.isfinite(np.dot(gradient, gradient)) and rate < LARGE_RATE:
                for part in chunks(gradient.size):
                    self.network.parameters[part] -= self._update(part, gradient, rate)
                return ""
            step = self._update(slice(None), gradient, rate)
            moved = self.network.parameters - step
        if not np.isfinite(moved).all():
            return "the next step is not finite"
        self.network.parameters[...] = moved
        return ""

    def _update(self, part: slice, gradient: Any, rate: float) -> Any:
        """Return what to subtract from a part of the parameters."""
        state = self.optimizer.state_of(self.state.optimizer, part)
        return self.optimizer.update(self.network.parameters[part], gradient[part], state, rate)

    def _epoch_done(self, epoch: int, rate: float) -> EpochDone:
        """Evaluate, and sum up the epoch."""
        start = time.perf_counter()
        test_cce, test_ce = self._evaluate(self.dataset.test)
        validation_cce = validation_ce = None
        if self.dataset.validation is not None:
            validation_cce, validation_ce = self._evaluate(self.dataset.validation)
        eval_seconds = time.perf_counter() - start
        state = self.state
        metric, value = "test_ce", test_ce
        if validation_ce is not None:
            metric, value = "validation_ce", validation_ce
        if state.best is None or value < state.best.value:
            state.best = Best(metric, value, epoch)
        return EpochDone(
            epoch,
            state.loss.cce,
            state.loss.ce,
            test_cce,
            test_ce,
            validation_cce,
            validation_ce,
            rate,
            state.seconds,
            eval_seconds,
            state.loss.samples / state.seconds if state.seconds else math.inf,
        )

    def _evaluate(self, part: Samples) -> tuple[float, float]:
        """Return cross-entropy and error on a part of the data set."""
        _, cce, ce = self.network.evaluate(part.X, part.Y)
        return cce, ce
