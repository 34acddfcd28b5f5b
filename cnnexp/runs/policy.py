"""What settings know of runs before anything is read: it must load quickly."""

from __future__ import annotations

from dataclasses import dataclass

from cnnexp.errors import OptionError

GROUPS = ("model", "impl", "data", "optimizer", "schedule", "loss", "augment")
"""The groups of settings that a run records the choices of."""


@dataclass  # not frozen: OmegaConf would make the whole group read-only
class CheckpointPolicy:
    """When checkpoints are written.

    Parameters
    ----------
    every : "epoch" or int
        How often: after every epoch, or after every N mini-batches and every epoch.
    keep : {"last", "all"}
        ``last``: the newest checkpoint only. ``all``: also the weights after every epoch, in the
        folder ``checkpoints``, so that `explore` can show how the network learns.
    """

    every: int | str = "epoch"
    keep: str = "last"

    def __post_init__(self) -> None:
        if self.keep not in ("last", "all"):
            raise OptionError(f"keep must be 'last' or 'all'. Got {self.keep!r}.")
        if self.every != "epoch" and (not isinstance(self.every, int) or self.every < 1):
            raise OptionError(
                f"every must be 'epoch' or a number of batches of at least 1. Got {self.every!r}."
            )

    def due(self, batch: int) -> bool:
        """Say whether a checkpoint is due after this batch of an epoch, counted from 1."""
        return self.every != "epoch" and batch % int(self.every) == 0
