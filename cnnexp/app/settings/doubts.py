"""Doubts about samples that were read: what is said of them at the start, and not refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cnnexp.app.settings.options import Plain
from cnnexp.data import Dataset
from cnnexp.runs.rebuild import build_source

FEW = 10  # training samples
MOST = 5  # classes that are named


def doubts_about(config: Plain, dataset: Dataset) -> list[str]:
    """Return what is odd about the parts of a data set.

    Where ``data.limit`` has cut the samples, a class may well have none.
    """
    train, validation, test = dataset.train, dataset.validation, dataset.test
    apart = validation.count if validation else 0
    found = _few_left(config, train.count, apart)
    if not dataset.classes or config["data"].get("limit") in (train.count + apart, test.count):
        return found
    trained, kept_apart = labels_in(train.Y), labels_in(validation.Y) if validation else set()
    found = found or _all_apart(config, dataset.classes, kept_apart - trained)
    return found + doubts_about_classes(
        config, dataset.classes, trained | kept_apart, labels_in(test.Y)
    )


def doubts_about_classes(
    config: Plain, classes: Sequence[str], trained: set[int], tested: set[int]
) -> list[str]:
    """Return what is odd about classes: one only, or some without samples.

    Parameters
    ----------
    config : dict
        The settings.
    classes : sequence of str
        Names of the classes.
    trained, tested : set of int
        The classes of which there are training samples, and test samples.
    """
    everything = {*range(len(classes))}
    trained, tested = trained & everything, tested & everything  # other labels are refused later
    present = trained | tested
    if len(present) == 1:
        where = "Is data.target" if "target" in config["data"] else "Are the folders or labels"
        return [
            f"there is only one class, {_some(classes, present)}: nothing can be learnt from it."
            f" {where} right?"
        ]
    untrained, absent = tested - trained, everything - present
    said = {"test samples and none to train on": untrained, "no samples": absent}
    parts = [f"{_some(classes, found)} ({what})" for what, found in said.items() if found]
    numbered = all(name.isdecimal() for name in classes)
    why = "Are the labels numbers from 0?" if numbered else "Is a folder or a label misspelt?"
    if untrained and not absent and not is_official(config):
        why = "They have few samples: data.split or data.seed divide these otherwise."
    return [f"classes that cannot be learnt: {', '.join(parts)}. {why}"] if parts else []


def doubts_about_counts(config: Plain, trained: int, tested: int) -> list[str]:
    """Return what is odd about the number of samples, before these are divided.

    Where every class is divided alike, a training part may have a few samples more or fewer.

    Parameters
    ----------
    config : dict
        The settings.
    trained, tested : int
        Number of training and of test samples in the source; of all and 0, if it has one part.
    """
    data = config["data"]
    split: Any = data["split"] or build_source(config).default_split
    count = trained if split == "official" else round(split * (trained + tested))
    count = min(count, data["limit"] or count)
    validation = data["validation"] or 0
    apart = round(validation * count) if isinstance(validation, float) else validation
    return _few_left(config, count - apart, apart)


def labels_in(Y: Any) -> set[int]:
    """Return the classes of which there are samples, given class indices (n_m,)."""
    return {int(label) for label in np.unique(Y) if np.isfinite(label)}


def _few_left(config: Plain, left: int, apart: int) -> list[str]:
    """Say that the validation part leaves hardly any samples to train on."""
    if not 0 < left < FEW <= left + apart:
        return []
    return [
        f"data.validation={config['data']['validation']} keeps {apart:,} of {left + apart:,}"
        f" training samples apart, which leaves {left} to train on."
    ]


def _all_apart(config: Plain, classes: Sequence[str], labels: set[int]) -> list[str]:
    """Say that the validation part has taken whole classes, as it does of sorted samples."""
    if not (labels := labels & {*range(len(classes))}):
        return []
    ordered = is_official(config)
    shuffle = "data.split=0.8 shuffles all samples first" if ordered else "Make it smaller"
    return [
        f"all training samples of {_some(classes, labels)} are in the validation part, which is"
        f" the end of the training part. {shuffle}."
    ]


def is_official(config: Plain) -> bool:
    """Say whether the data set comes divided into samples to train on and to test with."""
    return (config["data"]["split"] or build_source(config).default_split) == "official"


def _some(classes: Sequence[str], labels: Iterable[int]) -> str:
    """Return the names of some classes, of many the first ones."""
    names = [f"'{classes[k]}'" for k in sorted(labels)]
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
