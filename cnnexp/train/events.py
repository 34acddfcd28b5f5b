"""What a training tells whoever runs it: its events, and the state that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cnnexp.train.averaging import Average, GradientMean
from cnnexp.train.diagnostics import DiagnosticRow
from cnnexp.train.transforms import Array, State


class BatchDone(NamedTuple):
    """A mini-batch was trained on.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    batch : int
        Mini-batch of the epoch, counted from 1.
    samples : int
        Samples of the mini-batch.
    figures : dict of str to float
        The loss and the metrics by name, means per sample, before the step.
    learning_rate : float
        The learning rate of the step, by the schedule.
    seconds : float
        Training time of the mini-batch in seconds: taking it from the data, forward and backward
        pass, and the update.
    """

    epoch: int
    batch: int
    samples: int
    figures: dict[str, float]
    learning_rate: float
    seconds: float


class EpochDone(NamedTuple):
    """An epoch was trained and evaluated.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    train : dict of str to float
        The loss and the metrics by name: means per sample over the mini-batches of the epoch, each
        measured before its step.
    test : dict of str to float, or None
        The same of the test part. Where it is evaluated at the end only, None but in the last
        epoch, where it is that of the weights that the training keeps.
    validation : dict of str to float, or None
        The same of the validation part; None without one.
    learning_rate : float
        The learning rate of the last step of the epoch.
    seconds : float
        Training time of the epoch in seconds: the sum of `seconds` in ``batches.csv``, without
        evaluation and checkpoints.
    eval_seconds : float
        Time for evaluating the validation and test parts.
    samples_per_second : float
        Training samples divided by `seconds`.
    kept : dict of str to float
        The figures of the weights that the training keeps, by names such as ``validation_loss``.
    diagnostics : sequence of DiagnosticRow
        Rows of ``diagnostics.csv``, if they are asked for.
    """

    epoch: int
    train: dict[str, float]
    test: dict[str, float] | None
    validation: dict[str, float] | None
    learning_rate: float
    seconds: float
    eval_seconds: float
    samples_per_second: float
    kept: dict[str, float]
    diagnostics: Sequence[DiagnosticRow] = ()


class Diverged(NamedTuple):
    """The loss or the next step is not finite; the parameters are the last finite ones."""

    epoch: int
    batch: int
    reason: str


Event = BatchDone | EpochDone | Diverged


@dataclass
class Best:
    """The best epoch so far, by a figure of the validation part."""

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
        The best epoch so far; None without a validation part.
    best_weights : dict of str to array, or None
        The weights of that epoch, where they are kept.
    gradient : GradientMean
        The gradient of the mini-batches since the last step, where several make a step.
    average : Average or None
        The moving average of the weights, where it is asked for.
    stopped : str or None
        Why the training ends before its last epoch.
    """

    epoch: int = 0
    batch: int = 0
    optimizer: State = field(default_factory=dict)
    sums: Any = None
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None
    best_weights: dict[str, Array] | None = None
    gradient: GradientMean = field(default_factory=GradientMean)
    average: Average | None = None
    stopped: str | None = None


def named(**parts: Mapping[str, float] | None) -> dict[str, float]:
    """Return the figures of some parts under names such as ``train_loss``."""
    return {
        f"{part}_{name}": v for part, found in parts.items() for name, v in (found or {}).items()
    }
