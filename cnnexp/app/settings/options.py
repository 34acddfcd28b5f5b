"""Checking options against the dataclass that takes them, fault by fault."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cnnexp.errors import CnnexpError, did_you_mean
from cnnexp.registry import Registry
from cnnexp.runs.version1 import new_name

Plain = dict[str, Any]  # settings as they are recorded
MISSING = "???"  # what stands in a composed config for an option that must be given
WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "null",
}
LIST, SEQUENCES = "a list", (list, Sequence)
TYPO = 0.75  # likeness of two names from which one is the other, mistyped
LONGEST = 100  # characters of a value in a message
YES, NO = ("yes", "y", "on", "true", "1"), ("no", "n", "off", "false", "0")


class Range(NamedTuple):
    """What must hold of an option beside its type: a test, and words that follow "must be"."""

    holds: Callable[[Any], bool]
    words: str


def ranged(default: Any, holds: Callable[[Any], bool], words: str) -> Any:
    """Return a field of a dataclass with a range that `check_options` knows."""
    return dataclasses.field(default=default, metadata={"range": Range(holds, words)})


def one_of(default: str, *choices: str) -> Any:
    """Return a field of a dataclass that takes one of several words."""
    return ranged(default, lambda value: value in choices, f"one of {', '.join(choices)}")


AUTO_OR_COUNT = Range(
    lambda value: value == "auto" or (type(value) is int and value >= 1),
    "'auto' or a number of at least 1",
)


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
        Options by name, as a config gives them; they get the types that the fields declare. One
        with a fault gets its default, so that the checks that follow find a value of its type.
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
            kind = "option" if before else "key"
            known = f"{kind.title()}s: {', '.join(fields)}." if fields else "It has no options."
            near = did_you_mean(new_name(key), fields)
            faults.append(f"{before}{key}: no such {kind}.{near} {known}")
    typed: dict[type, dict[str, Any]] = {cls: {} for cls in classes}
    for name, (cls, field) in fields.items():
        if made_before is not None and name in made_before:
            typed[cls][name] = made_before[name]
            continue
        if fault := _check_option(field, _hints(cls)[name], values, before):
            faults.append(fault)
        if name in values:
            typed[cls][name] = values[name]
    if len(faults) > earlier:
        return []
    made = []
    for cls in classes:
        try:
            made.append(cls(**typed[cls]))
        except CnnexpError as error:
            faults.append(f"{before}{error}")
    return made if len(faults) == earlier else []


def _check_option(
    field: dataclasses.Field[Any], hint: Any, values: dict[str, Any], before: str
) -> str:
    """Give an option its type, and return what is wrong with it, if anything is."""
    default, given = default_value(field), values.pop(field.name, MISSING)
    path = f"{before}{field.name}"
    if given == MISSING:
        return f"{path} is missing: it must be {describe(hint)}." if default == MISSING else ""
    values[field.name] = default
    try:
        value = convert(hint, given)
    except (ValueError, OverflowError):  # the latter of 400 digits
        return f"{path} {_must(path.rpartition(': ')[2], hint, given)} Got {shown(given)}."
    allowed: Range | None = field.metadata.get("range")
    if allowed is not None and not allowed.holds(value):
        return f"{path} must be {allowed.words}. Got {shown(given)}."
    values[field.name] = value
    return ""


def default_value(field: dataclasses.Field[Any]) -> Any:
    """Return the default of a field, or MISSING; of a dataclass, its own as a dictionary."""
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return dataclasses.asdict(made) if dataclasses.is_dataclass(made) else made  # type: ignore[arg-type]
    return MISSING if field.default is dataclasses.MISSING else field.default


def _must(path: str, hint: Any, given: Any) -> str:
    """Say what an option must be, which it is not."""
    for part in parts_of(hint):
        if dataclasses.is_dataclass(part):
            inner = ", ".join(f"{path}.{field.name}" for field in dataclasses.fields(part))
            return f"has settings of its own, which are given one by one: {inner}."
        if isinstance(given, list) and typing.get_origin(part) is list:
            return f"must be a list, and each of its items {describe(typing.get_args(part)[0])}."
    example = f", for example {path}=[…]" if describe(hint) == LIST else ""
    return f"must be {describe(hint)}{example}."


def unknown(table: Registry[Any], name: object, own: str | None = None) -> str:
    """Return the message for a name that is not in a table, to which one's own can be added.

    `own` says how, where it is not by plugins.
    """
    said, known, names = table.complaint(name).partition(" Known:")
    hint = needs_plugins(table, str(name)) if own is None else f" {own}"
    return f"{said}{hint}{known}{names}"


def needs_plugins(table: Registry[Any], name: str) -> str:
    """Say how a name of one's own comes into a table, unless it has some, or it is a mere typo."""
    import difflib  # needed by those who err alone

    modules = {str(getattr(table[known], "__module__", "")) for known in table}
    own = any(module.partition(".")[0] != "cnnexp" for module in modules)
    names = [known.lower() for known in table]
    if own or difflib.get_close_matches(name.lower(), names, n=1, cutoff=TYPO):
        return ""
    return " One of your own needs plugins=[MODULE]."


def shown(value: Any) -> str:
    """Return a value as a message shows it: much as it is typed."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def convert(hint: Any, value: Any) -> Any:
    """Return a value as the type that a field declares.

    Text that is a number becomes one, as it comes from an environment variable; a number becomes a
    text or a fraction, where one is asked for. Where several types are allowed, nothing changes but
    whole numbers into fractions. Lists that may be nested are checked by who takes them.

    Raises
    ------
    ValueError
        If it cannot be one.

    Examples
    --------
    >>> convert(float, 1), convert(int, "3"), convert(str, 2026), convert(int | str, "3")
    (1.0, 3, '2026', '3')
    """
    parts = parts_of(hint)
    kinds = [part for part in parts if part is not types.NoneType]
    if hint is Any or (value is None and len(kinds) < len(parts)):
        return value
    if isinstance(value, dict) and any(map(dataclasses.is_dataclass, kinds)):
        return value
    lists = [part for part in kinds if typing.get_origin(part) in SEQUENCES]
    if isinstance(value, list) and lists:
        of_items = hint if len(kinds) > 1 else (*typing.get_args(lists[0]), Any)[0]
        return [convert(of_items, item) for item in value]
    plain = [kind for kind in kinds if kind not in lists]
    if len(plain) == 1 and plain[0] in CONVERSIONS:
        taken, make = CONVERSIONS[plain[0]]
        if type(value) in taken:
            return make(value)
    if type(value) in plain:
        return value
    if type(value) is int and float in plain:
        return float(value)
    raise ValueError


def _truth(value: int | str) -> bool:
    if isinstance(value, str) and value.lower() not in YES + NO:
        raise ValueError
    return value.lower() in YES if isinstance(value, str) else bool(value)


CONVERSIONS: dict[Any, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    int: ((int, str), int),
    float: ((float, int, str), float),
    str: ((str, int, float, bool), str),
    bool: ((bool, int, str), _truth),
}  # which values become one, and how


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Return the types of which a value may be one."""
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if is_union else (hint,)


def describe(hint: Any) -> str:
    """Say in words what a type takes.

    Examples
    --------
    >>> describe(int | str | None)
    'a whole number, a text or null'
    """
    words = [
        LIST if typing.get_origin(p) in SEQUENCES else WORDS.get(p, str(p)) for p in parts_of(hint)
    ]
    if len(words) == 1:
        return words[0]
    if WORDS[float] in words and WORDS[int] in words:
        words.remove(WORDS[int])
    return f"{', '.join(words[:-1])} or {words[-1]}"
