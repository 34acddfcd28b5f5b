"""Evaluating a run's network on the samples of its own data set, or of another one.

A *foreign* set is one with another checksum than the run's own. All of its samples are new to the
network, so all are taken, unless the set has an official test part or the user divides it. What the
network learnt stays what it is: its classes, matched by name, and the scaling of its samples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cnnexp.data.dataset import Dataset, Preparation, split_indices
from cnnexp.data.scale import Scale
from cnnexp.data.sources import Raw
from cnnexp.data.targets import class_indices
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.predictions import predicted_classes
from cnnexp.runs.per_class import Classified, ClassRow, class_rows, occurring
from cnnexp.runs.reading import Run
from cnnexp.runs.rebuild import Config, plan_dataset

DIVISION = ("split", "limit", "validation")  # of a foreign set, as the user says or not at all


class Chosen(NamedTuple):
    """The samples that a run is evaluated on.

    Attributes
    ----------
    dataset : Dataset
        Its test part are the samples.
    part : {"test", "all"}
        Which samples of the source these are.
    foreign : bool
        Whether it is another data set than the run's own.
    """

    dataset: Dataset
    part: str
    foreign: bool


class Evaluation(NamedTuple):
    """What came of an evaluation.

    Attributes
    ----------
    chosen : Chosen
        The samples.
    A : array (n_m, …)
        The network's outputs for them.
    figures : dict
        Loss and metrics.
    """

    chosen: Chosen
    A: Any
    figures: dict[str, float]


class Classes(NamedTuple):
    """What the samples of an evaluation were taken for, and the table of their classes."""

    part: str
    names: Sequence[str]
    found: Classified
    rows: list[ClassRow]


def samples_of(run: Run, config: Config, typed: Collection[str]) -> Chosen:
    """Return the samples of a data set that need not be the run's own.

    Parameters
    ----------
    run : Run
        The run.
    config : dict
        Its settings with the group ``data`` of the set that is asked for.
    typed : collection of str
        The options of that group that the user gives.

    Raises
    ------
    DataError
        If the data cannot be read, or have classes that the run does not know.
    """
    plan = plan_dataset(config)
    raw = plan.source.load()
    learnt = run.recorded.data
    foreign = learnt is None or raw.checksum != learnt["checksum"]
    if raw.classes and learnt and (known := learnt["classes"]):
        raw = _with_classes(raw, known, f"data={plan.source.name}: {run.path}")
    part, preparation = "test", plan.preparation
    if foreign:
        dropped: Any = {key: None for key in DIVISION if key not in typed}
        preparation = replace(preparation, **dropped)
        if raw.X_test is None and preparation.split is None:
            part, raw, preparation = "all", *_undivided(raw, preparation)
    scale, target_scale = _scales_for(run, raw, plan.source.name, typed)
    return Chosen(plan.load(scale, target_scale, raw, preparation), part, foreign)


def _with_classes(raw: Raw, known: Sequence[str], where: str) -> Raw:
    """Return a source with the classes of a run, matched by name."""
    if list(raw.classes) == list(known):
        return raw
    tested = [] if raw.Y_test is None else [raw.Y_test]
    Y, *Y_test = class_indices([raw.Y, *tested], raw.classes, known, where)
    return replace(raw, Y=Y, classes=tuple(known), Y_test=Y_test[0] if Y_test else None)


def _undivided(raw: Raw, preparation: Preparation) -> tuple[Raw, Preparation]:
    """Return a source whose test part are all samples, or as many, drawn, as are asked for."""
    X, Y = raw.X, raw.Y
    if preparation.limit is not None:
        order, _ = split_indices(Y, 1.0, preparation.seed, stratified=False)
        rows = np.sort(order[: preparation.limit])
        X, Y = X[rows], Y[rows]
    whole = replace(raw, X=X, Y=Y, X_test=X, Y_test=Y)
    return whole, replace(preparation, split="official", limit=None)


def _scales_for(
    run: Run, raw: Raw, name: str, typed: Collection[str]
) -> tuple[Scale | None, Scale | None]:
    """Return the run's scales for the values of a source.

    Pixels of another kind of source may have another range: they are scaled as the run's own
    pixels of the same brightness.
    """
    scale, target_scale = scales_of(run)
    if scale is not None and name != run.config["data"]["name"] and np.ndim(scale.factor) == 0:
        scale = Scale(scale.factor * scale.largest / raw.largest, scale.shift, raw.largest)
    return (
        None if "scaling" in typed else scale,
        None if "target_scaling" in typed else target_scale,
    )


def scales_of(run: Run) -> tuple[Scale | None, Scale | None]:
    """Return how a run's samples and real values were scaled.

    Other samples are scaled in the same way: those of another training part would have another mean
    and deviation. Runs of earlier versions did not write it down.
    """
    data = run.recorded.data
    if data is not None and (scale := data.get("scale")) is not None:
        target = data.get("target_scale")
        return Scale.from_record(scale), Scale.from_record(target) if target else None
    if run.config["data"].get("scaling") == "standard":
        return run.dataset.scale, None
    return None, None


def evaluate(run: Run, chosen: Chosen) -> Evaluation:
    """Evaluate a run's network on some samples.

    Raises
    ------
    ShapeError
        If the network does not take them, or has learnt another kind of targets.
    """
    dataset, needed = chosen.dataset, run.network.input_shape
    learnt, has = bool(run.recorded.data and run.recorded.data["classes"]), bool(dataset.classes)
    if learnt != has:
        raise ShapeError(
            f"data={dataset.name}: its targets are {_targets(has)}, and {run.path} has learnt"
            f" {_targets(learnt)}."
        )
    found = dataset.image_shape
    if found != needed:
        raise ShapeError(
            f"data={dataset.name}: its samples are {_size(found)}, and {run.path} has learnt from"
            f" {_size(needed)}."
        )
    return Evaluation(chosen, *run.network.evaluate_figures(dataset.test.X, dataset.test.Y))


def classified(run: Run, evaluation: Evaluation) -> Classes:
    """Return what was taken for what; the table of a foreign set has the classes that occur in it.

    Raises
    ------
    OptionError
        If there are no classes.
    """
    chosen = evaluation.chosen
    names, true = chosen.dataset.classes, chosen.dataset.test.Y
    predicted = predicted_classes(run.network, evaluation.A, len(names))
    if predicted is None:
        raise OptionError(
            f"--per-class: {run.path} measured no error of classes. A classifier whose loss does"
            " not come with one is trained with metrics=[error]."
        )
    found = Classified(true, predicted)
    rows = class_rows(chosen.part, found, names)
    return Classes(chosen.part, names, found, occurring(rows) if chosen.foreign else rows)


def _targets(classes: bool) -> str:
    return "classes" if classes else "real values"


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"a table of {shape[0]:,} features"
    return "images of " + "x".join(str(size) for size in shape)
