"""How a network learns: optimizers, learning-rate schedules, the training loop."""

from cnnexp.train import optimizers
from cnnexp.train.callbacks import CALLBACKS, Callback
from cnnexp.train.events import BatchDone, Diverged, EpochDone, TrainingState
from cnnexp.train.optimizer import OPTIMIZERS, Optimizer
from cnnexp.train.schedules import SCHEDULES, Moment, Schedule
from cnnexp.train.stopping import EarlyStopping
from cnnexp.train.trainer import Trainer

__all__ = [
    "CALLBACKS",
    "OPTIMIZERS",
    "SCHEDULES",
    "BatchDone",
    "Callback",
    "Diverged",
    "EarlyStopping",
    "EpochDone",
    "Moment",
    "Optimizer",
    "Schedule",
    "Trainer",
    "TrainingState",
    "optimizers",
]
