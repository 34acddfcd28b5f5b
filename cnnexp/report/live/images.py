"""The test images that the page carries, and how a drawing becomes an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnexp.report.inside.mistakes import confident_mistakes
from cnnexp.report.inside.plates import Array
from cnnexp.report.live.description import as_text
from cnnexp.runs import rebuild
from cnnexp.runs.reading import Run

MOST_RIGHT, MOST_WRONG = 60, 36
ROOM = 400_000  # bytes that all images may take


def describe_images(run: Run, A: Array, labels: Array) -> dict[str, Any]:
    """Return test images of every class, then the most confident mistakes, as plain values.

    Values are written exactly: as bytes and a table of what they mean where there are at most 256
    different ones, as in images that were scaled from bytes, else as float32.

    Parameters
    ----------
    run : Run
        The run.
    A : array (n_m, classes)
        What its network gives for the test samples.
    labels : integer array (n_m,)
        Their classes.
    """
    X = run.dataset.test.X
    share = min(ROOM / (math.prod(X.shape[1:]) * (MOST_RIGHT + MOST_WRONG)), 1.0)
    right = right_of_each_class(A, labels, max(int(MOST_RIGHT * share), 6))
    wrong = confident_mistakes(A, labels, max(int(MOST_WRONG * share), 4))
    chosen = np.array([*right, *wrong], np.intp)
    images = np.asarray(X[chosen], np.float32)
    return {
        **_values(images),
        "facts": [_facts(int(k), A[k], int(labels[k])) for k in chosen],
        "mistakes": len(wrong),
    }


def right_of_each_class(A: Array, labels: Array, most: int) -> list[int]:
    """Return samples that the network has right, the classes in turns."""
    is_right = A.argmax(axis=1) == labels
    by_class = [np.flatnonzero(is_right & (labels == k)) for k in np.unique(labels)]
    turns = max((len(found) for found in by_class), default=0)
    order = [int(found[turn]) for turn in range(turns) for found in by_class if turn < len(found)]
    return order[:most]


def _facts(number: int, a: Array, label: int) -> dict[str, Any]:
    said = int(a.argmax())
    return {"number": number, "label": label, "said": said, "probability": float(a[said])}


def _values(images: Array) -> dict[str, Any]:
    """Return images as base64, with the table of their values if there are few."""
    palette, codes = np.unique(images, return_inverse=True)
    if len(palette) > 256:
        return {"palette": None, "values": as_text(images, "float32")}
    return {"palette": palette.tolist(), "values": as_text(codes.reshape(-1), "uint8")}


def describe_drawing(run: Run) -> dict[str, Any] | None:
    """Return how a drawing becomes an image; None if images have several channels."""
    if run.network.input_shape[2] != 1:
        return None
    scale = run.dataset.scale
    low, high = scale(np.array([0.0, scale.largest]), "float64").tolist()
    figure = rebuild.build_source(run.config).figure
    return {"low": low, "high": high, "share": None if figure is None else figure.share}
