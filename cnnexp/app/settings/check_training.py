"""Checking how a run learns: what chooses by the validation part, averages, steps, callbacks.

Whatever chooses (early stopping, best weights, a plateau, a callback, a search) does so by the
validation part. There is one by default then, and the test part is evaluated once, at the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.options import Plain, check_options, unknown
from cnnexp.errors import did_you_mean
from cnnexp.nn.losses import LOSSES
from cnnexp.registry import Registry
from cnnexp.trackers import TRACKERS
from cnnexp.train import CALLBACKS, Callback, EarlyStopping

Thing = TypeVar("Thing")

VALIDATION = 0.1  # the part of the training samples that is kept apart where something chooses


def check_training(config: Plain, search: bool, faults: list[str]) -> None:
    """Check the settings of the training, and fill in those that follow from others.

    Parameters
    ----------
    config : dict
        The groups are checked already; `early_stopping`, `callbacks`, `evaluate` and, where
        something chooses by it, `data.validation` are filled in.
    search : bool
        Whether a search chooses by the results.
    faults : list of str
        Every fault is added to it.
    """
    earlier = len(faults)
    _check_early_stopping(config, faults)
    callbacks = check_callbacks(config, faults)
    check_trackers(config, faults)
    if len(faults) > earlier:
        return
    chosen = list(_chosen_by(config, callbacks))
    figures = [name for _, name in chosen] + [config["sweep"]["objective"]] * search
    if any("validation_" in name for name in figures) and not _says_validation(config):
        config["data"]["validation"] = VALIDATION
    faults += [fault for key, name in chosen if (fault := _figure_fault(config, key, name))]
    if config["evaluate"] is None:
        config["evaluate"] = "at_end" if chosen or search else "each_epoch"


def _says_validation(config: Plain) -> bool:
    """Say whether the config names a size of the validation part, be it 0."""
    return config["data"].get("validation") is not None


def _check_early_stopping(config: Plain, faults: list[str]) -> None:
    """Check the options of early stopping and best weights, and name their figure."""
    given, config["early_stopping"] = config["early_stopping"] or {}, None
    if given.get("patience") is not None:
        made = check_options([EarlyStopping], given, "early_stopping.", faults)
        if made:
            metric = made[0].metric or f"validation_{chosen_figure(config)}"
            config["early_stopping"] = {**dataclasses.asdict(made[0]), "metric": metric}
    elif idle := [key for key in ("metric", "min_delta") if given.get(key)]:
        faults.append(
            f"early_stopping.{idle[0]}={given[idle[0]]}: there is no early stopping. It needs"
            " early_stopping.patience, for example 5."
        )
    if isinstance(config["best_weights"], str) and not config["best_weights"].startswith(
        "validation_"
    ):
        faults.append(
            "best_weights must be true, false, or a figure of the validation part, such as"
            f" validation_loss. Got {config['best_weights']!r}."
        )


def check_callbacks(config: Plain, faults: list[str]) -> list[Callback]:
    """Check the list of callbacks, and make them; each becomes a name with all its options."""
    made: list[Callback] = []
    for k, name, given in _entries(config, "callbacks", CALLBACKS, faults):
        made += _check_entry(CALLBACKS[name], f"callbacks.{k} ({name})", given, faults)
        config["callbacks"][k] = {"type": name, **given}
    return made


def check_trackers(config: Plain, faults: list[str]) -> None:
    """Check the list of trackers, and that what they need is installed; options are filled in."""
    for k, name, given in _entries(config, "trackers", TRACKERS, faults):
        cls, path = TRACKERS[name], f"trackers.{k} ({name})"
        if missing := cls.missing():
            faults.append(f"{path}: {missing}")
            continue
        for tracker in _check_entry(cls, path, given, faults):
            filled: Plain = dataclasses.asdict(tracker) if dataclasses.is_dataclass(tracker) else {}
            config["trackers"][k] = {"type": name, **filled}


def _entries(
    config: Plain, key: str, table: Registry[Any], faults: list[str]
) -> Iterator[tuple[int, str, Plain]]:
    """Yield number, name and options of each entry of a list that names rows of a table."""
    for k, entry in enumerate(config[key]):
        options: Plain = {"type": entry} if isinstance(entry, str) else entry
        if not (isinstance(options, dict) and "type" in options):
            faults.append(
                f"{key}.{k} must be a name, or a name with options: {{type: NAME, OPTION:"
                f" VALUE}}. Got {entry!r}."
            )
        elif options["type"] not in table:
            faults.append(f"{key}.{k}: {unknown(table, options['type'])}")
        else:
            yield k, options["type"], {o: value for o, value in options.items() if o != "type"}


def _check_entry(cls: type[Thing], path: str, given: Plain, faults: list[str]) -> list[Thing]:
    """Make an entry's thing from its options, which get their types; none if there is a fault."""
    if dataclasses.is_dataclass(cls):
        return check_options([cls], given, f"{path}: ", faults)
    faults += [f"{path}: {key}: no such option. It has no options." for key in given]
    try:
        return [cls()]
    except TypeError as error:
        faults.append(f"{path}: its class must be a dataclass to have options: {error}.")
        return []


def _chosen_by(config: Plain, callbacks: list[Callback]) -> Iterator[tuple[str, str]]:
    """Yield each setting that chooses, and the figure it chooses by."""
    if config["early_stopping"] is not None:
        yield "early_stopping", config["early_stopping"]["metric"]
    if isinstance(config["best_weights"], str):
        yield "best_weights", config["best_weights"]
    elif config["best_weights"]:
        stopping = config["early_stopping"] or {}
        yield "best_weights", stopping.get("metric") or f"validation_{chosen_figure(config)}"
    if config["schedule"]["name"] == "reduce_on_plateau":
        yield "schedule.metric", str(config["schedule"]["metric"])
    for k, callback in enumerate(callbacks):
        for figure in callback.figures():
            yield f"callbacks.{k}", figure


def chosen_figure(config: Plain) -> str:
    """Return the figure by which is chosen where none is named: the error where there is one."""
    return "error" if "error" in measured(config) else "loss"


def measured(config: Plain) -> list[str]:
    """Return the names of all that is measured of every part."""
    return ["loss", *LOSSES[config["loss"]["name"]].metrics, *config["metrics"]]


def measure_error(config: Plain, images: Images) -> None:
    """Let the error be measured of every classifier, also where the loss suits real values too.

    A classifier learns classes and ends with a softmax.
    """
    last, metrics = config["model"]["layers"][-1], config["metrics"]
    of_classes = images.classes and config["model"].get("target") != "input"
    softmax = "softmax" in (last.get("type"), last.get("activation"))
    suited = LOSSES[config["loss"]["name"]].metrics
    if of_classes and softmax and not suited and "error" not in metrics:
        config["metrics"] = ["error", *metrics]


def _figure_fault(config: Plain, key: str, name: str) -> str | None:
    """Say what is wrong with the figure that a setting chooses by."""
    parts = ["train", "validation"] if config["data"].get("validation") else ["train"]
    known = [f"{part}_{figure}" for part in parts for figure in measured(config)]
    if name in known:
        return None
    if name.startswith("validation_") and len(parts) == 1:
        return (
            f"{key} chooses by {name}, and there is no validation part. Keep some of the training"
            " samples apart: add data.validation=0.1."
        )
    figures = ", ".join(known)
    return f"{key}: no figure is named '{name}'.{did_you_mean(name, known)} Figures: {figures}."
