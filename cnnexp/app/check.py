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
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.check_model import Images, check_model
from cnnexp.app.init_from import weights_faults
from cnnexp.app.options import check_options
from cnnexp.app.schema import TABLES, Config, ImplConfig, SweepConfig
from cnnexp.data import SOURCES
from cnnexp.data.dataset import Preparation, no_official_split
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.errors import ConfigError, DataError, did_you_mean
from cnnexp.nn.losses import LOSSES, METRICS
from cnnexp.registry import Registry
from cnnexp.runs.checkpoint import CheckpointPolicy
from cnnexp.runs.fingerprint import PATHS
from cnnexp.runs.plugins import load_plugins
from cnnexp.train import OPTIMIZERS

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
    load_plugins(_plugins_of(config))
    return check_settings(config)


def _plugins_of(config: Plain) -> list[str]:
    """Return the modules that the user names."""
    names = config.get("plugins") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError([f"plugins must be a list of modules. Got {names!r}."])
    return names


def check_settings(config: Plain) -> Plain:
    """Check a plain config whose plugins are imported, and return it; see `check`."""
    known = [field.name for field in dataclasses.fields(Config)]
    faults = [
        f"{key}: no such key.{did_you_mean(key, known)} Keys: {', '.join(known)}."
        for key in config
        if key not in known
    ]
    for key, (allowed, words) in RANGES.items():
        if not allowed(config[key]):
            faults.append(f"{key} must be {words}. Got {config[key]!r}.")
    _check_group(IMPLEMENTATIONS, ImplConfig, config, "impl", faults)
    for group, table in TABLES.items():
        _check_group(table, None, config, group, faults)
    faults += [
        f"metrics: {METRICS.complaint(name)}" for name in config["metrics"] if name not in METRICS
    ]
    check_options([CheckpointPolicy], config["checkpoint"], "checkpoint.", faults)
    check_options([SweepConfig], config["sweep"], "sweep.", faults)
    if not faults and config["sweep"]["objective"] is None:
        config["sweep"]["objective"] = f"validation_{_chosen_by(config)}"
    if not faults and config["schedule"]["name"] == "reduce_on_plateau":
        _check_metric(config, faults)
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


def _chosen_by(config: Plain) -> str:
    """Return the figure by which settings are chosen: the error where there is one."""
    measured = (*LOSSES[config["loss"]["name"]].metrics, *config["metrics"])
    return "error" if "error" in measured else "loss"


def _check_metric(config: Plain, faults: list[str]) -> None:
    """Check that the figure which a schedule watches is measured."""
    watched, parts = str(config["schedule"]["metric"]), ["train"]
    if config["data"].get("validation"):
        parts.append("validation")
    measured = ["loss", *LOSSES[config["loss"]["name"]].metrics, *config["metrics"]]
    known = [f"{part}_{name}" for part in parts for name in measured]
    if watched not in known:
        hint = did_you_mean(watched, known)
        if watched.startswith("validation_") and len(parts) == 1:
            hint = " There is no validation part: add data.validation=0.1."
        faults.append(
            f"schedule.metric: no figure is named '{watched}'.{hint} Figures: {', '.join(known)}."
        )


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
