"""``init_from=RUN``: beginning from the weights of another run."""

from __future__ import annotations

from cnnexp.errors import CnnexpError, ShapeError
from cnnexp.runs import rebuild
from cnnexp.runs.reading import load_run


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
