"""``init_from=RUN``: beginning from the weights of another run."""

from __future__ import annotations

from pathlib import Path

from cnnexp.errors import CnnexpError, ShapeError
from cnnexp.runs import rebuild
from cnnexp.runs.archives import place_of
from cnnexp.runs.checksums import WEIGHTS
from cnnexp.runs.reading import load_run


def run_of(path: str) -> str:
    """Return the run that ``init_from`` means: its folder, or the file of weights in it.

    Examples
    --------
    >>> run_of("outputs/first/weights.pkl"), run_of("outputs/first")
    ('outputs/first', 'outputs/first')
    """
    return str(Path(path).parent) if Path(path).name == WEIGHTS else path


def weights_faults(config: rebuild.Config, image_shape: tuple[int, ...] | None) -> list[str]:
    """Return why the weights of the run cannot be begun from, before anything is made.

    Parameters
    ----------
    config : dict
        Checked in all other respects.
    image_shape : tuple of int, optional
        Shape of one image, where the data set tells it before it is read. Without it, names and
        shapes are compared when the data are there.
    """
    path = config["init_from"]
    if path is None:
        return []
    if Path(path).is_file() and place_of(path) is None:
        return [f"init_from={path}: is a file. Give the folder of a run, or its {WEIGHTS}."]
    try:
        weights = load_run(path).weights
    except CnnexpError as error:
        return [f"init_from: {error}"]
    if image_shape is None:
        return []
    try:
        rebuild.build_network(config, image_shape, threads=1).load_weights(weights)
    except ShapeError as error:
        return [f"init_from={path}: {error}"]
    return []
