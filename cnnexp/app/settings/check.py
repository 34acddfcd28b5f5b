"""Checking a composed config before anything is read or made.

All faults are collected and shown at once, each with its path, what was found and what is allowed.
What comes out is a plain dictionary in which all defaults are filled in: it is recorded with the
run, and everything is built from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.app.settings.check_model import Images, check_augment, check_model, doubtful_task
from cnnexp.app.settings.check_training import check_training, chosen_figure, measure_error
from cnnexp.app.settings.options import Plain, check_options, unknown
from cnnexp.app.settings.schema import (
    TABLES,
    AugmentConfig,
    Config,
    ModelConfig,
    SweepConfig,
    classes_of,
)
from cnnexp.data.dataset import default_scaling, no_official_split
from cnnexp.engine import AUTO, IMPLEMENTATIONS, automatic
from cnnexp.errors import CnnexpError, ConfigError, DataError, ShapeError
from cnnexp.nn.arguments import workers_fault
from cnnexp.nn.losses import METRICS
from cnnexp.runs import rebuild
from cnnexp.runs.archives import place_of
from cnnexp.runs.checksums import WEIGHTS
from cnnexp.runs.fingerprint import PATHS
from cnnexp.runs.plugins import load_plugins
from cnnexp.runs.policy import CheckpointPolicy
from cnnexp.runs.reading import load_run
from cnnexp.train import OPTIMIZERS
from cnnexp.train.batches import default_batch_size


def check(cfg: DictConfig, search: bool = False) -> Plain:
    """Return a composed config as a plain dictionary, checked and with all defaults filled in.

    Parameters
    ----------
    cfg : DictConfig
        The config as Hydra composed it.
    search : bool
        Whether it belongs to a search, which chooses by the results.

    Raises
    ------
    ConfigError
        With all faults.
    """
    return check_plain(plain(cfg), search)


def check_plain(config: Plain, search: bool = False) -> Plain:
    """Import the plugins that a plain config names, check it, and return it; see `check`."""
    load_plugins(_plugins_of(config))
    return check_settings(config, search)


def _plugins_of(config: Plain) -> list[str]:
    """Return the modules that the user names."""
    names = config.get("plugins") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError([f"plugins must be a list of modules. Got {names!r}."])
    return names


def check_settings(config: Plain, search: bool = False) -> Plain:
    """Check a plain config whose plugins are imported, and return it; see `check`."""
    faults: list[str] = []
    check_options([Config], config, "", faults)
    check_options([CheckpointPolicy], config["checkpoint"], "checkpoint.", faults)
    check_options([SweepConfig], config["sweep"], "sweep.", faults)
    _check_impl(config, faults)
    for group in ("optimizer", "schedule", "loss"):
        _check_group(config, group, faults)
    faults += [_no_metric(name) for name in config["metrics"] if name not in METRICS]
    if not faults and config["sweep"]["objective"] is None:
        config["sweep"]["objective"] = f"validation_{chosen_figure(config)}"
    if not faults:
        check_training(config, search, faults)
    images = check_data(config, faults)
    before = len(faults)
    check_options([ModelConfig], config["model"], "model.", faults)
    check_options([AugmentConfig], config["augment"], "augment.", faults)
    if len(faults) == before:
        check_model(config, images, faults)
        check_augment(config, images, faults)
    if not faults:
        _make_absolute(config)
        faults += weights_faults(config, images.shape if images.outputs else None)
    if faults:
        raise ConfigError(faults)
    measure_error(config, images)
    if config["batch_size"] is None:
        config["batch_size"] = suited_batch_size(config)
    if config["learning_rate"] is None:
        config["learning_rate"] = OPTIMIZERS[config["optimizer"]["name"]].default_learning_rate
    config["sweep"]["points"] = None  # this is one of them
    return config


def _make_absolute(config: Plain) -> None:
    """Make paths absolute: a run is resumed and read from other folders too."""
    for group, key in (*((config[group], key) for group, key in PATHS), (config, "init_from")):
        if isinstance(group, dict) and group.get(key):
            group[key] = str(Path(group[key]).expanduser().absolute())
    if config["init_from"]:
        config["init_from"] = run_of(config["init_from"])


def plain(cfg: DictConfig) -> Plain:
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


def _no_metric(name: str) -> str:
    """Say that there is no such metric; accuracy is asked for by those who know other programs."""
    if name.lower() in ("acc", "accuracy"):
        return f"metrics: {METRICS.complaint(name)} The accuracy is 1 - error."
    return f"metrics: {unknown(METRICS, name)}"


def _check_group(config: Plain, group: str, faults: list[str]) -> list[Any]:
    """Check that a group names a row of its table, and make what takes the options of that."""
    found = config.get(group)
    if found is not None and not isinstance(found, dict):
        faults.append(f"{group}: must hold settings, as name: NAME. Got {found!r:.60}.")
        config[group] = {"name": None}
        return []
    config[group] = {"name": None} | (found or {})
    name = config[group]["name"]
    if name not in TABLES[group]:
        faults.append(f"{group}.name: {unknown(TABLES[group], name)}")
        return []
    values = {key: value for key, value in config[group].items() if key != "name"}
    made = check_options(classes_of(group, name), values, f"{group}.", faults)
    config[group] |= values
    return made


def _check_impl(config: Plain, faults: list[str]) -> None:
    """Check the implementation; "auto" becomes the name of the one that it stands for."""
    impl = config["impl"]
    if isinstance(impl, dict) and impl.get("name") == AUTO:
        impl["name"] = automatic()
    _check_group(config, "impl", faults)
    if (name := config["impl"]["name"]) in IMPLEMENTATIONS:
        found = IMPLEMENTATIONS[name]
        workers = workers_fault(found, config["impl"].get("threads", AUTO))
        faults += filter(None, [found.missing(), workers and f"impl.{workers}"])


def check_data(config: Plain, faults: list[str]) -> Images:
    """Check the data group, and say what is known of its images before they are read."""
    made, name = _check_group(config, "data", faults), str(config["data"]["name"])
    if not made:
        return Images(name, None, None)
    source, preparation = made
    shape, targets = source.image_shape(), source.target_shape()
    if config["data"].get("scaling") is None and shape is not None:
        config["data"]["scaling"] = default_scaling(shape)
    try:
        source.check()
        if preparation.split == "official" and not source.has_official_split:
            faults.append(no_official_split(source))
    except DataError as error:
        faults.append(str(error))
    return Images(name, shape, source.class_count(), targets)


def suited_batch_size(config: Plain) -> int:
    """Return a batch size that suits the number of samples, where that is known before reading.

    Few samples make few steps, so these are small; of many samples, larger batches are quicker and
    their steps steadier. `experiments/README.md` shows how error depends on it.

    Examples
    --------
    >>> suited_batch_size({"data": {"name": "digits"}})
    16
    >>> [suited_batch_size({"data": {"name": "mnist", "limit": n}}) for n in (1000, 10_000, None)]
    [16, 64, 128]
    """
    count = rebuild.build_source(config).sample_count() or 0
    if limit := config["data"].get("limit"):
        count = min(count, limit)
    return default_batch_size(count)


def recheck(config: Plain, images: Images) -> None:
    """Check the model against the images that were read; some sources tell only now.

    Raises
    ------
    ConfigError
        With all faults.
    """
    faults: list[str] = []
    check_model(config, images, faults)
    check_augment(config, images, faults)
    faults += doubtful_task(config, images)
    if not faults:
        faults += weights_faults(config, images.shape)
    if faults:
        raise ConfigError(faults)
    measure_error(config, images)


def run_of(path: str) -> str:
    """Return the run that ``init_from`` means: its folder, or the file of weights in it.

    Examples
    --------
    >>> run_of("outputs/first/weights.pkl"), run_of("outputs/first")
    ('outputs/first', 'outputs/first')
    """
    return str(Path(path).parent) if Path(path).name == WEIGHTS else path


def weights_faults(config: Plain, image_shape: tuple[int, ...] | None) -> list[str]:
    """Return why the weights of the run cannot be begun from, before anything is made.

    Parameters
    ----------
    config : dict
        Checked in all other respects.
    image_shape : tuple of int, optional
        Shape of one image, where the data set tells it before it is read. Without it, names and
        shapes are compared when the data are there.
    """
    path = config["init_from"]
    if path is None:
        return []
    if Path(path).is_file() and place_of(path) is None:
        return [f"init_from={path}: is a file. Give the folder of a run, or its {WEIGHTS}."]
    try:
        weights = load_run(path).weights
    except CnnexpError as error:
        return [f"init_from: {error}"]
    if image_shape is None:
        return []
    try:
        rebuild.build_network(config, image_shape, threads=1).load_weights(weights)
    except ShapeError as error:
        return [f"init_from={path}: {error}"]
    return []
