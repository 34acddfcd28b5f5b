"""The live page: one HTML file that runs a run's network in the reader's browser.

It needs no network and no server. Its weights are float32, as the run has them; the weights of
earlier epochs, which are only looked at, are float16.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

import cnnexp
from cnnexp.errors import OptionError, RunError, foreign
from cnnexp.report.frame import page_from
from cnnexp.report.inside.gallery import class_names
from cnnexp.report.inside.plates import Array
from cnnexp.report.live.description import (
    as_text,
    check_layers,
    describe_layers,
    describe_loss,
    vector,
)
from cnnexp.report.live.images import describe_drawing, describe_images
from cnnexp.report.live.modules import joined, source
from cnnexp.runs import kept_weights
from cnnexp.runs.finding import name_in
from cnnexp.runs.reading import Run

LARGEST = 3_000_000  # bytes of a page; the weights of the last epoch are written whatever they take
CURVES = ("train_loss", "test_loss", "test_error")


def live_page(run: Run) -> str:
    """Return the page as HTML.

    Raises
    ------
    OptionError
        If the run's network does not classify images, or has a layer that the page cannot compute.
    RunError
        If its outputs are not finite.
    """
    check_layers(run.network.layers)
    described = describe(run)
    return page_from(
        "cnnexp.report.live",
        described["title"],
        style=source("style.css"),
        data=_in_script(json.dumps(described, separators=(",", ":"))),
        script=joined("app"),
        version=escape(cnnexp.__version__),
    )


def _in_script(text: str) -> str:
    """Return JSON that cannot end the element it stands in."""
    return text.replace("<", "\\u003c")


def describe(run: Run) -> dict[str, Any]:
    """Return all that the page is told of a run, as plain values."""
    check_is_image_classifier(run)
    network, test = run.network, run.dataset.test
    with np.errstate(all="ignore"):
        A, _, _ = network.evaluate(test.X, test.Y)
    if not np.isfinite(A).all():
        raise RunError(
            f"{run.path}: this run has {run.status}; its network answers with what is no number."
        )
    found: dict[str, Any] = {
        "title": f"{name_in(run, 'model')} on {name_in(run, 'data')}",
        "facts": _facts(run),
        "classes": class_names(run, A.shape[1]),
        "shape": list(network.input_shape),
        "probabilities": network.layers[-1].type in ("softmax", "sigmoid"),
        "layers": describe_layers(network.layers),
        "loss": describe_loss(network.loss),
        "weights": {
            "format": "float32",
            "values": as_text(vector(network.layers, network.weights()), "float32"),
        },
        "images": describe_images(run, A, np.asarray(test.Y)),
        "drawing": describe_drawing(run),
        "version": cnnexp.__version__,
    }
    found["epochs"] = _epochs(run, LARGEST - len(json.dumps(found)) - len(joined("app")) - 40_000)
    return found


def check_is_image_classifier(run: Run) -> None:
    """Raise OptionError for a run that the page is not for, with the reason."""
    name = run.config["model"]["name"]
    reason = ""
    if run.config["model"].get("target") == "input":
        reason = f"model={name} returns its input, and tells no classes apart"
    elif not run.dataset.classes:
        reason = f"model={name} has learnt real values, and tells no classes apart"
    elif len(run.network.input_shape) != 3:
        reason = f"its samples are rows of {run.network.input_shape[0]} features, and no images"
    elif len(run.network.output_shape) != 1 or run.network.output_shape[0] < 2:
        reason = f"its outputs have the shape {run.network.output_shape}: no output for each class"
    if reason:
        raise OptionError(
            f"{run.path}: the page is for networks that classify images. This is none: {reason}."
        )


def _facts(run: Run) -> list[str]:
    """Return what the page says about the run below its title."""
    results, network = run.results, run.network
    found = [f"run {run.path.resolve().name}", f"{network.parameter_count:,} parameters"]
    if results.get("test_error") is not None:
        found.append(f"test error {100 * results['test_error']:.2f} %")
    if results.get("epoch") is not None:
        found.append(f"{results['epoch']} epoch{'s' * (results['epoch'] != 1)}")
    return [*found, run.status]


def _epochs(run: Run, room: int) -> dict[str, Any]:
    """Return the curves, with the weights of those epochs that were kept, as many as there is room.

    The first and the last are among them, the others evenly spread.
    """
    with foreign(run.path / "epochs.csv"):
        rows = {int(row["epoch"]): dict(row) for _, row in run.epochs.iterrows()}
    kept = kept_weights.epochs_of(run.path)
    size = math.ceil(vector(run.network.layers, run.network.weights()).size * 2 * 4 / 3) + 200
    shown = set(evenly(kept, max(room // size, 2))) if kept else set()
    every = sorted({*rows, *shown})
    return {
        "format": "float16",
        "all": [_epoch(run, epoch, rows.get(epoch, {}), epoch in shown) for epoch in every],
    }


def evenly(items: Sequence[int], most: int) -> list[int]:
    """Return at most so many items, evenly spread, the first and the last among them.

    Examples
    --------
    >>> evenly(range(11), 3), evenly([4, 5], 3)
    ([0, 5, 10], [4, 5])
    """
    if len(items) <= most:
        return list(items)
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def _epoch(run: Run, epoch: int, row: dict[str, Any], shown: bool) -> dict[str, Any]:
    """Return what the log says of an epoch, and its weights."""
    values = ""
    if shown:
        weights = kept_weights.load(run.path, run.recorded, epoch, run.accept_changes)
        values = as_text(_checked(run, epoch, weights), "float16")
    return {"epoch": epoch, "values": values, **{key: _number(row.get(key)) for key in CURVES}}


def _checked(run: Run, epoch: int, weights: dict[str, Array]) -> Array:
    """Return weights as a vector; they must fit the run's network."""
    own = run.network.weights()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in weights.items()}:
        path = run.path / kept_weights.FOLDER / kept_weights.file_of(epoch)
        raise RunError(f"{path}: does not belong to this network. Delete it: it is only looked at.")
    return vector(run.network.layers, weights)


def _number(value: Any) -> float | None:
    """Return a figure of the log; None if it is not finite."""
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if is_number else None


def check_size(page: str) -> str:
    """Return a sentence about the size of a page, if it is above `LARGEST`; else an empty text."""
    size = len(page.encode())
    if size <= LARGEST:
        return ""
    return (
        f"the page has {size / 1e6:.1f} MB, because its network has many weights; it may open"
        " slowly on a phone"
    )
