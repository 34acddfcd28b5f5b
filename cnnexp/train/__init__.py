"""How a network learns: optimizers, learning-rate schedules, the training loop."""

from cnnexp.train import optimizers
from cnnexp.train.optimizer import OPTIMIZERS, Optimizer
from cnnexp.train.schedules import SCHEDULES, Moment, Schedule
from cnnexp.train.trainer import BatchDone, Diverged, EpochDone, Trainer, TrainingState

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "BatchDone",
    "Diverged",
    "EpochDone",
    "Moment",
    "Optimizer",
    "Schedule",
    "Trainer",
    "TrainingState",
    "optimizers",
]
