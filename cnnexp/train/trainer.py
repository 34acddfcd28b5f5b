"""The training loop: epochs in, events out. It writes no files and prints nothing.

The caller takes the events one by one, and may stop at any of them. Between two events the state is
consistent: it can be saved, and training resumes from it bit-for-bit, because every random draw
depends on the seed and the step alone, never on earlier draws.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnnexp.data import Dataset, Samples
from cnnexp.data.dataset import epoch_order
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.network import Network
from cnnexp.nn.runner import Batch
from cnnexp.train.optimizer import Optimizer, state_by_path, state_from_paths
from cnnexp.train.schedules import Moment, Schedule
from cnnexp.train.transforms import State


class BatchDone(NamedTuple):
    """A mini-batch was trained on; epochs and mini-batches are counted from 1.

    `figures` are the loss and the metrics by name, means per sample.
    """

    epoch: int
    batch: int
    samples: int
    figures: dict[str, float]
    learning_rate: float
    seconds: float


class EpochDone(NamedTuple):
    """An epoch was trained and evaluated. Training figures are means over its mini-batches."""

    epoch: int
    train: dict[str, float]
    test: dict[str, float]
    validation: dict[str, float] | None
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
    """The best epoch so far, by the error (or the loss) on the validation part or the test part."""

    metric: str
    value: float
    epoch: int


@dataclass
class TrainingState:
    """All that changes while training, but for the network's parameters.

    Attributes
    ----------
    epoch, batch : int
        Epochs finished, and mini-batches of the next one that are done.
    optimizer : dict of str to array
        The optimizer's state.
    sums : array
        Sums of the figures over the mini-batches done in this epoch, and the number of samples.
    seconds : float
        Training time of the mini-batches done in this epoch.
    history : list of dict of str to float
        Figures, such as ``validation_loss``, of each epoch that is finished, for the schedule.
    best : Best or None
        The best epoch so far.
    """

    epoch: int = 0
    batch: int = 0
    optimizer: State = field(default_factory=dict)
    sums: Any = None
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None


@dataclass
class Trainer:
    """Trains a network on a data set.

    Parameters
    ----------
    network : Network
        Built for the images of the data set.
    dataset : Dataset
        The training part is for training, the other parts are evaluated after every epoch.
    optimizer, schedule : Optimizer, Schedule
        What a step is, and how the learning rate changes.
    learning_rate : float
        Before the schedule's factor.
    epochs, batch_size : int
        How long, and how many samples per step.
    seed : int
        Of the order of samples.

    Attributes
    ----------
    batches_per_epoch : int
        Mini-batches of one epoch, the last short one included.
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
        self.batches_per_epoch = -(-self.dataset.train.count // self.batch_size)
        self._train = self.network.batch(self.dataset.train.X, self.dataset.train.Y)
        if self.state.sums is None:
            self.state.sums = self._no_sums()
        if not self.state.optimizer:
            self.state.optimizer = self.optimizer.initial_state(
                self.network.named_parameters, self.network.parameters
            )

    def snapshot(self) -> dict[str, Any]:
        """Return parameters and state as plain containers and arrays."""
        state = self.state
        return {
            "epoch": state.epoch,
            "batch": state.batch,
            "weights": self.network.weights(),
            "optimizer": state_by_path(state.optimizer, self.network.named_parameters),
            "sums": state.sums.tolist(),
            "seconds": state.seconds,
            "history": [dict(figures) for figures in state.history],
            "best": None if state.best is None else dict(vars(state.best)),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Put everything back to a snapshot; training then resumes bit-for-bit."""
        self.network.load_weights(snapshot["weights"])
        best = snapshot["best"]
        self.state = TrainingState(
            epoch=snapshot["epoch"],
            batch=snapshot["batch"],
            optimizer=state_from_paths(snapshot["optimizer"], self.network.named_parameters),
            sums=np.array(snapshot["sums"], np.float64),
            seconds=snapshot["seconds"],
            history=[dict(figures) for figures in snapshot["history"]],
            best=None if best is None else Best(**best),
        )

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
        order = epoch_order(self.dataset.train.count, self.seed, epoch)
        rate = math.nan
        for number in range(state.batch, self.batches_per_epoch):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            event = self._step(epoch, number, rows)
            yield event
            if isinstance(event, Diverged):
                return
            rate = event.learning_rate
        if math.isnan(rate):
            rate = self._rate(epoch, self.batches_per_epoch - 1)
        done = self._epoch_done(epoch, rate)
        state.epoch, state.batch, state.sums, state.seconds = epoch, 0, self._no_sums(), 0.0
        yield done

    def _step(self, epoch: int, number: int, rows: Any) -> BatchDone | Diverged:
        """Train on one mini-batch, the one after `number` others of this epoch."""
        start = time.perf_counter()
        step = (epoch - 1) * self.batches_per_epoch + number
        batch = Batch(self._train.X, self._train.targets, rows)
        sums, gradient = self.network.batch_gradients(batch, step)
        figures, rate = self.network.means(sums), self._rate(epoch, number)
        if not math.isfinite(figures["loss"]):
            return Diverged(epoch, number + 1, f"the loss is {figures['loss']}")
        state, network = self.state, self.network
        if not self.optimizer.step(
            network.parameters, gradient, state.optimizer, rate, network.named_parameters
        ):
            return Diverged(epoch, number + 1, "the next step is not finite")
        network.take_state()
        seconds = time.perf_counter() - start
        state.batch, state.sums = number + 1, state.sums + sums
        state.seconds += seconds
        return BatchDone(epoch, number + 1, len(rows), figures, rate, seconds)

    def _rate(self, epoch: int, number: int) -> float:
        """Return the learning rate of a mini-batch."""
        per_epoch = self.batches_per_epoch
        step = (epoch - 1) * per_epoch + number
        moment = Moment(step, epoch, per_epoch, self.epochs, self.state.history)
        return self.learning_rate * self.schedule.factor(moment)

    def _epoch_done(self, epoch: int, rate: float) -> EpochDone:
        """Evaluate, and sum up the epoch."""
        start = time.perf_counter()
        test, validation = self._evaluate(self.dataset.test), None
        if self.dataset.validation is not None:
            validation = self._evaluate(self.dataset.validation)
        eval_seconds = time.perf_counter() - start
        state, train = self.state, self.network.means(self.state.sums)
        chosen = "error" if "error" in test else "loss"
        part, figures = ("test", test) if validation is None else ("validation", validation)
        if state.best is None or figures[chosen] < state.best.value:
            state.best = Best(f"{part}_{chosen}", figures[chosen], epoch)
        parts = {"train": train, "test": test, "validation": validation or {}}
        figures = {f"{p}_{name}": v for p, found in parts.items() for name, v in found.items()}
        state.history = [*state.history, figures]
        speed = state.sums[-1] / state.seconds if state.seconds else math.inf
        return EpochDone(
            epoch, train, test, validation, rate, state.seconds, eval_seconds, float(speed)
        )

    def _evaluate(self, part: Samples) -> dict[str, float]:
        """Return the figures of a part of the data set."""
        return self.network.evaluate_figures(part.X, part.Y)[1]

    def _no_sums(self) -> Any:
        return np.zeros(len(self.network.figures) + 1)
