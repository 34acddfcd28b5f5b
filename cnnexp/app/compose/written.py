"""Settings of Python written as the words that one would type."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from cnnexp.app.compose import grid
from cnnexp.app.compose.texts import POINTS
from cnnexp.app.settings.schema import Config
from cnnexp.errors import OptionError
from cnnexp.runs.policy import GROUPS

NESTED_LISTS = {"model.layers", "augment.transforms", POINTS}
Overrides = str | Sequence[str] | Mapping[str, Any]


def written(overrides: Overrides, settings: Mapping[str, Any], several: bool = False) -> list[str]:
    """Return settings as overrides.

    Parameters
    ----------
    overrides : str, sequence of str, or mapping
        Words as they are typed, or settings by name.
    settings : mapping
        More settings by name.
    several : bool
        Whether a list gives several values to sweep over.

    Raises
    ------
    OptionError
        If a value cannot be written, or a list of values to sweep over is empty.

    Examples
    --------
    >>> written({"optimizer": {"name": "adam", "beta1": 0.8}}, {"data": {"limit": 100}})
    ['optimizer=adam', 'optimizer.beta1=0.8', 'data.limit=100']
    >>> written(["epochs=3"], {"seed": [0, 1], "tags": ["a", "b c"]}, several=True)
    ['epochs=3', 'seed=0,1', "tags=[a,'b c']"]
    """
    if isinstance(overrides, Mapping):
        words = list(_words(overrides, "", several))
    else:
        words = [overrides] if isinstance(overrides, str) else list(overrides)
        for word in words:
            if not isinstance(word, str) or word.startswith("-"):
                raise OptionError(f"overrides are texts such as 'epochs=3'. Got {word!r}.")
    return [*words, *_words(settings, "", several)]


def _words(settings: Mapping[str, Any], before: str, several: bool) -> Iterator[str]:
    """Yield a word for each setting; mappings give a word for each value in them."""
    for key, value in settings.items():
        name = f"{before}{key}"
        if not isinstance(value, Mapping):
            yield f"{name}={_values(name, value) if several else _text(name, value)}"
        elif name in GROUPS and "name" in value:
            rest = {inner: one for inner, one in value.items() if inner != "name"}
            yield from _words({name: value["name"]}, "", several)
            yield from _words(rest, f"{name}.", several)
        else:
            yield from _words(value, f"{name}.", several)


def _values(name: str, value: Any) -> str:
    """Return the values of a list to sweep over; a list for a setting that takes one is a value."""
    choices = _as_list(value)
    if choices is None or (name in _lists() and _as_list((choices or [None])[0]) is None):
        return _text(name, value)
    if not choices:
        raise OptionError(f"{name}: the list is empty. Give the values to sweep over.")
    return ",".join(_text(name, choice) for choice in choices)


def _lists() -> set[str]:
    """Return the settings whose value is a list."""
    hints = typing.get_type_hints(Config)
    return NESTED_LISTS | {key for key, hint in hints.items() if typing.get_origin(hint) is list}


def _as_list(value: Any) -> list[Any] | None:
    """Return what is a list of any kind as one."""
    if isinstance(value, np.ndarray):
        return list(value.tolist()) if value.ndim else None
    return list(value) if isinstance(value, (list, tuple, range)) else None


def _text(name: str, value: Any) -> str:
    """Return one value as it is typed."""
    return grid.written(_plain(name, value))


def _plain(name: str, value: Any) -> Any:
    """Return a value of Python or NumPy as one that YAML knows; its texts stand for themselves."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value).replace("${", "\\${")
    if isinstance(value, Mapping):
        return {_text(name, str(key)): _plain(name, one) for key, one in value.items()}
    if (items := _as_list(value)) is not None:
        return [_plain(name, item) for item in items]
    raise OptionError(
        f"{name}: must be a text, a number, true or false, None, or lists and mappings of these."
        f" Got {value!r:.80}."
    )
