"""Checking a composed config before anything is read or made.

All faults are collected and shown at once, each with its path, what was found and what is allowed.
What comes out is a plain dictionary in which all defaults are filled in: it is recorded with the
run, and everything is built from it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.init_from import weights_faults
from cnnexp.app.options import check_options
from cnnexp.app.schema import Config, ImplConfig, SweepConfig
from cnnexp.data import SOURCES
from cnnexp.data.dataset import Preparation, no_official_split
from cnnexp.engine import KERNELS
from cnnexp.errors import CnnexpError, ConfigError, DataError, did_you_mean
from cnnexp.nn.layer import LAYERS, Layer
from cnnexp.nn.layers import Dense
from cnnexp.nn.network import expand_activations
from cnnexp.registry import Registry
from cnnexp.runs.checkpoint import CheckpointPolicy
from cnnexp.runs.fingerprint import PATHS
from cnnexp.runs.plugins import load_plugins
from cnnexp.train import OPTIMIZERS, SCHEDULES

Plain = dict[str, Any]

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "learning_rate": (lambda value: value is None or 0 < value < math.inf, "above 0, and finite"),
    "epochs": (lambda value: value >= 1, "at least 1"),
    "batch_size": (lambda value: value >= 1, "at least 1"),
    "seed": (lambda value: value >= 0, "at least 0"),
    "dtype": (lambda value: value in ("float32", "float64"), "float32 or float64"),
}


def check(cfg: DictConfig) -> Plain:
    """Return a composed config as a plain dictionary, checked and with all defaults filled in.

    Raises
    ------
    ConfigError
        With all faults.
    """
    config = _plain(cfg)
    load_plugins(config.get("plugins") or [])
    known = [field.name for field in dataclasses.fields(Config)]
    faults = [
        f"{key}: no such key.{did_you_mean(key, known)} Keys: {', '.join(known)}."
        for key in config
        if key not in known
    ]
    for key, (allowed, words) in RANGES.items():
        if not allowed(config[key]):
            faults.append(f"{key} must be {words}. Got {config[key]!r}.")
    _check_group(KERNELS, ImplConfig, config, "impl", faults)
    for table, group in ((OPTIMIZERS, "optimizer"), (SCHEDULES, "schedule")):
        _check_group(table, None, config, group, faults)
    check_options([CheckpointPolicy], config["checkpoint"], "checkpoint.", faults)
    check_options([SweepConfig], config["sweep"], "sweep.", faults)
    images = check_data(config, faults)
    check_model(config, images, faults)
    if not faults:
        _make_absolute(config)
        faults += weights_faults(config, images.shape)
    if faults:
        raise ConfigError(faults)
    if config["learning_rate"] is None:
        config["learning_rate"] = OPTIMIZERS[config["optimizer"]["name"]].default_learning_rate
    return config


def _make_absolute(config: Plain) -> None:
    """Make paths absolute: a run is resumed and read from other folders too."""
    for group, key in (*((config[group], key) for group, key in PATHS), (config, "init_from")):
        if isinstance(group, dict) and group.get(key):
            group[key] = str(Path(group[key]).expanduser().absolute())


def _plain(cfg: DictConfig) -> Plain:
    """Return the settings without Hydra's own, with interpolations resolved."""
    keys = [str(key) for key in cfg if key not in ("hydra", "experiments")]
    try:
        return OmegaConf.to_container(OmegaConf.masked_copy(cfg, keys), resolve=True)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError([_unresolved(error)]) from None


def _unresolved(error: OmegaConfBaseException) -> str:
    """Say which value could not be taken from elsewhere."""
    key = re.sub(r"\[(\d+)\]", r".\1", str(error.full_key))
    first = str(error).splitlines()[0]
    if match := re.match(r"Interpolation key '(.+)' not found", first):
        return f"{key}: takes its value from '{match[1]}', and there is no such key."
    if match := re.search(r"Environment variable '(.+)' not found", first):
        return f"{key}: takes its value from the environment variable {match[1]}, which is not set."
    if first.startswith("Recursive interpolation"):
        return f"{key}: takes its value from itself."
    return f"{key}: {first}"


def _check_group(
    table: Registry[Any], cls: type | None, config: Plain, group: str, faults: list[str]
) -> None:
    """Check that a group names a row of its table, and its other options."""
    values = dict(config[group] or {})
    name = values.get("name")
    if name not in table:
        faults.append(f"{group}.name: {table.complaint(name)}")
        return
    if cls is None:
        values.pop("name")
    check_options([cls or table[str(name)]], values, f"{group}.", faults)


def check_data(config: Plain, faults: list[str]) -> Images:
    """Check the data group, and say what is known of its images before they are read."""
    values = dict(config["data"] or {})
    name = str(values.pop("name", None))
    if name not in SOURCES:
        faults.append(f"data.name: {SOURCES.complaint(name)}")
        return Images(name, None, None)
    made = check_options([SOURCES[name], Preparation], values, "data.", faults)
    if not made:
        return Images(name, None, None)
    source, preparation = made
    try:
        source.check()
        if preparation.split == "official" and not source.has_official_split:
            faults.append(no_official_split(source))
    except DataError as error:
        faults.append(str(error))
    return Images(name, source.image_shape(), source.class_count())


class Images(NamedTuple):
    """What a network is to be built for; shape and number of classes may not be known yet."""

    name: str
    shape: tuple[int, ...] | None
    classes: int | None


def check_model(config: Plain, images: Images, faults: list[str]) -> None:
    """Check all layers, and all shapes from the images to the last layer.

    Where the last dense layer has no units, it gets as many as there are classes.
    """
    entries = config["model"]["layers"]
    if not isinstance(entries, list) or not entries:
        faults.append("model.layers must be a list of at least one layer.")
        return
    _fill_in_classes(entries, images.classes)
    layers = [_check_layer(k, options, faults) for k, options in enumerate(entries)]
    if all(layer is not None for layer in layers):
        last = expand_activations([layer for layer in layers if layer is not None])[-1]
        if last.type != "softmax":
            faults.append(
                f"model.layers.{len(layers) - 1} ({last.type}): the last layer must be softmax,"
                " because the loss is cross-entropy. Give the last dense layer activation=softmax."
            )
    if images.shape is not None:
        _check_shapes(layers, images, faults)


def _fill_in_classes(entries: list[Any], classes: int | None) -> None:
    """Let the last dense layer have as many units as there are classes."""
    dense = [entry for entry in entries if isinstance(entry, dict) and entry.get("type") == "dense"]
    if classes is not None and dense and dense[-1].get("units") is None:
        dense[-1]["units"] = classes


def _check_layer(k: int, options: Any, faults: list[str]) -> Layer | None:
    """Make one layer of a config, or add its faults."""
    path = f"model.layers.{k}"
    if not isinstance(options, dict) or "type" not in options:
        faults.append(
            f"{path}: must be a mapping with a type, for example {{type: conv, filters: 32,"
            f" kernel_size: 3}}. Got {options!r}."
        )
        return None
    kind = options["type"]
    if not isinstance(kind, str) or kind not in LAYERS:
        faults.append(f"{path}.type: {LAYERS.complaint(str(kind))}")
        return None
    values = {key: value for key, value in options.items() if key != "type"}
    made = check_options([LAYERS[kind]], values, f"{path} ({kind}): ", faults)
    options.update(values)
    return made[0] if made else None


def _check_shapes(layers: list[Layer | None], images: Images, faults: list[str]) -> None:
    """Follow the shape of one image through the network, up to the first layer with a fault."""
    shape = images.shape or ()
    for k, layer in enumerate(layers):
        if layer is None:
            return
        if isinstance(layer, Dense) and layer.units is None and images.classes is None:
            return  # known once the data are read; then all this is checked again
        try:
            for part in expand_activations([layer]):
                shape = part.infer_shape(shape)
        except CnnexpError as error:
            hint = ""
            if images.name == "digits" and "does not fit" in str(error):
                hint = " The digits have 8x8 pixels; data=mnist has images of 28x28."
            faults.append(f"model.layers.{k} ({layer.type}): {error}.{hint}".replace("..", "."))
            return
    last, kind = len(layers) - 1, layers[-1].type if layers[-1] is not None else ""
    if images.classes is None:
        return
    if len(shape) != 1:
        faults.append(
            f"model.layers.{last} ({kind}): gives {_size(shape)} numbers for each sample and not"
            " one row. A network ends with flatten and dense."
        )
    elif shape[0] < images.classes:
        faults.append(
            f"model.layers.{last} ({kind}): gives {shape[0]} numbers for each sample, and"
            f" data={images.name} has {images.classes} classes: units must be at least"
            f" {images.classes}."
        )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
