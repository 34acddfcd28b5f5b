"""Checkpoints: what resuming needs, in one file that is replaced whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from cnnexp.errors import RunError
from cnnexp.runs import pickles
from cnnexp.runs.checksums import CHECKPOINT, read_checked
from cnnexp.runs.forms import COUNT, NUMBER, Maybe, OneOf, fault_of, fits

FILE = CHECKPOINT
ARRAYS = {str: np.ndarray}
FIGURES = {str: NUMBER}
LAYER = {"forward": NUMBER, "backward": NUMBER, "samples": COUNT, "cache_bytes": COUNT}
READABLE = {"training": {"weights": ARRAYS}, "totals": dict, "results": dict}
RESUMABLE = {
    "training": {
        "epoch": COUNT,
        "batch": COUNT,
        "weights": ARRAYS,
        "optimizer": {str: OneOf((np.ndarray, ARRAYS))},  # a vector in older versions, else by path
        "sums": [NUMBER],
        "seconds": NUMBER,
        "history": [FIGURES],
        "best": Maybe({"metric": str, "value": NUMBER, "epoch": COUNT}),
        **dict.fromkeys(("best_weights", "average"), Maybe(ARRAYS)),
        "gradient": Maybe({"sum": ARRAYS, "samples": COUNT}),
        "stopped": Maybe(str),
        "callbacks": Maybe([dict]),
        "diagnostics": Maybe({"sums": ARRAYS, "steps": COUNT}),
    },
    "totals": {
        "seconds": NUMBER,
        "eval_seconds": NUMBER,
        "samples": COUNT,
        "layers": Maybe({str: LAYER}),
    },
    "results": {str: Maybe(NUMBER)},
}


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


def dumps(training: dict[str, Any], totals: dict[str, Any], results: dict[str, Any]) -> bytes:
    """Return the state of a training, and what its record says of it, as bytes of a file."""
    return pickles.dumps(Checkpoint(training=training, totals=totals, results=results))


def save(folder: Path, pickled: bytes) -> None:
    """Write a checkpoint in place of the one before it."""
    pickles.write(folder / FILE, pickled)


def load(folder: Path, accept_changes: bool = False) -> Checkpoint | None:
    """Read the checkpoint of a run, or return None where there is none.

    Parameters
    ----------
    folder : Path
        The run folder.
    accept_changes : bool
        Read it whatever its checksum is.

    Raises
    ------
    RunError
        If the file is not a checkpoint, or not the one that the run wrote.
    """
    path = folder / FILE
    try:
        content = pickles.loads(read_checked(folder, FILE, accept_changes), path)
    except FileNotFoundError:
        return None
    if not fits(content, READABLE):
        raise RunError(f"{path}: not a checkpoint of a run. Delete it, and the run starts over.")
    return cast(Checkpoint, content)


def check_form(folder: Path, saved: Checkpoint) -> None:
    """Check that a checkpoint has everything that resuming needs.

    Raises
    ------
    RunError
        If something is absent, or of another kind.
    """
    if fault := fault_of(saved, RESUMABLE):
        raise RunError(f"{folder / FILE}: damaged: {fault}. Delete it, and the run starts over.")


def check_fits(folder: Path, saved: Checkpoint, training: dict[str, Any]) -> None:
    """Check that a checkpoint has the arrays and figures of a training that is to go on from it.

    Parameters
    ----------
    folder : Path
        The run folder.
    saved : Checkpoint
        What was read from it.
    training : dict
        What `Trainer.snapshot` gives at the start of that training.

    Raises
    ------
    RunError
        If something is absent, or has another shape.
    """
    found = saved["training"]
    same = _shapes(found["weights"]) == _shapes(training["weights"])
    same = same and _numbers(found["optimizer"]) == _numbers(training["optimizer"])
    if not same or len(found["sums"]) != len(training["sums"]):
        raise RunError(
            f"{folder / FILE}: does not belong to this network and optimizer. Delete it, and the"
            " run starts over."
        )


def largest_array(saved: Checkpoint) -> int:
    """Return how many numbers the largest array of the weights has."""
    return max((array.size for array in saved["training"]["weights"].values()), default=0)


def _shapes(arrays: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _numbers(state: dict[str, Any]) -> dict[str, int]:
    """Return how many numbers each entry of an optimizer's state has, by path or as one vector."""
    return {
        name: sum(map(np.size, value.values())) if isinstance(value, dict) else value.size
        for name, value in state.items()
    }
