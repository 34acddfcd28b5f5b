"""What was typed for a setting that is a text stays as it was typed.

To Hydra ``1.10`` is a number, and ``2024_01_01`` as well; it cannot read ``größe``. Where the type
of a setting is a text, or a list of texts, such words are put between quotation marks before Hydra
reads them; inside mappings as well, as in ``sweep.points=[{name: 1.10}]``.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from cnnexp.app.settings.options import SEQUENCES, parts_of
from cnnexp.app.settings.schema import TABLES, Config, classes_of

OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir")
OTHER = re.compile(r"[\\()$]")  # functions, interpolations, marks that are none
PARTS = re.compile(r"""('[^']*'|"[^"]*"|[\[\]{},:])""")  # texts in quotation marks, and marks
POINTS = "sweep.points"  # whose mappings have whole settings as keys
LISTED = {
    "model.layers": ("cnnexp.nn.layer", "LAYERS"),
    "augment.transforms": ("cnnexp.data.augmentation", "AUGMENTATIONS"),
    "callbacks": ("cnnexp.train", "CALLBACKS"),
    "trackers": ("cnnexp.trackers", "TRACKERS"),
}  # lists of things that are named, with their options, and the tables that have them
UNREADABLE = re.compile(r"[^\w\s/\\+.$%*@?|:-]|[^\x00-\x7f]")  # for Hydra, without quotation marks
ODD = re.compile(r"[-+.\d].*|true|false|inf|nan", re.IGNORECASE)  # may be more than a text


def as_typed(word: str) -> str:
    """Return an override with quotation marks where Hydra would change a text.

    Examples
    --------
    >>> print(as_typed("name=1e-3,1e-4"), as_typed("tags=[1.10,best]"), as_typed("ema=1e-3"))
    name='1e-3','1e-4' tags=['1.10',best] ema=1e-3
    >>> print(as_typed("data.dir=größe"), as_typed("note=R&D"))
    data.dir='größe' note='R&D'
    """
    key, equals, value = word.partition("=")
    if not equals or key.startswith("~") or OTHER.search(value):
        return word
    try:
        typed = [_quoted(element, path) for element, path in _elements(key.lstrip("+"), value)]
    except ValueError:
        return word
    return f"{key}={''.join(typed)}"


def _elements(key: str, value: str) -> Iterator[tuple[str, str | None]]:
    """Yield the parts of a value, each with its setting; marks and keys of mappings have none.

    Raises
    ------
    ValueError
        If it is not written as Hydra's grammar wants it, or a text has a colon in it.

    Examples
    --------
    >>> [*_elements("tags", "[a,b]")]
    [('[', None), ('a', 'tags'), (',', None), ('b', 'tags'), (']', None)]
    >>> [*_elements("sweep.points", "[{name: a}]")][2:5]
    [('name', None), (':', None), (' a', 'name')]
    """
    brackets: list[tuple[str, str | None]] = []  # that are open, with the setting around each
    setting: str | None = key  # of the next part; None where the key of a mapping is expected
    name = ""
    for part in filter(None, PARTS.split(value)):
        if part in "[{":
            brackets.append((part, setting))
            setting = setting if part == "[" else None
        elif part in "]}" and brackets:
            setting = brackets.pop()[1]
        elif part == "," and brackets and brackets[-1][0] == "{":
            setting = None
        elif part == ":" and setting is None:
            setting = _inside(brackets[-1][1], name)
        elif part in "]}:":
            raise ValueError(value)
        elif part != ",":
            name = part.strip()
            yield part, setting
            continue
        yield part, None


def _inside(key: str | None, name: str) -> str:
    """Return the setting that a name means in a mapping."""
    return name if key == POINTS else f"{key}.{name}"


def _quoted(element: str, key: str | None) -> str:
    """Put a text between quotation marks if Hydra would read something else."""
    text = element.strip()
    if key is not None and UNREADABLE.search(text) and text[0] not in "'\"" and is_text(key):
        return element.replace(text, quoted(text))
    if key is None or not ODD.fullmatch(text):
        return element
    try:
        read = _parser().parse_rule(text, "primitive")
    except HydraException:  # which has its own message
        return element
    return element if str(read) == text or not is_text(key) else element.replace(text, quoted(text))


def quoted(text: str) -> str:
    r"""Return a text as Hydra's grammar reads any text: between quotation marks.

    Examples
    --------
    >>> print(quoted("it's lr=0.1"))
    'it\'s lr=0.1'
    """
    marked = re.sub(r"(\\*)'", r"\1\1\\'", text)
    marked = re.sub(r"(\\+)$", r"\1\1", marked)
    return f"'{marked}'"


@functools.cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def is_text(key: str) -> bool:
    """Say whether a setting is a text, or a list of texts.

    Examples
    --------
    >>> [is_text(key) for key in ("name", "tags", "data.dir", "epochs", "best_weights")]
    [True, True, True, False, False]
    """
    return key in OF_HYDRA or any(map(_takes_text, _types(key)))


def is_one_text(key: str) -> bool:
    """Say whether a setting is a text, and never a list of texts.

    Examples
    --------
    >>> [is_one_text(key) for key in ("note", "tags", "epochs")]
    [True, False, False]
    """
    return is_text(key) and not any(
        typing.get_origin(part) in SEQUENCES for hint in _types(key) for part in parts_of(hint)
    )


def _types(key: str) -> Iterator[Any]:
    """Yield the types that a setting has in any class."""
    group, _, option = key.partition(".")
    listed = [place for place in LISTED if key.startswith(f"{place}.")]
    if listed:
        module, name = LISTED[listed[0]]
        table = getattr(import_module(module), name)
        for row in table:
            yield _hints(table[row]).get(key.rpartition(".")[2])
    elif not option or "." in option:
        yield _hints(Config).get(key)
    elif group in TABLES:
        for name in TABLES[group]:
            for cls in classes_of(group, name):
                yield _hints(cls).get(option)
    else:
        for part in parts_of(_hints(Config).get(group)):
            yield _hints(part).get(option)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls) if dataclasses.is_dataclass(cls) else {}


def _takes_text(hint: Any) -> bool:
    """Say whether a type is a text, or a list of texts, or null."""
    kinds = [part for part in parts_of(hint) if part is not types.NoneType]
    lists = [part for part in kinds if typing.get_origin(part) in SEQUENCES]
    items = [item for part in lists for item in typing.get_args(part)]
    return bool(kinds) and all(kind is str for kind in [*items, *kinds] if kind not in lists)
