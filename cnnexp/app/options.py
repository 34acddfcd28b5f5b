"""Checking options against the dataclass that takes them, fault by fault."""

from __future__ import annotations

import copy
import dataclasses
import functools
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cnnexp.errors import CnnexpError, did_you_mean
from cnnexp.runs.version1 import new_name

WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's fields; working them out takes as long as all other checks."""
    return typing.get_type_hints(cls)


def check_options(
    classes: Sequence[type],
    values: dict[str, Any],
    before: str,
    faults: list[str],
    made_before: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Make one object of each class from the values that are its fields.

    Parameters
    ----------
    classes : sequence of types
        Together they must know every key of `values`; one that is no dataclass has no options.
    values : dict
        Options by name, as a config gives them; they get the types that the fields declare.
    before : str
        What stands before the name of an option in a fault, for example ``optimizer.``.
    faults : list of str
        Every fault is added to it.
    made_before : mapping, optional
        Options that are checked and made already, such as the layers inside a block.

    Returns
    -------
    list
        The objects, or an empty list if there was a fault.
    """
    with_fields = [cls for cls in classes if dataclasses.is_dataclass(cls)]
    fields = {f.name: (cls, f) for cls in with_fields for f in dataclasses.fields(cls)}
    earlier = len(faults)
    for key in values:
        if key not in fields:
            options = f" Options: {', '.join(fields)}." if fields else " It has no options."
            near = did_you_mean(new_name(key), fields)
            faults.append(f"{before}{key}: no such option.{near}{options}")
    given = made_before or {}
    typed: dict[type, dict[str, Any]] = {cls: {} for cls in classes}
    for name, (cls, field) in fields.items():
        if name in given:
            typed[cls][name] = given[name]
            continue
        hint = _hints(cls)[name]
        if name in values:
            try:
                values[name] = typed[cls][name] = convert(hint, values[name])
            except (OmegaConfBaseException, OverflowError):  # the latter of 400 digits
                faults.append(f"{before}{name} must be {describe(hint)}. Got {values[name]!r}.")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{before}{name} is missing: it must be {describe(hint)}.")
    if len(faults) > earlier:
        return []
    made = []
    for cls in classes:
        try:
            made.append(cls(**typed[cls]))
        except CnnexpError as error:
            faults.append(f"{before}{error}")
    return made if len(faults) == earlier else []


def convert(hint: Any, value: Any) -> Any:
    """Return a value as the type that a field declares, by OmegaConf's rules.

    Where the type has sequences among others, such as a pair of numbers, lists pass as they are:
    who takes the option checks them.
    """
    parts = typing.get_args(hint)
    if type(value) is hint or type(value) in parts:
        return value
    plain = [part for part in parts if typing.get_origin(part) is not Sequence]
    if len(plain) < len(parts):
        if isinstance(value, list):
            return [convert(hint, item) for item in value]
        hint = functools.reduce(operator.or_, plain)
    typed = copy.copy(_holder(hint))
    typed.value = value
    return OmegaConf.to_container(typed)["value"]  # type: ignore[call-overload, index]


@functools.cache
def _holder(hint: Any) -> DictConfig:
    """Return a config with one value of a type."""
    holder: DictConfig = OmegaConf.structured(
        dataclasses.make_dataclass("Holder", [("value", hint)])
    )
    return holder


def describe(hint: Any) -> str:
    """Say in words what a type takes.

    Examples
    --------
    >>> describe(int | str | None)
    'a whole number, a text or null'
    """
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        words = [describe(part) for part in typing.get_args(hint)]
        if WORDS[float] in words and WORDS[int] in words:
            words.remove(WORDS[int])
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if typing.get_origin(hint) in (list, Sequence):
        return "a list"
    return WORDS.get(hint, str(hint))
