"""The grid of a sweep: every combination of the values that were asked for.

Values come from three places: what is typed (``learning_rate=0.3,0.1``), what a study lists for
its sweeper (``hydra.sweeper.params``), and ``sweep.points``, a list of combinations.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override, ValueType
from omegaconf import DictConfig, OmegaConf

from cnnexp.app.compose.texts import POINTS, as_typed, quoted
from cnnexp.errors import ConfigError

BARE = re.compile(r"[A-Za-z_][\w./-]*")  # a text that needs no quotation marks
WORDS = ("null", "true", "false", "nan", "inf")  # and stand for something else without them


def words_of(cfg: DictConfig) -> list[str]:
    """Return what a composed config varies: values of its sweeper, and what was typed."""
    params = (cfg.hydra.sweeper.get("params") or {}).items()
    typed = [w for w in cfg.hydra.overrides.task if w.lstrip("+").partition("=")[0] != POINTS]
    return [*(as_typed(f"{key}={value}") for key, value in params), *typed]


def expand(cfg: DictConfig, parse: Callable[[list[str]], list[Override]]) -> list[list[str]]:
    """Return the overrides of every point that a composed config asks for.

    Each combination in ``sweep.points`` is taken with each combination of the other values.

    Parameters
    ----------
    cfg : DictConfig
        The config of the sweep.
    parse : callable
        Hydra's parser of overrides.

    Raises
    ------
    ConfigError
        With all faults of ``sweep.points``.
    """
    choices: dict[str, list[str]] = {}
    for override in parse(words_of(cfg)):
        key = override.get_key_element()
        choices[key] = [f"{key}={value}" for value in values_of(override)]
    points: Any = OmegaConf.to_container(cfg.sweep)
    listed = listed_points([{}] if points["points"] is None else points["points"])
    keys = {key.lstrip("+~").partition("@")[0] for key in choices}
    if both := [key for key in dict.fromkeys(k for point in listed for k in point) if key in keys]:
        raise ConfigError(
            [f"{key}: is given by {POINTS} and beside it. Leave one of them out." for key in both]
        )
    return [
        [word for part in parts for word in part]
        for point in listed
        for parts in itertools.product(
            itertools.product(*point.values()), itertools.product(*choices.values())
        )
    ]


def values_of(override: Override) -> list[str]:
    """Return the values of an override as they are written."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if override.is_discrete_sweep():
        return list(override.sweep_string_iterator())
    raise ConfigError(
        [
            f"{override.input_line}: a grid needs single values, and this is a range to search in."
            " Write them out, as key=1,2,3, or search: hydra/sweeper=optuna."
        ]
    )


def listed_points(points: Any) -> list[dict[str, list[str]]]:
    """Return the overrides of each key of each combination in ``sweep.points``.

    Examples
    --------
    >>> listed_points([{"impl": "sg", "learning_rate": [0.3, 0.1]}])
    [{'impl': ['impl=sg'], 'learning_rate': ['learning_rate=0.3', 'learning_rate=0.1']}]
    """
    faults: list[str] = []
    found: list[dict[str, list[str]]] = []
    if not isinstance(points, list):
        raise ConfigError([f"{POINTS} must be a list of settings. Got {points!r:.60}."])
    if not points:
        why = "the list is empty, so there is nothing to train"
        raise ConfigError([f"{POINTS}: {why}. Give combinations, or null."])
    for number, point in enumerate(points):
        if not isinstance(point, dict):
            faults.append(f"{POINTS}.{number} must be settings, as key: value. Got {point!r:.60}.")
            continue
        faults += _faults_in(f"{POINTS}.{number}", point)
        found.append(
            {
                str(key): [f"{key}={written(v)}" for v in (v if isinstance(v, list) else [v])]
                for key, v in point.items()
            }
        )
    if faults:
        raise ConfigError(faults)
    return found


def _faults_in(place: str, point: dict[Any, Any]) -> Iterator[str]:
    """Yield what is wrong with a combination."""
    for key, value in point.items():
        if not re.fullmatch(r"[A-Za-z_][\w./-]*", str(key)):
            yield f"{place}: {key!r} is not the key of a setting."
        elif re.match(r"(hydra|sweep|experiments)\b", str(key)):
            yield f"{place}: {key} belongs to the whole sweep, not to one of its points."
        elif value == []:
            yield f"{place}.{key}: its list is empty. Give the values to sweep over."


def written(value: Any) -> str:
    """Return a value as Hydra's grammar writes it.

    Examples
    --------
    >>> [written(value) for value in (None, True, 0.1, "sg", "two words", [1, {"type": "relu"}])]
    ['null', 'true', '0.1', 'sg', "'two words'", '[1,{type:relu}]']
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{written(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, str) and (not BARE.fullmatch(value) or value.lower() in WORDS):
        return quoted(value)
    return str(value)


def glob_keys(overrides: Sequence[Override]) -> set[str]:
    """Return the keys whose values are given by ``glob(…)``."""
    return {o.get_key_element() for o in overrides if o.value_type is ValueType.GLOB_CHOICE_SWEEP}
