"""The samples that a run is evaluated on: those of its own data set, or of another one.

A *foreign* set is one with another checksum than the run's own. All of its samples are new to the
network, so all are taken, unless the set has an official test part or the user divides it. What the
network learnt stays what it is: its classes, matched by name, and the scaling of its samples.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cnnexp.app.check import check_data
from cnnexp.app.composing import make_app
from cnnexp.app.options import Plain
from cnnexp.data import Dataset
from cnnexp.data.dataset import Preparation, split_indices
from cnnexp.data.scale import Scale
from cnnexp.data.sources import Raw
from cnnexp.data.targets import class_indices
from cnnexp.errors import ConfigError
from cnnexp.runs.reading import Run
from cnnexp.runs.rebuild import plan_dataset

PARTS = {"test": "test part", "all": "all samples"}
DIVISION = ("split", "limit", "validation")  # of a foreign set, as the user says or not at all


class Evaluated(NamedTuple):
    """What a run is evaluated on.

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


def evaluation_data(run: Run, overrides: Sequence[str]) -> Evaluated:
    """Return the data set that overrides ask for; what they leave open is as in the run.

    Raises
    ------
    ConfigError
        If the overrides are not those of a data set.
    DataError
        If the data cannot be read, or have classes that the run does not know.
    """
    if not overrides:
        return Evaluated(run.dataset, "test", False)
    typed = _typed(overrides)
    plan = plan_dataset(_config(run, overrides, typed))
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
    return Evaluated(plan.load(scale, target_scale, raw, preparation), part, foreign)


def _typed(overrides: Sequence[str]) -> set[str]:
    """Return the settings of the data set that the user gives, and ``name`` for another one."""
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    faults = [
        f"{override}: evaluate takes data=NAME and data.KEY=VALUE only."
        for override, key in zip(overrides, keys, strict=True)
        if "=" not in override or (key != "data" and not key.startswith("data."))
    ]
    if faults:
        raise ConfigError(faults)
    return {"name" if key == "data" else key.removeprefix("data.") for key in keys}


def _config(run: Run, overrides: Sequence[str], typed: Collection[str]) -> Plain:
    """Return the run's config with the data set that is asked for, checked."""
    recorded = run.config["data"]
    chosen = [] if "name" in typed else [f"data={recorded['name']}"]
    cfg = make_app().settings([*chosen, *overrides])
    data = dict(cfg.data)
    kept = {"scaling": recorded.get("scaling", "unit")} | _sizes(run, data)
    if data["name"] == recorded["name"]:
        kept = recorded
    data |= {key: value for key, value in kept.items() if key not in typed}
    config = {**run.config, "data": data}
    faults: list[str] = []
    check_data(config, faults)
    if faults:
        raise ConfigError(faults)
    return config


def _sizes(run: Run, data: Plain) -> Plain:
    """Return the size and the channels that pictures are brought into, where the set has both."""
    shape = run.network.input_shape
    if not {"size", "channels"} <= set(data) or len(shape) != 3 or shape[0] != shape[1]:
        return {}
    return {"size": shape[0], "channels": shape[2]}


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
