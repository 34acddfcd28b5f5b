"""Training on arrays in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from cnnexp.data.dataset import Dataset, Samples
from cnnexp.data.scale import IDENTITY
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.arguments import checked_rate
from cnnexp.nn.network import Network
from cnnexp.registry import Registry
from cnnexp.train.batches import default_batch_size
from cnnexp.train.callbacks import Callback
from cnnexp.train.events import Diverged, EpochDone, named
from cnnexp.train.optimizer import OPTIMIZERS, Optimizer
from cnnexp.train.schedules import SCHEDULES, Schedule
from cnnexp.train.stopping import EarlyStopping
from cnnexp.train.trainer import Trainer


def fit(
    network: Network,
    X: Any,
    Y: Any,
    *,
    epochs: int = 10,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimizer: str | Optimizer = "sgd",
    schedule: str | Schedule = "cosine",
    validation: float | tuple[Any, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    early_stopping: int | EarlyStopping | None = None,
    best_weights: bool = False,
    ema: float | None = None,
    seed: int | None = None,
    report: Callable[[EpochDone], Any] | None = None,
) -> list[dict[str, float]]:
    """Train a network on arrays; afterwards it has the weights that the training keeps.

    Parameters
    ----------
    network : Network
        Built, or built for these samples now.
    X : array (n_m, ih, iw, n_c) or (n_m, features)
        Samples, as they are: nothing is scaled.
    Y : array (n_m,) or (n_m, …)
        Targets, as the loss takes them.
    epochs, batch_size : int
        How long, and how many samples a mini-batch has; by default 16 to 128, by their number.
    learning_rate : float, optional
        By default the optimizer's own.
    optimizer, schedule : str, or Optimizer, Schedule
        Names of the tables, or objects with options of your own.
    validation : float or (X, Y), optional
        A fraction of the samples, the last ones, that are kept apart; or samples of their own.
    callbacks : sequence of Callback
        Called as the training goes on.
    early_stopping : int or EarlyStopping, optional
        Epochs of patience, by the validation part.
    best_weights : bool
        Whether to keep the weights of the epoch that was best on the validation part.
    ema : float, optional
        Decay of a moving average of the weights, which is kept.
    seed : int, optional
        Of the order of samples; by default that of the network.
    report : callable, optional
        Called with each `EpochDone`, for example ``print``.

    Returns
    -------
    list of dict
        For each epoch the figures of the training and validation part, the learning rate and the
        seconds: ``pandas.DataFrame(history)`` makes a table of them.

    Raises
    ------
    ShapeError, OptionError
        If arrays or options do not fit, or if the training diverges.
    """
    _check_count("epochs", epochs)
    if batch_size is not None:
        _check_count("batch_size", batch_size)
    if isinstance(early_stopping, Integral) and not isinstance(early_stopping, bool):
        early_stopping = EarlyStopping(patience=int(early_stopping))
    if not isinstance(early_stopping, EarlyStopping | None):
        raise OptionError(f"early_stopping must be epochs of patience. Got {early_stopping!r}.")
    if (early_stopping or best_weights) and validation is None:
        raise OptionError(
            "early_stopping and best_weights choose by a validation part: give validation=0.1, or"
            " samples of their own."
        )
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise OptionError(f"callbacks must be objects of Callback. Got {callback!r}.")
    train, kept_apart = _parts(X, Y, validation)
    images = network.batch(train.X[:1], train.Y[:1]).X  # with an axis of channels
    train = Samples(train.X.reshape(-1, *images.shape[1:]), train.Y)
    chosen = _made(OPTIMIZERS, Optimizer, optimizer)
    trainer = Trainer(
        network,
        Dataset("arrays", train, None, kept_apart, (), "", IDENTITY),  # type: ignore[arg-type]
        chosen,
        _made(SCHEDULES, Schedule, schedule),
        learning_rate=_rate(chosen, learning_rate),
        epochs=epochs,
        batch_size=default_batch_size(train.count) if batch_size is None else batch_size,
        seed=network.seed if seed is None else seed,
        evaluate="at_end",  # there is no test part
        early_stopping=early_stopping,
        best_weights=best_weights,
        ema=ema,
        callbacks=callbacks,
    )
    history = list(_epochs(trainer, report))
    network.load_weights(trainer.kept_weights())
    return history


def _parts(
    X: Any, Y: Any, validation: float | tuple[Any, Any] | None
) -> tuple[Samples, Samples | None]:
    """Return what is trained on, and what is kept apart."""
    whole = Samples(np.asarray(X), np.asarray(Y))
    if whole.X.ndim < 2 or len(whole.X) != len(whole.Y):
        raise ShapeError(
            f"X must be samples (n_m, …), and Y a target for each. Got shapes {whole.X.shape} and"
            f" {whole.Y.shape}."
        )
    if validation is None:
        return whole, None
    if isinstance(validation, (tuple, list)) and len(validation) == 2:
        return whole, Samples(*map(np.asarray, validation))
    if isinstance(validation, bool) or not isinstance(validation, Real) or not 0 < validation < 1:
        raise OptionError(
            f"validation must be a fraction between 0 and 1, or (X, Y). Got {validation!r:.60}."
        )
    kept = round(validation * whole.count)
    if not 0 < kept < whole.count:
        raise OptionError(
            f"validation={validation} of {whole.count} samples leaves none to train on, or none to"
            " validate with."
        )
    return whole.at(slice(-kept)), whole.at(slice(-kept, None))


def _rate(optimizer: Optimizer, chosen: float | None) -> float:
    """Return the learning rate, by default the optimizer's own."""
    rate = optimizer.default_learning_rate if chosen is None else checked_rate(chosen)
    if rate <= 0:
        raise OptionError(f"learning_rate must be above 0. Got {rate}.")
    return float(rate)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1. Got {value!r}.")


def _made(table: Registry[type[Any]], kind: Any, chosen: Any) -> Any:
    """Make what a name stands for."""
    found = table[chosen]() if isinstance(chosen, str) else chosen
    if not isinstance(found, kind):
        name = kind.__name__.lower()
        raise OptionError(
            f"{name} must be a name, or an object of {kind.__name__}. Got {chosen!r}."
        )
    return found


def _epochs(
    trainer: Trainer, report: Callable[[EpochDone], Any] | None
) -> Iterator[dict[str, float]]:
    """Train, and yield the figures of each epoch."""
    for event in trainer.events():
        if isinstance(event, Diverged):
            raise OptionError(
                f"the training diverged in epoch {event.epoch}, batch {event.batch}:"
                f" {event.reason}. A smaller learning_rate may help."
            )
        if isinstance(event, EpochDone):
            if report is not None:
                report(event)
            figures = named(train=event.train, validation=event.validation)
            rate = {"learning_rate": event.learning_rate, "seconds": event.seconds}
            yield {"epoch": event.epoch, **figures, **rate}
