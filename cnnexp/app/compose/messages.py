"""Hydra's and OmegaConf's errors in the words of this program."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

import yaml
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigIndexError,
    ConfigKeyError,
    OmegaConfBaseException,
)

from cnnexp.app.compose.texts import is_one_text
from cnnexp.app.settings.options import needs_plugins
from cnnexp.app.settings.schema import TABLES, option_names
from cnnexp.errors import ConfigError, did_you_mean
from cnnexp.runs.version1 import new_name

EXTRAS = {
    ("hydra/launcher", "submitit_slurm"): "slurm",
    ("hydra/launcher", "submitit_local"): "slurm",
    ("hydra/launcher", "ray"): "ray",
    ("hydra/launcher", "joblib"): "joblib",
    ("hydra/sweeper", "optuna"): "search",
}
INDEXED = re.compile(r"^([~+]*[\w./@-]*?)\[(-?\d+)\]")
MEANT = {
    "lr": "learning_rate",
    "optimizer.lr": "learning_rate",
    "optimizer.learning_rate": "learning_rate",
    "experiment": "experiments",
    "study": "experiments",
    "dataset": "data",
    "network": "model",
    "net": "model",
    "layers": "model.layers",
    "implementation": "impl",
    "batch": "batch_size",
    "bs": "batch_size",
    "threads": "impl.threads",
    "limit": "data.limit",
    "out": "hydra.run.dir",
    "output": "hydra.run.dir",
    "folder": "hydra.run.dir",
    "name": "hydra.run.dir",
}  # what people of other habits type first
MIXED = "Cannot merge DictConfig with ListConfig"  # OmegaConf says it of both directions
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


def dotted(override: str) -> str:
    """Write list places in an override's key with dots, as Hydra's grammar wants them.

    Examples
    --------
    >>> dotted("model.layers[0].filters=[1]")
    'model.layers.0.filters=[1]'
    """
    while match := INDEXED.match(override):
        override = f"{match[1]}.{match[2]}{override[match.end() :]}"
    return override


@contextmanager
def in_our_words(compose: Callable[[], DictConfig]) -> Iterator[None]:
    """Raise errors of composition as ConfigError; `compose` gives the config without overrides."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_yaml_message(error)]) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([translate(error, compose)]) from None


def translate(error: Exception, compose: Callable[[], DictConfig]) -> str:
    """Return one message for an error of composition."""
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return (
            f"'{error.override}' cannot be read as key=value. Quote values that hold spaces,"
            " commas, colons, brackets or letters such as ä, for example 'data.dir=\"my folder\"'."
        )
    text, cause = str(error), error.__cause__ or error.__context__
    if match := re.match(r"Could not override '(.+?)'", text):
        return _unknown_key(match[1], cause, compose)
    if match := re.match(r"Error merging override (.+)", text):
        return f"{match[1]}: {_reason(match[1].partition('=')[0], cause)}"
    if match := re.match(r"In '(.+?)': \w+ raised while composing config:\n", text):
        return f"{match[1]}.yaml: {_in_file(cause, compose)}"
    if match := re.match(r"\s*Ambiguous value for argument '(.+)'", text):
        return _several_values(match[1])
    if match := re.match(r"Sweep parameters '(.+?)' requires", text):
        return f"{match[1]} is a sweep. Add -m: python -m cnnexp -m '{match[1]}'."
    if match := re.match(r"Override (\S+?) looks like a config group", text):
        key = match[1].lstrip("+").partition("=")[0].partition("@")[0]
        return _unknown_key(key, None, compose)
    if match := re.match(r"Multiple values for (\S+?)\.", text):
        return f"{match[1]} is there already: leave out the plus sign, {match[1]}=…"
    if match := re.match(r"Could not append to config. An item is already at '(.+?)'", text):
        return f"{match[1]} is there already: leave out the plus sign."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0]


def _missing(error: MissingConfigException) -> str:
    """Say which option a group does not have."""
    wanted = error.missing_cfg_file or ""
    group, _, name = wanted.rpartition("/")
    if not group or error.options is None:
        lines = str(error).strip().splitlines()
        return lines[0] if lines else f"cannot find '{wanted}'"
    options = list(error.options)
    extra = EXTRAS.get((group, name))
    hint = f" It comes with an extra: pip install 'cnnexp[{extra}]'." if extra else ""
    if group == "augment" and _is_transform(name):
        hint = f" {name} is a transform: give it by 'augment.transforms=[{{type: {name}}}]'."
    if name.endswith((".yaml", ".yml")):
        hint = (
            f" Files of yours are found with --config-dir FOLDER {group}={Path(name).stem}, if they"
            f" lie in FOLDER/{group}."
        )
    if group in TABLES and not hint:
        hint = needs_plugins(TABLES[group], name)
    return (
        f"{group}={name}: there is no such option.{did_you_mean(name, options)}{hint}"
        f" Options of {group}: {', '.join(options)}."
    )


def _is_transform(name: str) -> bool:
    from cnnexp.data.augmentation import AUGMENTATIONS  # slow to load

    return name in AUGMENTATIONS


def _several_values(override: str) -> str:
    """Say how several values, a list, or a decimal comma are written."""
    key, _, values = override.partition("=")
    values = re.sub(r"'([^',]*)'", r"\1", values)  # as it was typed, without our quotation marks
    override = f"{key}={values}"
    text = (
        f"{override} gives several values to one run. To sweep over them add -m:"
        f" python -m cnnexp -m {shlex.quote(override)}."
    )
    if is_one_text(key) and '"' not in values:
        return f"{text} For one text with a comma in it write '{key}=\"{values}\"'."
    if DECIMAL_COMMA.fullmatch(values):
        return f"{text} For a decimal fraction write {key}={values.replace(',', '.')}."
    return f"{text} For a list write '{key}=[{values}]'."


def _in_file(error: Any, compose: Callable[[], DictConfig]) -> str:
    """Say what is wrong in a config file that does not fit the schema."""
    key = str(error.full_key)
    if isinstance(error, (ConfigAttributeError, ConfigKeyError)):
        return _unknown_key(key, error, compose)
    if key:
        return f"{key}: {_reason(key, error)}"
    if str(error).startswith(MIXED):
        return _mixed_up(error)
    return _reason(key, error)


def _mixed_up(error: Exception) -> str:
    """Say where in a file a list stands in the place of settings, or settings in that of a list.

    OmegaConf's error does not say where; the frames that it passed through hold the place.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    found = [f.f_locals.get("self") for f in frames if f.f_code.co_name == "_merge_with"]
    place = found[-1] if found else None
    if isinstance(place, (DictConfig, ListConfig)) and (key := place._get_full_key(None)):
        if isinstance(place, DictConfig):
            return f"{key}: must be settings, as key: value (a mapping), not a list."
        return f"{key}: must be a list, not settings."
    return "must be settings, as key: value (a mapping), not a list, or a list, not settings."


def _unknown_key(key: str, cause: object, compose: Callable[[], DictConfig]) -> str:
    """Say that a key is unknown, and which one may be meant."""
    place, _, last = key.rpartition(".")
    if key in MEANT:
        return f"{key}: no such key. Did you mean '{MEANT[key]}'?"
    if place in TABLES and place != "impl" and (choice := _name_in(cause)) in TABLES[place]:
        return _unknown_option(place, last, choice)
    cfg = compose()
    known = sorted(set(_keys(cfg.hydra, "hydra") if key.startswith("hydra.") else _keys(cfg, "")))
    if (now := new_name(key)) != key and now in known:
        return f"{key}: no such key. Did you mean '{now}'?"
    near = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == place]
    if key in known:
        return f"{key}: the chosen configs do not have it. Add it with a plus sign: +{key}=…"
    if place and near:
        hint = did_you_mean(last, near).replace("'", f"'{place}.", 1)
        return f"{key}: no such key.{hint} Keys of {place}: {', '.join(near)}."
    same = [name for name in known if name.rpartition(".")[2] == key]
    hint = f" Did you mean '{same[0]}'?" if same else did_you_mean(key, known)
    hint = hint or f" Keys: {', '.join(name for name in known if '.' not in name)}."
    return f"{key}: no such key.{hint}"


def _name_in(cause: object) -> str:
    """Return the name of the group in which OmegaConf did not find a key."""
    group = getattr(cause, "parent_node", None)
    found: Any = OmegaConf.to_container(group) if isinstance(group, DictConfig) else {}
    return str(found.get("name"))


def _unknown_option(group: str, option: str, choice: str) -> str:
    """Say that the chosen member of a group has no such option, and which others have it."""
    own = option_names(group, choice)
    having = sorted(name for name in TABLES[group] if option in option_names(group, name))
    others = [f"{group}={name}" for name in having]
    has = f" It is an option of {', '.join(others)}." if others else ""
    hint = did_you_mean(option, own) if not others else ""
    options = f"Its options: {', '.join(own)}." if own else "It has no options."
    return f"{group}.{option}: {group}={choice} has no such option.{hint}{has} {options}"


def _keys(node: Any, path: str) -> Iterator[str]:
    """Yield the dotted paths of all keys but Hydra's own."""
    if isinstance(node, DictConfig):
        for key in node:
            if (path or key != "hydra") and not str(key).startswith("_"):
                here = f"{path}.{key!s}" if path else str(key)
                yield here
                yield from _keys(node._get_node(key), here)
    elif isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        for k in range(len(node)):
            yield from _keys(node._get_node(k), f"{path}.{k}")


def _reason(key: str, cause: object) -> str:
    """Return what OmegaConf says of a place that a value cannot be put into, or of Hydra's keys."""
    if isinstance(cause, ConfigIndexError):
        return _no_place(cause)
    first = (str(cause).strip().splitlines() or ["cannot be composed."])[0]
    if "not Optional" in first:
        return "must have a value; null is not allowed."
    if first == MIXED and isinstance(getattr(cause, "parent_node", None), DictConfig):
        return "must be settings, as key: value (a mapping), not a list."
    if first == MIXED or "is not a ListConfig" in first:
        return f"must be a list, for example {key}=[…]."
    return first


def _yaml_message(error: yaml.MarkedYAMLError) -> str:
    """Return the place and the kind of a YAML error in one line."""
    mark = error.problem_mark or error.context_mark
    place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"
    return f"{place}: not valid YAML: {error.problem or error.context}."


def _no_place(error: ConfigIndexError) -> str:
    """Say which places a list has; of an empty one, how it is filled."""
    key = str(error.full_key).rpartition("[")[0]
    size = len(error.parent_node) if isinstance(error.parent_node, ListConfig) else 0
    if size:
        return f"there is no such place in the list; it has {size}, counted from 0."
    give = f"a whole list: '{key}=[{{type: NAME}}]'."
    preset = "Choose a preset, for example augment=affine, or give" if "augment" in key else "Give"
    return f"there is no such place: {key} is empty. {preset} {give}"
