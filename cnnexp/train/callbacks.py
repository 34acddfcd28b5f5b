"""Callbacks: code of one's own that a training calls as it goes on.

A callback has four hooks, all of which may be left out::

    begin ──> batch_done, batch_done, … ──> epoch_done ──> batch_done, … ──> epoch_done ──> end

Each is given the trainer, to read whatever it likes, such as ``trainer.state.history``. To end the
training it calls ``trainer.stop("why")``; the epoch is still finished and evaluated.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cnnexp.data import Dataset
from cnnexp.errors import CallbackError, OptionError
from cnnexp.nn.network import Network
from cnnexp.registry import Registry
from cnnexp.train.events import BatchDone, TrainingState
from cnnexp.train.stopping import is_maximised


class Training(Protocol):
    """What a callback sees of the trainer; it is for reading, but for `stop`."""

    network: Network
    dataset: Dataset
    state: TrainingState
    epochs: int
    batches_per_epoch: int

    def stop(self, reason: str) -> None:
        """End the training with the present epoch, which is finished and evaluated before."""


class Callback:
    """Base of all callbacks. The dataclass fields of a subclass are its options.

    A callback that remembers something from one call to the next returns it from `state`: a
    resumed run gives it back by `restore`, so that it goes on as an unbroken one would.
    """

    def figures(self) -> Sequence[str]:
        """Return the figures it decides by, such as ``validation_loss``; they are checked."""
        return ()

    def begin(self, trainer: Training) -> None:
        """Do something before the first mini-batch, or before the first one after a resume."""

    def batch_done(self, trainer: Training, event: BatchDone) -> None:
        """Do something after a mini-batch; `event` says which, its loss and its learning rate."""

    def epoch_done(self, trainer: Training, figures: Mapping[str, float]) -> None:
        """Do something after an epoch, with figures such as ``train_loss``.

        Those of the test part are among them if it is evaluated in each epoch.
        """

    def end(self, trainer: Training, figures: Mapping[str, float]) -> None:
        """Do something at the end, with the figures of the weights that are kept."""

    def state(self) -> dict[str, Any]:
        """Return what it remembers: numbers, texts, lists, dictionaries and arrays."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned when the checkpoint was written."""


CALLBACKS: Registry[type[Callback]] = Registry("callback")


@CALLBACKS.register("stop_at")
@dataclass
class StopAt(Callback):
    """Ends the training once a figure is good enough.

    Parameters
    ----------
    metric : str
        A figure of the training or the validation part, such as ``validation_error``.
    value : float
        Training ends when the figure is at most this; at least, if larger is better.
    """

    value: float
    metric: str = "validation_error"

    def __post_init__(self) -> None:
        if self.metric.startswith("test_"):
            raise OptionError(
                "metric must not be of the test part, by which nothing may be chosen."
                f" Got '{self.metric}'."
            )

    def figures(self) -> Sequence[str]:
        """Return the figure."""
        return (self.metric,)

    def epoch_done(self, trainer: Training, figures: Mapping[str, float]) -> None:
        """Stop if the figure has reached the value."""
        found, larger = figures[self.metric], is_maximised(self.metric)
        if found >= self.value if larger else found <= self.value:
            trainer.stop(
                f"{self.metric} is {found:.4g}, at {'least' if larger else 'most'} {self.value:g}"
            )


def call(callback: Callback, hook: str, *arguments: Any) -> Any:
    """Call a hook, and say whose it was if it raises.

    Raises
    ------
    CallbackError
        Whatever the hook raises, with the callback's name and the line.
    """
    try:
        return getattr(callback, hook)(*arguments)
    except (Exception, SystemExit) as error:  # of which the latter would read as an interruption
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise CallbackError(
            f"callbacks: '{CALLBACKS.name_of(type(callback))}' failed in {hook}, {last.filename},"
            f" line {last.lineno}: {type(error).__name__}: {error}"
        ) from error


def saved_state(callback: Callback) -> dict[str, Any]:
    """Return the state of a callback for a checkpoint.

    Raises
    ------
    CallbackError
        If a checkpoint cannot hold it.
    """
    state: dict[str, Any] = call(callback, "state")
    if not (isinstance(state, dict) and _is_plain(state)):
        raise CallbackError(
            f"callbacks: the state of '{CALLBACKS.name_of(type(callback))}' must be a dictionary of"
            " numbers, texts, lists, dictionaries and arrays, for a checkpoint holds nothing else."
            f" Got {state!r}."
        )
    return copy.deepcopy(state)


def _is_plain(thing: Any) -> bool:
    if isinstance(thing, dict):
        return all(type(key) is str and _is_plain(value) for key, value in thing.items())
    if type(thing) in (list, tuple):
        return all(map(_is_plain, thing))
    return type(thing) in (int, float, str, bool, type(None), np.ndarray)
