"""More epochs for a run: possible where its schedule gives the steps that are done the same rates.

A run with more epochs must be the run that would have come of so many from the start, bit for bit.
Schedules that count in epochs allow it. Those that are drawn over the whole training, such as the
cosine, would have had other learning rates from the first step on: the run would be neither the
short one nor the long one, so that is refused, with what to do instead.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from cnnexp.app.locations import near
from cnnexp.app.settings.options import Plain
from cnnexp.errors import RunError, foreign
from cnnexp.runs.record import FILE, Record
from cnnexp.train import SCHEDULES
from cnnexp.train.schedule import first_other_step


def refuse_other_rates(folder: Path, record: Record, config: Plain, place: dict[str, Any]) -> None:
    """Refuse another number of epochs if steps that are done would have had other learning rates.

    Parameters
    ----------
    folder, record : Path, Record
        The run.
    config : dict
        Its settings, with the number of epochs that is wanted.
    place : dict
        What the checkpoint says of the training.

    Raises
    ------
    RunError
        If that is so.
    """
    before, wanted = record.config["epochs"], config["epochs"]
    if before == wanted or record.data is None:
        return
    with foreign(folder / FILE):
        options = {key: value for key, value in config["schedule"].items() if key != "name"}
        schedule = SCHEDULES[config["schedule"]["name"]](**options)
        batches = -(-record.data["train"] // config["batch_size"])
        per_epoch = -(-batches // config["accumulate"])
        done = place["epoch"] * per_epoch + -(-place["batch"] // config["accumulate"])
        history = place.get("history", ())
        other = first_other_step(schedule, done, per_epoch, (before, wanted), history)
    if other is not None:
        raise RunError(_refusal(folder, config["schedule"]["name"], before, wanted, other))


def _refusal(folder: Path, schedule: str, before: int, wanted: int, other: int) -> str:
    """Say why more epochs are refused, and what to do instead."""
    run = shlex.quote(near(folder))
    free = [name for name in SCHEDULES if not SCHEDULES[name].depends_on_epochs]
    return (
        f"{folder}: epochs={wanted} is refused: the run has schedule={schedule} over {before}"
        f" epochs, and over {wanted} its learning rates would have been others from step"
        f" {other + 1} on. For a run of {wanted} epochs: python -m cnnexp rerun {run}"
        f" epochs={wanted}. To train on from its weights, in a new run: python -m cnnexp rerun"
        f" {run} init_from={run}. A run can be extended under schedules that count in epochs:"
        f" {', '.join(free)}."
    )
