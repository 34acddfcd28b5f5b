"""The training loop: epochs in, events out. It writes no files and prints nothing.

The caller takes the events one by one, and may stop at any of them. Between two events the state is
consistent: it can be saved, and training resumes from it bit-for-bit, because every random draw
depends on the seed and the step alone, never on earlier draws.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnexp.data import Dataset, Samples
from cnnexp.data.augmentation import Augmentation
from cnnexp.errors import OptionError
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.network import Network
from cnnexp.nn.predictions import predicted_classes
from cnnexp.nn.runner import Batch
from cnnexp.train import events
from cnnexp.train.averaging import Average, GradientMean
from cnnexp.train.batches import mini_batches
from cnnexp.train.callbacks import Callback, call, saved_state
from cnnexp.train.diagnostics import Diagnostics
from cnnexp.train.events import BatchDone, Best, Diverged, EpochDone, Event, TrainingState
from cnnexp.train.one_pass import step_of
from cnnexp.train.optimizer import Optimizer, state_by_path, state_from_paths
from cnnexp.train.schedules import Moment, Schedule
from cnnexp.train.stopping import EarlyStopping, is_better
from cnnexp.train.transforms import Array

EVALUATE = ("each_epoch", "at_end")


@dataclass
class Trainer:
    """Trains a network on a data set.

    Parameters
    ----------
    network : Network
        Built for the images of the data set.
    dataset : Dataset
        The training part is for training, the other parts are evaluated.
    optimizer, schedule : Optimizer, Schedule
        What a step is, and how the learning rate changes.
    learning_rate : float
        Before the schedule's factor.
    epochs, batch_size : int
        How long, and how many samples per mini-batch.
    seed : int
        Of the order of samples, and of what is drawn to augment them.
    evaluate : {"each_epoch", "at_end"}
        When the test part is evaluated; the validation part always is after each epoch.
    early_stopping : EarlyStopping, optional
        Ends the training when it gets no better on the validation part.
    best_weights : bool or str
        Whether to keep the weights of the epoch that was best on the validation part; or the
        figure by which it is found, such as ``"validation_loss"``.
    ema : float, optional
        Decay of an exponential moving average of the weights, which is evaluated and kept.
    accumulate : int
        Mini-batches whose gradients make one step: its gradient is the mean over all their
        samples. The last step of an epoch may have fewer.
    callbacks : sequence of Callback
        Called as the training goes on.
    diagnose : bool
        Whether to measure gradients, updates and dead units.
    augmentations : sequence of Augmentation
        What is done to the images that are trained on, in this order.

    Attributes
    ----------
    batches_per_epoch, steps_per_epoch : int
        Mini-batches, and steps of the optimizer, of one epoch, the last short one included.
    """

    network: Network
    dataset: Dataset
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    epochs: int
    batch_size: int
    seed: int = 0
    augmentations: Sequence[Augmentation] = ()
    state: TrainingState = field(default_factory=TrainingState)
    evaluate: str = "each_epoch"
    early_stopping: EarlyStopping | None = None
    best_weights: bool | str = False
    ema: float | None = None
    accumulate: int = 1
    callbacks: Sequence[Callback] = ()
    diagnose: bool = False

    def __post_init__(self) -> None:
        self._check()
        self.network.build(self.dataset.image_shape).suit_batches(self.batch_size)
        self._batches = mini_batches(
            self.network, self.dataset, self.batch_size, self.seed, self.augmentations
        )
        self.batches_per_epoch = len(self._batches)
        self.steps_per_epoch = -(-self.batches_per_epoch // self.accumulate)
        self._predicted: dict[str, Array] = {}
        samples = self._batches.samples.X
        self._diagnostics = Diagnostics(self.network, samples) if self.diagnose else None
        if self.state.sums is None:
            self.state.sums = self._no_sums()
        if self.ema is not None and self.state.average is None:
            self.state.average = Average(self.ema)
        if not self.state.optimizer:
            names, values = self.network.named_parameters, self.network.parameters
            self.state.optimizer = self.optimizer.initial_state(names, values)
        self._advance = step_of(self.optimizer, self.network)

    def _check(self) -> None:
        """Refuse what cannot be done; the rest is checked by those that do it."""
        if self.evaluate not in EVALUATE:
            raise OptionError(f"evaluate must be {' or '.join(EVALUATE)}. Got '{self.evaluate}'.")
        if self.accumulate < 1:
            raise OptionError(f"accumulate must be at least 1. Got {self.accumulate}.")
        for name in ("early_stopping", "best_weights"):
            if getattr(self, name) and self.dataset.validation is None:
                raise OptionError(
                    f"{name} chooses by a validation part, and there is none: keep some of the"
                    " training samples apart, for example data.validation=0.1."
                )

    @property
    def done(self) -> bool:
        """Whether no epoch is left to train: all are done, or the training was stopped."""
        state = self.state
        stopped = state.stopped is not None and state.epoch > 0 and state.batch == 0
        return stopped or state.epoch >= self.epochs

    @property
    def selected_by(self) -> str:
        """The figure by which the best epoch is found."""
        if isinstance(self.best_weights, str):
            return self.best_weights
        if self.early_stopping is not None and self.early_stopping.metric is not None:
            return self.early_stopping.metric
        return f"validation_{'error' if 'error' in self.network.figures else 'loss'}"

    def stop(self, reason: str) -> None:
        """End the training with the present epoch, which is finished and evaluated before."""
        self.state.stopped = self.state.stopped or reason

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
            "best_weights": None if state.best_weights is None else dict(state.best_weights),
            "average": None if state.average is None else state.average.weights(self.network),
            "gradient": state.gradient.snapshot(self.network.named_parameters),
            "stopped": state.stopped,
            "callbacks": [saved_state(callback) for callback in self.callbacks],
            "diagnostics": None if self._diagnostics is None else self._diagnostics.snapshot(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Put everything back to a snapshot; training then resumes bit-for-bit.

        Earlier versions had fewer entries, and may name a best epoch by the test part.
        """
        best, average = snapshot["best"], None if self.ema is None else Average(self.ema)
        if average is not None:
            average.restore(self.network, snapshot.get("average"))
        self.network.load_weights(snapshot["weights"])
        named, xp = self.network.named_parameters, self.network.implementation.xp
        self.state = TrainingState(
            epoch=snapshot["epoch"],
            batch=snapshot["batch"],
            optimizer=state_from_paths(snapshot["optimizer"], named, xp),
            sums=np.array(snapshot["sums"], np.float64),
            seconds=snapshot["seconds"],
            history=[dict(figures) for figures in snapshot["history"]],
            best=Best(**best) if best and best["metric"].startswith("validation_") else None,
            best_weights=snapshot.get("best_weights"),
            gradient=GradientMean.restored(snapshot.get("gradient"), named, xp),
            average=average,
            stopped=snapshot.get("stopped"),
        )
        for callback, saved in zip(self.callbacks, snapshot.get("callbacks", ()), strict=False):
            call(callback, "restore", saved)
        if self._diagnostics is not None:
            self._diagnostics.restore(snapshot.get("diagnostics"))

    def events(self) -> Iterator[Event]:
        """Train from the present state to the last epoch, one event after another."""
        with one_blas_thread():
            self._tell("begin")
            while not self.done:
                for event in self._epoch():
                    yield event
                    if isinstance(event, Diverged):
                        return
            self._tell("end", self.kept_figures())

    def _epoch(self) -> Iterator[Event]:
        """Train the rest of one epoch, and evaluate."""
        state, epoch = self.state, self.state.epoch + 1
        rate = math.nan
        with closing(self._batches.of_epoch(epoch, state.batch)) as batches:
            for number in range(state.batch, self.batches_per_epoch):
                event = self._step(epoch, number, batches)
                if isinstance(event, BatchDone):
                    self._tell("batch_done", event)
                yield event
                if isinstance(event, Diverged):
                    return
                rate = event.learning_rate
        if math.isnan(rate):
            rate = self._rate(epoch, self.batches_per_epoch - 1)
        yield self._epoch_done(epoch, rate)

    def _step(self, epoch: int, number: int, batches: Iterator[Batch]) -> BatchDone | Diverged:
        """Train on the next mini-batch, the one after `number` others of this epoch."""
        start = time.perf_counter()
        step = (epoch - 1) * self.batches_per_epoch + number
        batch = next(batches)
        sums, gradient = self.network.batch_gradients(batch, step)
        figures, rate = self.network.means(sums), self._rate(epoch, number)
        if not math.isfinite(figures["loss"]):
            return Diverged(epoch, number + 1, f"the loss is {figures['loss']}")
        state, whole = self.state, self._whole(gradient, number, batch.size)
        if whole is not None and not self._update(whole, rate):
            return Diverged(epoch, number + 1, "the next step is not finite")
        self.network.take_state()
        if whole is not None and state.average is not None:
            state.average.update(self.network)
        seconds = time.perf_counter() - start
        state.batch, state.sums = number + 1, state.sums + sums
        state.seconds += seconds
        return BatchDone(epoch, number + 1, batch.size, figures, rate, seconds)

    def _whole(self, gradient: Array, number: int, samples: int) -> Array | None:
        """Return the gradient of a step, or None while mini-batches of the step are to come."""
        if self.accumulate == 1:
            return gradient
        mean, following = self.state.gradient, number + 1
        mean.add(gradient, samples)
        if following % self.accumulate and following < self.batches_per_epoch:
            return None
        return mean.take()

    def _update(self, gradient: Array, rate: float) -> bool:
        """Take one step of the optimizer; return False if it would not be finite."""
        network, looking = self.network, self._diagnostics
        if looking is not None:
            looking.before_step(gradient)
        taken = self._advance(
            network.parameters, gradient, self.state.optimizer, rate, network.named_parameters
        )
        if looking is not None and taken:
            looking.after_step()
        return taken

    def _rate(self, epoch: int, number: int) -> float:
        """Return the learning rate of a mini-batch, that of the step it is part of."""
        per_epoch = self.steps_per_epoch
        step = (epoch - 1) * per_epoch + number // self.accumulate
        moment = Moment(step, epoch, per_epoch, self.epochs, self.state.history)
        return self.learning_rate * self.schedule.factor(moment)

    def _epoch_done(self, epoch: int, rate: float) -> EpochDone:
        """Evaluate, choose by the validation part, and sum up the epoch."""
        state, start = self.state, time.perf_counter()
        train, seconds = self.network.means(state.sums), state.seconds
        speed = float(state.sums[-1] / seconds) if seconds else math.inf
        with self._averaged():
            test = self._evaluate("test") if self.evaluate == "each_epoch" else None
            validation = self._evaluate("validation")
            figures = events.named(train=train, test=test, validation=validation)
            self._choose(epoch, figures)
        state.history = [*state.history, figures]
        state.epoch, state.batch, state.sums, state.seconds = epoch, 0, self._no_sums(), 0.0
        if self.early_stopping is not None and state.stopped is None:
            state.stopped = self.early_stopping.reason(state.history, self.selected_by)
        eval_seconds = time.perf_counter() - start
        self._tell("epoch_done", figures)
        if test is None and self.done:
            start = time.perf_counter()
            test = self._test_at_end()
            eval_seconds += time.perf_counter() - start
        kept, rows = self.kept_figures(), self._diagnosed()
        return EpochDone(
            epoch, train, test, validation, rate, seconds, eval_seconds, speed, kept, rows
        )

    def _choose(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Note the best epoch, and its weights if they are to be kept."""
        state, metric = self.state, self.selected_by
        if metric not in figures:
            return
        if state.best is None or is_better(metric, figures[metric], state.best.value):
            state.best = Best(metric, figures[metric], epoch)
            if self.best_weights:
                state.best_weights = self.network.weights()
        elif self.best_weights:
            self._predicted.clear()  # they are not those of the weights that are kept

    def _test_at_end(self) -> dict[str, float] | None:
        """Evaluate the test part once, with the weights that are kept."""
        with self.kept():
            test = self._evaluate("test")
        history, k = self.state.history, self._kept_epoch - 1
        history[k] = {**history[k], **events.named(test=test)}
        return test

    def _diagnosed(self) -> Any:
        """Return the rows of the diagnostics, which begin again."""
        if self._diagnostics is None:
            return ()
        rows = self._diagnostics.rows()
        self._diagnostics.reset()
        return rows

    @property
    def _kept_epoch(self) -> int:
        """The epoch whose weights the training would keep now."""
        best = self.state.best if self.best_weights else None
        return self.state.epoch if best is None else best.epoch

    def kept_figures(self) -> dict[str, float]:
        """Return the figures of the weights that the training would keep now."""
        return dict(self.state.history[self._kept_epoch - 1]) if self.state.history else {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Give the network, for a while, the weights that the training would keep now.

        These are those of the best epoch, their moving averages, or the present ones.
        """
        if self.state.best_weights is None:
            with self._averaged():
                yield
            return
        present = self.network.weights()
        self.network.load_weights(self.state.best_weights)
        try:
            yield
        finally:
            self.network.load_weights(present)

    def kept_weights(self) -> dict[str, Array]:
        """Return the weights that the training would keep now, by path."""
        with self.kept():
            return self.network.weights()

    def predicted(self, part: str) -> Array | None:
        """Return the classes that the kept weights predict; None if there is nothing to classify.

        Parameters
        ----------
        part : {"test", "validation"}
            Where it was evaluated with these weights before, it is not evaluated again.
        """
        if part not in self._predicted:
            with self.kept():
                self._evaluate(part)
        return self._predicted.get(part)

    def _averaged(self) -> AbstractContextManager[None]:
        """Give the network the moving averages for a while, where there are any."""
        average = self.state.average
        return nullcontext() if average is None else average.applied(self.network)

    def _evaluate(self, part: str) -> dict[str, float] | None:
        """Return the figures of a part of the data set; None if it has no such part."""
        samples: Samples | None = getattr(self.dataset, part)
        if samples is None:
            return None
        A, figures = self.network.evaluate_figures(samples.X, samples.Y)
        classes = predicted_classes(self.network, A, len(self.dataset.classes))
        if classes is not None:
            self._predicted[part] = classes
        return figures

    def _tell(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all callbacks."""
        for callback in self.callbacks:
            call(callback, hook, self, *arguments)

    def _no_sums(self) -> Any:
        return np.zeros(len(self.network.figures) + 1)
