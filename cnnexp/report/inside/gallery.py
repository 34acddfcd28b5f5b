"""All pictures of one run, as files and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexp.errors import ShapeError
from cnnexp.report.inside.filters import filter_plates
from cnnexp.report.inside.maps import map_plates
from cnnexp.report.inside.mistakes import confident_mistakes, confusion_plate, mistakes_plate
from cnnexp.report.inside.page import page_of
from cnnexp.report.inside.plates import Array, Plate, Specimen
from cnnexp.report.inside.saliency import saliency_plate
from cnnexp.report.inside.weights import SECTION as LEARNING
from cnnexp.report.inside.weights import histogram_plate
from cnnexp.report.plots import picture_of, rendered, style
from cnnexp.report.table import Comparison
from cnnexp.runs.files import replace_file
from cnnexp.runs.finding import load_runs
from cnnexp.runs.histograms import read_histograms
from cnnexp.runs.reading import Run

if TYPE_CHECKING:
    from cnnexp.data.dataset import Samples

PAGE = "index.html"
MOST_SPECIMENS = 6  # beside each other in one picture
MOST_GIVEN = 6


def plates_of(run: Run, given: Sequence[Specimen] = ()) -> list[Plate]:
    """Draw everything that there is to see of a run.

    Maps, gradients and mistakes are drawn of networks that tell classes of images apart; of others
    there are curves, weights and filters.

    Parameters
    ----------
    run : Run
        With its data set and its weights.
    given : sequence of Specimen
        The images to look at; without any, some of the test samples.

    Raises
    ------
    ShapeError
        If there are too many images.
    """
    if len(given) > MOST_GIVEN:
        raise ShapeError(f"at most {MOST_GIVEN} images can be looked at. Got {len(given)}.")
    network, test = run.network, run.dataset.test
    if not run.dataset.classes or len(network.input_shape) != 3:
        if given:
            raise ShapeError(
                "images are looked at by networks that tell classes of images apart. This run has"
                " learnt real values, or from a table: inspect it without images."
            )
        with style():
            drawn = [_curves(run), histogram_plate(read_histograms(run.path, run.accept_changes))]
            drawn += filter_plates(network)
        return [plate for plate in drawn if plate is not None]
    A, _, _ = network.evaluate(test.X, test.Y)
    labels = np.asarray(test.Y)
    classes = class_names(run, A.shape[1])
    specimens = list(given) or specimens_of(test, A, classes)
    mapped = (
        list(given) or [specimens[(len(specimens) - 1) // 2], *specimens[-1:]][: len(specimens)]
    )
    with style():
        plates = [_curves(run), histogram_plate(read_histograms(run.path, run.accept_changes))]
        plates += filter_plates(network)
        for k, specimen in enumerate(mapped, 1):
            plates += map_plates(network, specimen, classes, suffix=str(k))
        plates.append(saliency_plate(network, specimens[:MOST_SPECIMENS], classes))
        plates.append(confusion_plate(A, labels, classes[: len(run.dataset.classes)]))
        plates.append(mistakes_plate(test.X, A, labels, classes))
    return [plate for plate in plates if plate is not None]


def save_gallery(folder: Path, run: Run, plates: Sequence[Plate]) -> Path:
    """Write each picture into a folder, and the page with all of them; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for plate in plates:
        replace_file(folder / f"{plate.name}.png", plate.png)
    path = folder / PAGE
    replace_file(path, page_of(run, plates).encode())
    return path


def specimens_of(test: Samples, A: Array, classes: Sequence[str]) -> list[Specimen]:
    """Choose test samples: the first right one of each of some classes, and the worst mistake."""
    labels = np.asarray(test.Y)
    right = A.argmax(axis=1) == labels
    chosen = [
        int(found[0])
        for k in range(len(classes))
        if len(found := np.flatnonzero(right & (labels == k)))
    ]
    step = max(-(-len(chosen) // (MOST_SPECIMENS - 1)), 1)
    chosen = chosen[step // 2 :: step] or [0]
    chosen = [*chosen[: MOST_SPECIMENS - 1], *confident_mistakes(A, labels, 1)]
    unlike = dict.fromkeys(chosen)
    return [Specimen(f"test sample {k}", test.X[k], int(labels[k])) for k in unlike]


def _curves(run: Run) -> Plate | None:
    """Draw error, cross-entropy and time, as `compare --plot` does; None without an epoch."""
    if "epoch" not in run.results:
        return None
    title = "Error and cross-entropy, epoch by epoch, and the time it took"
    picture = picture_of(Comparison(load_runs(run.path)))
    caption = "The test set is not learnt from; where the training curve falls alone, the network"
    caption += " overfits its samples."
    return Plate("curves", LEARNING, title, caption, rendered(picture.panels, title, "png"))


def class_names(run: Run, units: int) -> list[str]:
    """Return a name for each unit of the last layer; there may be more than classes."""
    names = list(run.dataset.classes)
    return [*names, *(f"unit {k}" for k in range(len(names), units))]
