"""Hydra's and OmegaConf's errors in the words of this program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import ConfigIndexError, OmegaConfBaseException, ValidationError

from cnnexp.errors import ConfigError, did_you_mean

EXTRAS = {
    ("hydra/launcher", "submitit_slurm"): "slurm",
    ("hydra/launcher", "submitit_local"): "slurm",
    ("hydra/launcher", "ray"): "ray",
    ("hydra/launcher", "joblib"): "joblib",
    ("hydra/sweeper", "optuna"): "search",
}
INDEXED = re.compile(r"^([~+]*[\w./@-]*?)\[(\d+)\]")


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
            f"{error.override}: cannot be read as key=value. Quote values that hold spaces, commas"
            " or brackets, for example 'data.dir=\"my folder\"'."
        )
    text, cause = str(error), error.__cause__
    if match := re.match(r"Could not override '(.+?)'", text):
        return _unknown_key(match[1], compose)
    if match := re.match(r"Error merging override (.+)", text):
        return f"{match[1]}: {_cause(cause)}"
    if match := re.match(r"\s*Ambiguous value for argument '(.+?)'", text):
        key, _, values = match[1].partition("=")
        return (
            f"{match[1]} gives several values to one run. To sweep over them add -m:"
            f" python -m cnnexp -m {match[1]}. For a list write '{key}=[{values}]'."
        )
    if match := re.match(r"Sweep parameters '(.+?)' requires", text):
        return f"{match[1]} is a sweep. Add -m: python -m cnnexp -m '{match[1]}'."
    if match := re.match(r"Override (\S+?) looks like a config group", text):
        return _unknown_key(match[1].lstrip("+").partition("=")[0].partition("@")[0], compose)
    if match := re.match(r"Could not append to config. An item is already at '(.+?)'", text):
        return f"{match[1]} is there already: leave out the plus sign."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] + (f" {_cause(cause)}" if cause else "") if lines else _cause(cause)


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
    return (
        f"{group}={name}: there is no {group} of this name.{did_you_mean(name, options)}{hint}"
        f" Options: {', '.join(options)}."
    )


def _unknown_key(key: str, compose: Callable[[], DictConfig]) -> str:
    """Say that a key is unknown, and which one may be meant."""
    known = sorted(set(_keys(compose(), "")))
    place = key.rpartition(".")[0]
    near = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == place]
    here = f" Keys of {place}: {', '.join(near)}." if place and near else ""
    return f"{key}: no such key.{did_you_mean(key, known)}{here}"


def _keys(node: Any, path: str) -> Iterator[str]:
    """Yield the dotted paths of all keys but Hydra's own."""
    if isinstance(node, DictConfig):
        for key in node:
            if path or key != "hydra":
                here = f"{path}.{key!s}" if path else str(key)
                yield here
                yield from _keys(node._get_node(key), here)
    elif isinstance(node, ListConfig) and not node._is_none() and not node._is_missing():
        for k in range(len(node)):
            yield from _keys(node._get_node(k), f"{path}.{k}")


def _cause(cause: BaseException | None) -> str:
    """Return the first line of what OmegaConf says, in plain words where we know them."""
    if cause is None:
        return "cannot be composed."
    first = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if isinstance(cause, ValidationError):
        if match := re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", first):
            kind = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
            return f"must be {kind.get(match[2], match[2])}. Got '{match[1]}'."
        if match := re.match(
            r"Value '(.*)' of type '.*' is incompatible with type hint '(.*)'", first
        ):
            return f"must be {_hint(match[2])}. Got '{match[1]}'."
        if "not Optional" in first or "Incompatible value 'None'" in first:
            return "must have a value; null is not allowed."
    if isinstance(cause, ConfigIndexError):
        return "there is no such place in the list; places are counted from 0."
    return first


def _hint(hint: str) -> str:
    """Return a type hint in words."""
    words = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
    inner = re.sub(r"^(Optional|Union)\[|\]+$", "", hint).replace("Union[", "")
    parts = [words.get(part.strip(), part.strip()) for part in inner.split(",")]
    return " or ".join(parts)


def _yaml_message(error: yaml.MarkedYAMLError) -> str:
    """Return the place and the kind of a YAML error in one line."""
    mark = error.problem_mark or error.context_mark
    place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"
    return f"{place}: not valid YAML: {error.problem or error.context}."
