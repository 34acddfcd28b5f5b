"""Checking the augmentations of a config: their options, and whether they suit images and loss."""

from __future__ import annotations

import dataclasses
from typing import Any

from cnnexp.app.check_model import Images
from cnnexp.app.options import check_options
from cnnexp.data.augmentation import AUGMENTATIONS, Geometric
from cnnexp.data.augmentation.pipeline import not_images
from cnnexp.nn.losses import LOSSES
from cnnexp.train.batches import no_mixing

Plain = dict[str, Any]


def check_augment(config: Plain, images: Images, faults: list[str]) -> None:
    """Check all augmentations, and fill in the defaults of their options."""
    group = config["augment"]
    entries = group["transforms"]
    if not isinstance(entries, list):
        faults.append(f"augment.transforms must be a list. Got {entries!r}.")
        return
    if entries and group["name"] == "none":
        group["name"] = "own"  # typed on the command line
    for k, entry in enumerate(entries):
        _check_one(f"augment.transforms.{k}", entry, config, faults)
    if entries and images.shape is not None and len(images.shape) != 3:
        faults.append(f"augment.transforms: {not_images(images.shape)}")
    if config["model"].get("target") == "input":
        faults += [
            f"augment.transforms.{k} ({kind}): it moves pixels, and the targets of"
            f" model={config['model']['name']} stay where they are (model.target=input). Noise and"
            " erase are what such a network can learn to undo."
            for k, kind in enumerate(map(_kind, entries))
            if kind in AUGMENTATIONS and issubclass(AUGMENTATIONS[kind], Geometric)
        ]


def _kind(entry: Any) -> str:
    """Return the type that an entry names, if it does."""
    return str(entry.get("type")) if isinstance(entry, dict) else ""


def _check_one(path: str, options: Any, config: Plain, faults: list[str]) -> None:
    """Check one augmentation."""
    if not isinstance(options, dict) or "type" not in options:
        faults.append(
            f"{path}: must be a mapping with a type, for example {{type: rotate, degrees: 10}}."
            f" Got {options!r}."
        )
        return
    kind, loss = options["type"], config["loss"]["name"]
    if not isinstance(kind, str) or kind not in AUGMENTATIONS:
        faults.append(f"{path}.type: {AUGMENTATIONS.complaint(kind)}")
        return
    values = {key: value for key, value in options.items() if key != "type"}
    for made in check_options([AUGMENTATIONS[kind]], values, f"{path} ({kind}): ", faults):
        options.update({f.name: getattr(made, f.name) for f in dataclasses.fields(made)})
    if AUGMENTATIONS[kind].mixes and loss in LOSSES and not LOSSES[loss].soft_targets:
        faults.append(f"{path} ({kind}): {no_mixing(loss)}")
