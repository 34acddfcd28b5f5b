"""``cnnexp predict RUN IMAGE…``: what a run's network sees on pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of
from cnnexp.app.evaluation_data import scales_of
from cnnexp.app.exit_codes import USER_ERROR
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.screen import say, warn
from cnnexp.data.image_folder import pictures
from cnnexp.data.images import ENDINGS, as_figure, as_picture, open_picture
from cnnexp.data.scale import Scale
from cnnexp.errors import DataError, RunError
from cnnexp.runs import rebuild
from cnnexp.runs.reading import Run
from cnnexp.runs.record import DataRecord

EPILOG = """\
A digit may be dark on light or light on dark, grey, coloured or transparent, of any size and
anywhere on the picture: it is brought into the form of the images that the network has learnt from.
Of a folder all pictures are taken, in the order of their names. A picture that cannot be used is
left out: standard error says why, and the exit code is 2.

examples:
  python -m cnnexp predict RUN seven.png
  python -m cnnexp predict RUN photos
  python -m cnnexp predict RUN photos/*.jpg --json
"""
FAINTEST = 0.0005  # a smaller probability is not shown


def main(words: list[str]) -> int:
    """Predict and print a line for each picture."""
    parser = parser_of("predict", EPILOG)
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture or folder")
    parser.add_argument("--json", action="store_true", help="print all probabilities, as JSON")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    run = load_given_run(given)
    paths, left_out = files_of(given.images)
    results = predict(run, paths, left_out)
    for reason in left_out:
        warn(f"error: {reason}")
    if results and left_out:
        warn(f"left out: {len(left_out):,} of {len(results) + len(left_out):,}")
    _print(results, given.json)
    return USER_ERROR if left_out else 0


def _print(results: list[dict[str, Any]], as_json: bool) -> None:
    """Print the answers, a line for each, or as JSON."""
    if as_json:
        say(json.dumps(results))
        return
    width = max((len(result["image"]) for result in results), default=0)
    for result in results:
        line = _line(result["probabilities"]) if "class" in result else _plain(result["values"])
        say(f"{result['image']:<{width}}  {line}")


def files_of(given: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the pictures that are meant, those of a folder by name, and why there are none."""
    paths, faults = [], []
    for path in given:
        found = pictures(path) if path.is_dir() else [path]
        paths += found
        if not found:
            faults.append(f"{path}: there is no picture ({', '.join(ENDINGS)}) in this folder.")
    return paths, faults


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


def _plain(values: dict[str, float]) -> str:
    """Return named values in a line."""
    return "  ".join(f"{name} {value:.6g}" for name, value in values.items())


def _line(probabilities: dict[str, float]) -> str:
    """Return the likely classes, the likeliest first."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    first, *others = [f"{name} {p:.3f}" for name, p in ranked if p >= FAINTEST]
    return f"{first}   {'  '.join(others[:3])}".rstrip()
