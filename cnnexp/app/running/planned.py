"""What a sweep and its jobs tell each other: what is planned, and the figure that came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnnexp.app.settings.options import Plain
from cnnexp.runs.record import Record

if TYPE_CHECKING:
    from cnnexp.data import Dataset
    from cnnexp.nn.network import Network

CHANGED = (
    "changed after the sweep began. Start the sweep again: it then trains all jobs with what is"
    " there."
)


class Planned(NamedTuple):
    """What a sweep has found out for a job; a run alone finds it out for itself.

    Attributes
    ----------
    environment : dict
        What `describe_environment` returned, for all jobs.
    changes : str
        What was changed since the commits.
    fingerprint : str
        By which the sweep knows the job; another one is refused.
    micro_batch : int or None
        The size of its micro-batches, if not the automatic one.
    """

    environment: Plain
    changes: str
    fingerprint: str
    micro_batch: int | None

    def size(self, config: Plain, network: Network, dataset: Dataset) -> int:
        """Return the samples of a micro-batch."""
        return self.micro_batch or int(network.micro_batch)


def objective(record: Record, name: str | None = None) -> float | None:
    """Return a figure of a run: None if it has none, infinity if the run diverged.

    Parameters
    ----------
    record : Record
        The run.
    name : str, optional
        The figure; if not given, the one that the run's config names.
    """
    if record.status == "diverged":
        return float("inf")
    value = record.results.get(name or record.config["sweep"]["objective"])
    return None if value is None else float(value)
