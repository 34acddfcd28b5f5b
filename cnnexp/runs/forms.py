"""What nested values must look like: a small check of what comes out of a foreign file.

A form is a type, a dictionary of forms by key, ``{str: form}`` for any keys, ``[form]`` for a list,
`Maybe` of a form for what may be null or absent, `OneOf` several forms, `NUMBER`, or `COUNT`. Keys
that a form does not name are passed over: a newer version may have written them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, NamedTuple

LARGEST_COUNT = 10**300  # what a float can hold
MAX_DEPTH = 50  # of anything in run.json; a config of ours has 8, blocks within blocks have more


class Maybe(NamedTuple):
    """A form whose value may be null, or absent."""

    form: Any


class OneOf(NamedTuple):
    """Forms of which a value must have one; faults are those of the first."""

    forms: tuple[Any, ...]


class Number(NamedTuple):
    """A number; if `whole`, an integer of at least 0."""

    whole: bool = False


NUMBER, COUNT = Number(), Number(whole=True)
OF_TYPES = {int: COUNT, float: NUMBER, Any: object}
WORDS = {str: "a text", dict: "an object", list: "a list", bool: "true or false"}


def form_of(kind: Any) -> Any:
    """Return the form that a type asks for: of a dataclass, a TypedDict, or what is in these.

    Fields with a default and keys that are not required may be absent. ``metadata={"form": …}`` of
    a field takes the place of its type.

    Examples
    --------
    >>> form_of(dict[str, float | None])
    {<class 'str'>: Maybe(form=Number(whole=False))}
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        forms = {f.name: f.metadata.get("form") or form_of(hints[f.name]) for f in fields}
        given = (dataclasses.MISSING, dataclasses.MISSING)
        absent = {f.name for f in fields if (f.default, f.default_factory) != given}
        return {key: _maybe(form) if key in absent else form for key, form in forms.items()}
    if typing.is_typeddict(kind):
        forms = {k: form_of(v) for k, v in typing.get_type_hints(kind, include_extras=True).items()}
        return forms if kind.__total__ else {key: _maybe(form) for key, form in forms.items()}
    if origin in (types.UnionType, typing.Union, typing.NotRequired):
        (form,) = {part: form_of(part) for part in inner if part is not types.NoneType}.values()
        return _maybe(form)
    if origin is list:
        return [form_of(inner[0])]
    if origin is dict and inner[1] is not Any:
        return {str: form_of(inner[1])}
    return OF_TYPES.get(kind, origin or kind)


def _maybe(form: Any) -> Maybe:
    return form if isinstance(form, Maybe) else Maybe(form)


def fits(value: Any, form: Any) -> bool:
    """Say whether a value has a form.

    Examples
    --------
    >>> fits({"epoch": 3, "more": 1}, {"epoch": COUNT}), fits({"epoch": "3"}, {"epoch": COUNT})
    (True, False)
    """
    return not fault_of(value, form)


def fault_of(value: Any, form: Any, path: str = "") -> str:
    """Return the first thing about a value that is not as its form has it; else an empty text.

    Examples
    --------
    >>> fault_of({"a": [1, "x"]}, {"a": [NUMBER]})
    "a.1 must be a number, and is 'x'"
    >>> fault_of({}, {"a": str, "b": Maybe(str)})
    'a is missing'
    """
    if isinstance(form, Maybe):
        return "" if value is None else fault_of(value, form.form, path)
    if isinstance(form, OneOf):
        faults = [fault_of(value, one, path) for one in form.forms]
        return faults[0] if all(faults) else ""
    if isinstance(form, Number):
        return _number_fault(value, form, path)
    if isinstance(form, list):
        items = list(enumerate(value)) if isinstance(value, (list, tuple)) else None
        return _inner_fault(value, items, "a list", [form[0]] * len(items or ()), path)
    if isinstance(form, dict):
        return _object_fault(value, form, path)
    return "" if isinstance(value, form) else _must(path, WORDS.get(form, form.__name__), value)


def _object_fault(value: Any, form: dict[Any, Any], path: str) -> str:
    """Return the first fault of an object."""
    if not isinstance(value, dict):
        return _must(path, "an object", value)
    if str in form:
        return _inner_fault(value, list(value.items()), "", [form[str]] * len(value), path)
    for key, inner in form.items():
        if key not in value and not isinstance(inner, Maybe):
            return f"{_below(path, key)} is missing"
    items = [(key, value.get(key)) for key in form]
    return _inner_fault(value, items, "", list(form.values()), path)


def _inner_fault(value: Any, items: Any, words: str, forms: list[Any], path: str) -> str:
    """Return the first fault of what is in a value."""
    if items is None:
        return _must(path, words, value)
    faults = (
        fault_of(inner, form, _below(path, key))
        for (key, inner), form in zip(items, forms, strict=True)
    )
    return next(filter(None, faults), "")


def _number_fault(value: Any, form: Number, path: str) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if form.whole:
        whole = number and isinstance(value, int) and 0 <= value < LARGEST_COUNT
        return "" if whole else _must(path, "a whole number of at least 0", value)
    if number and isinstance(value, int) and abs(value) >= LARGEST_COUNT:
        return f"{path} is too large a number"
    return "" if number else _must(path, "a number", value)


def _must(path: str, words: str, value: Any) -> str:
    shown = repr(value) if isinstance(value, (str, int, float, type(None))) else "something else"
    return f"{path or 'it'} must be {words}, and is {shown[:60]}"


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def is_nested_too_deeply(value: Any, most: int = MAX_DEPTH) -> bool:
    """Say whether lists and objects lie in each other more than `most` deep.

    Examples
    --------
    >>> is_nested_too_deeply([[]], most=2), is_nested_too_deeply([[[]]], most=2)
    (False, True)
    """
    level = _inside([value])
    for _ in range(most):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    """Return the lists and objects that are directly in one."""
    inner = value.values() if isinstance(value, dict) else value
    return [part for part in inner if isinstance(part, (dict, list))]
