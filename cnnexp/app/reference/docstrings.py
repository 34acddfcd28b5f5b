"""Docstrings as data: what a thing is, and what each of its options means.

Options are documented once, in the numpydoc section ``Parameters`` (or ``Attributes``) of the
dataclass that takes them. Lists, ``help KEY`` and the reference of settings read them there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import cnnexp

SEE = re.compile(r"^See `([\w.]+)`[;.]?\s*(.*)$", re.DOTALL)
HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)


class Parameter(NamedTuple):
    """What a docstring says of a parameter: its type in words, and its meaning."""

    type: str
    meaning: str


def first_line(thing: Any) -> str:
    """Return the first line of a docstring, without its marks, or an empty text."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("`", "")


def parameters_of(cls: type) -> dict[str, str]:
    """Return the meaning of each parameter of a class, as one line of text.

    ``See `Other` `` stands for what another class says of a parameter of the same name; what
    follows it is kept.

    Examples
    --------
    >>> from cnnexp.train.optimizers import AdamW
    >>> parameters_of(AdamW)["beta1"]
    'Fraction of the running mean of gradients that is kept at each step.'
    """
    return {name: entry.meaning for name, entry in documented(cls).items()}


def documented(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a class and of those it is derived from, by name."""
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__[:-1]):
        for name, entry in _own(base):
            match = SEE.match(entry.meaning)
            if match is None:
                found[name] = entry
                continue
            other = _named(match[1], cls)
            meant = documented(other).get(name) if other is not None and other is not cls else None
            before = meant or found.get(name) or Parameter(entry.type, "")
            more = match[2]
            text = f"{before.meaning} {more[:1].upper()}{more[1:]}".strip()
            found[name] = Parameter(before.type or entry.type, text)
    return found


def _own(cls: type) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters that a class's own docstring describes."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    parts = HEADING.split(text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for section in ("Attributes", "Parameters"):
        for entry in re.split(r"\n(?=\S)", sections.get(section, "").strip("\n")):
            head, _, body = entry.partition("\n")
            names, _, kind = head.partition(" : ")
            meaning = " ".join(body.replace("`", "\0").split()).replace("\0", "`")
            for k, name in enumerate(names.split(", ")):
                if k and (see := SEE.match(meaning)):
                    meaning = f"See `{see[1]}`."  # a remark is on the first of several names
                if name.strip().isidentifier():
                    yield name.strip(), Parameter(kind.strip(), meaning)


def _named(name: str, cls: type) -> Any:
    """Return a class by the name that a docstring uses: of a base's module, or the package's."""
    modules = [*(inspect.getmodule(base) for base in cls.__mro__), cnnexp]
    found = (getattr(module, name, None) for module in modules)
    return next((thing for thing in found if inspect.isclass(thing)), None)
