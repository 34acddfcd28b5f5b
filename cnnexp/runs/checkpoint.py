"""Checkpoints: what resuming needs, in one file that is replaced whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from cnnexp.errors import OptionError, RunError
from cnnexp.runs import pickles

FILE = "checkpoint.pkl"


class Checkpoint(TypedDict):
    """What a checkpoint holds.

    Attributes
    ----------
    training : dict
        Parameters and state, as `Trainer.snapshot` gives them.
    totals : dict
        Seconds and samples so far.
    results : dict
        What ``run.json`` said, or was about to say, of the results.
    """

    training: dict[str, Any]
    totals: dict[str, Any]
    results: dict[str, Any]


@dataclass  # not frozen: OmegaConf would make the whole group read-only
class CheckpointPolicy:
    """When checkpoints are written.

    Parameters
    ----------
    every : "epoch" or int
        After every epoch, or after every so many batches (and after every epoch as well).
    """

    every: int | str = "epoch"

    def __post_init__(self) -> None:
        if self.every != "epoch" and (not isinstance(self.every, int) or self.every < 1):
            raise OptionError(
                f"every must be 'epoch' or a number of batches of at least 1. Got {self.every!r}."
            )

    def due(self, batch: int) -> bool:
        """Say whether a checkpoint is due after this batch of an epoch, counted from 1."""
        return self.every != "epoch" and batch % int(self.every) == 0


def save(
    folder: Path, training: dict[str, Any], totals: dict[str, Any], results: dict[str, Any]
) -> None:
    """Write the state of a training, and what its record says of it."""
    content = Checkpoint(training=training, totals=totals, results=results)
    pickles.save(folder / FILE, content)


def load(folder: Path) -> Checkpoint | None:
    """Read the checkpoint of a run, or return None where there is none.

    Raises
    ------
    RunError
        If the file is not a checkpoint.
    """
    path = folder / FILE
    if not path.exists():
        return None
    content = pickles.load(path)
    if not isinstance(content, dict) or content.keys() != Checkpoint.__annotations__.keys():
        raise RunError(f"{path}: not a checkpoint of a run. Delete it, and the run starts over.")
    return cast(Checkpoint, content)
