"""What a run's network says of pictures that are no samples of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.data.images import as_figure, as_picture, open_picture
from cnnexp.data.scale import Scale
from cnnexp.errors import DataError, RunError
from cnnexp.runs import rebuild
from cnnexp.runs.evaluation import scales_of
from cnnexp.runs.reading import Run
from cnnexp.runs.record_parts import DataRecord


def predict(run: Run, paths: Sequence[Path], left_out: list[str]) -> list[dict[str, Any]]:
    """Return the class of each picture, and the probabilities of all classes; or real values.

    Parameters
    ----------
    run : Run
        The run.
    paths : sequence of Path
        Pictures.
    left_out : list of str
        Why a picture was left out is added to it: it is none, or nothing is drawn on it.

    Raises
    ------
    RunError
        If the network's outputs are not finite, as after a run that diverged.
    """
    if run.config["model"].get("target") == "input":
        raise RunError(
            f"{run.path}: model={run.config['model']['name']} returns its input, which is no"
            f" class. In Python: run = cnnexp.load_run('{run.path}'); run.network.predict(X)."
        )
    paths, X = _readable(run, paths, left_out)
    if not paths:
        return []
    with np.errstate(all="ignore"):
        A = run.network.predict(X)
    if not np.isfinite(A).all():
        raise RunError(
            f"{run.path}: this run has {run.status}; its network answers with what is no number."
        )
    data = run.recorded.data
    if data is not None and data.get("target_shape"):
        return [_values(data, path, row) for path, row in zip(paths, A, strict=True)]
    classes = (data["classes"] if data else [])[: A.shape[1]]
    classes += [f"unit {k}" for k in range(len(classes), A.shape[1])]
    return [
        {
            "image": str(path),
            "class": classes[int(row.argmax())],
            "probabilities": dict(zip(classes, row.tolist(), strict=True)),
        }
        for path, row in zip(paths, A, strict=True)
    ]


def _readable(
    run: Run, paths: Sequence[Path], left_out: list[str]
) -> tuple[list[Path], npt.NDArray[Any]]:
    """Return the pictures that can be used, and their pixels; note why others cannot."""
    used, found = [], []
    for path in paths:
        try:
            found.append(pixels(run, path))
        except DataError as error:
            left_out.append(str(error))
        else:
            used.append(path)
    return used, np.stack(found) if found else np.empty(0)


def pixels(run: Run, path: Path) -> npt.NDArray[Any]:
    """Return a picture as an image like those that a run's network has learnt from."""
    shape = run.network.input_shape
    if len(shape) != 3:
        raise RunError(
            f"{run.path}: has learnt from a table of {shape[0]} features, and not from pictures. In"
            " Python: run = cnnexp.load_run(…); run.network.predict(run.dataset.scale(X, …))."
        )
    picture = open_picture(path, max(shape[:2]))
    figure = rebuild.build_source(run.config).figure
    try:
        if figure is not None:
            lit = as_figure(picture, shape, figure)
        else:
            lit = as_picture(picture, shape) / 255
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if run.config["data"].get("scaling", "unit") == "unit":
        return lit
    scale = scales_of(run)[0] or run.dataset.scale
    return scale(lit * scale.largest, run.config["dtype"])


def _values(data: DataRecord, path: Path, row: npt.NDArray[Any]) -> dict[str, Any]:
    """Return the real values for a picture, in the unit of the data set."""
    scale = data.get("target_scale")
    values = (Scale.from_record(scale).undo(row) if scale else row).reshape(-1).tolist()
    names = data.get("targets") or [f"value {k}" for k in range(1, len(values) + 1)]
    return {"image": str(path), "values": dict(zip(names, values, strict=True))}
