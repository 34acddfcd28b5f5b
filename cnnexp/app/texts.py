"""What was typed for a setting that is a text stays as it was typed.

To Hydra ``1.10`` is a number, and ``2024_01_01`` as well. Where the type of a setting is a text, or
a list of texts, such words are put between quotation marks before Hydra reads them.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from cnnexp.app.options import SEQUENCES, parts_of
from cnnexp.app.schema import TABLES, Config, classes_of

OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir")
OTHER = re.compile(r"['\"\\(){}$:]")  # quotation marks, functions, mappings, interpolations
ODD = re.compile(r"[-+.\d].*|true|false|inf|nan", re.IGNORECASE)  # may be more than a text


def as_typed(word: str) -> str:
    """Return an override with quotation marks where Hydra would change a text.

    Examples
    --------
    >>> print(as_typed("name=1e-3,1e-4"), as_typed("tags=[1.10,best]"), as_typed("ema=1e-3"))
    name='1e-3','1e-4' tags=['1.10',best] ema=1e-3
    """
    key, equals, value = word.partition("=")
    if not equals or key.startswith("~") or OTHER.search(value):
        return word
    elements = re.split(r"([\[\],])", value)
    quoted = [_quoted(element) for element in elements]
    return f"{key}={''.join(quoted)}" if quoted != elements and is_text(key.lstrip("+")) else word


def _quoted(element: str) -> str:
    """Put an element between quotation marks if Hydra would read something else than a text."""
    text = element.strip()
    if not ODD.fullmatch(text):
        return element
    try:
        read = _parser().parse_rule(text, "primitive")
    except HydraException:  # which has its own message
        return element
    return element if str(read) == text else element.replace(text, f"'{text}'")


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


def _types(key: str) -> Iterator[Any]:
    """Yield the types that a setting has in any class."""
    group, _, option = key.partition(".")
    if not option or "." in option:
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
