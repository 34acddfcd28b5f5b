"""Trackers: programs of others that show runs, told of a run while it goes on.

Each is a row of the table `TRACKERS`, in a file of its own, and needs an extra of its own. A row of
yours is a class derived from `Tracker`, in a module that ``plugins`` names.
"""

from cnnexp.trackers.base import TRACKERS, Tracked, Tracker
from cnnexp.trackers.mlflow import MLflow
from cnnexp.trackers.tensorboard import TensorBoard
from cnnexp.trackers.wandb import WeightsAndBiases

__all__ = ["TRACKERS", "MLflow", "TensorBoard", "Tracked", "Tracker", "WeightsAndBiases"]
