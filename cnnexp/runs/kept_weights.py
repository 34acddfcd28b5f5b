"""The weights after every epoch, for runs with ``checkpoint.keep=all``.

They lie in ``checkpoints`` in the run folder, a file for each epoch and one, number 0, for the
initial weights. Nothing resumes from them: they are there to look at how a network learns. Each has
its checksum under ``checksums.epochs`` in ``run.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.errors import RunError
from cnnexp.runs import pickles
from cnnexp.runs.files import checksum, entries_of, is_folder, read_bytes, refuse_link
from cnnexp.runs.forms import fits
from cnnexp.runs.record import Record

FOLDER = "checkpoints"
NAME = re.compile(r"epoch_(\d{4,9})\.pkl")


def file_of(epoch: int) -> str:
    """Return the name of an epoch's file.

    Examples
    --------
    >>> file_of(3)
    'epoch_0003.pkl'
    """
    return f"epoch_{epoch:04d}.pkl"


def save(folder: Path, epoch: int, weights: Mapping[str, Any]) -> dict[str, str]:
    """Write the weights after an epoch; return the file's name with its checksum."""
    inside = folder / FOLDER
    refuse_link(inside)
    inside.mkdir(exist_ok=True)
    pickled = pickles.dumps(dict(weights))
    pickles.write(inside / file_of(epoch), pickled)
    return {file_of(epoch): checksum(pickled)}


def epochs_of(folder: Path) -> list[int]:
    """Return the epochs whose weights a run folder has, in order."""
    inside = folder / FOLDER
    if inside.is_symlink() or not is_folder(inside):
        return []
    names = [entry.name for entry in entries_of(str(inside))]
    epochs = (int(match[1]) for name in names if (match := NAME.fullmatch(name)))
    return sorted(epoch for epoch in epochs if file_of(epoch) in names)


def drop_after(folder: Path, epoch: int) -> list[str]:
    """Remove the weights of later epochs; return the names of the files that stay."""
    for later in epochs_of(folder):
        if later > epoch:
            (folder / FOLDER / file_of(later)).unlink()
    return [file_of(kept) for kept in epochs_of(folder)]


def load(folder: Path, record: Record, epoch: int, accept_changes: bool = False) -> dict[str, Any]:
    """Return the weights after an epoch, by the paths of parameters.

    Raises
    ------
    RunError
        If the file is not what the run wrote, or is damaged.
    """
    path = folder / FOLDER / file_of(epoch)
    refuse_link(path)
    content = read_bytes(path, pickles.LARGEST)
    noted = (record.checksums.get("epochs") or {}).get(path.name)
    if not accept_changes and noted not in (None, checksum(content)):
        raise RunError(
            f"{path}: is not what the run wrote: its contents do not have the checksum in run.json,"
            " so it was damaged, or changed. Put the original back, or delete it: it is only looked"
            " at. To use it as it is: --accept-changes."
        )
    found = pickles.loads(content, path)
    if not fits(found, {str: np.ndarray}):
        raise RunError(f"{path}: damaged: it must hold arrays by the paths of parameters.")
    return dict(found)
