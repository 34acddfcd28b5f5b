"""The source files of the user's modules: what a run with plugins depends on beside its config."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from cnnexp.errors import CnnexpError
from cnnexp.runs.files import checksum, read_bytes

LARGEST_SOURCE = 1 << 24
INSTALLED = {
    os.path.realpath(path)
    for path in (
        *(sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    )
}


class Source(TypedDict):
    """The source file of a module."""

    name: str
    path: str
    checksum: str


class Signed(TypedDict):
    """The sources of a run's modules, with the signature of the user who made it."""

    modules: list[Source]
    signature: str


def sources_of(modules: Iterable[str]) -> tuple[Source, ...] | None:
    """Return name, source file and checksum of imported modules and of what belongs to them.

    That is the packages around them and the modules beside them that they import, and so on.

    Returns
    -------
    tuple of Source or None
        None where one of the modules has no source file that can be read.
    """
    found: dict[str, Source] = {}
    waiting = [(name, _file_of(name), True) for name in modules]
    while waiting:
        name, path, needed = waiting.pop()
        if name in found:
            continue
        content = None if path is None else _content_of(path)
        if path is None or content is None:
            if needed:
                return None
            continue
        found[name] = {"name": name, "path": str(path), "checksum": checksum(content)}
        package = name.rpartition(".")[0]
        if package and (around := _file_of(package)) is not None:  # else without __init__.py
            waiting.append((package, around, needed))
        root = path.parents[name.count(".") + (path.name == "__init__.py")]
        others = (
            (other, _file_below(root, other, name)) for other in _imported(name, path, content)
        )
        waiting += [(other, file, False) for other, file in others if file is not None]
    return tuple(found[name] for name in sorted(found))


def _file_of(name: str) -> Path | None:
    """Return the source file of an imported module."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file).resolve() if file else None


def _imported(name: str, path: Path, content: bytes) -> Iterator[str]:
    """Yield the names of modules that a source file may import, also within functions."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code, which is only looked at
            nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            around = [".".join(parts)] if node.level else []
            module = ".".join(filter(None, [*around, node.module]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _file_below(root: Path, name: str, importer: str) -> Path | None:
    """Return the file of a module in a folder; of installed packages only the importer's own."""
    top = name.partition(".")[0]
    if top == "cnnexp":  # beside it in a clone
        return None
    if top != importer.partition(".")[0] and os.path.realpath(root) in INSTALLED:
        return None
    place = root.joinpath(*name.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def changed(recorded: Signed | None) -> list[str]:
    """Return the names of imported modules whose source is not the one that a run recorded."""
    return [
        source["name"]
        for source in (recorded["modules"] if recorded else ())
        if (path := _file_of(source["name"])) and checksum_of(path) != source["checksum"]
    ]


def checksum_of(path: Path) -> str | None:
    """Return the checksum of a source file, or None if it cannot be read."""
    content = _content_of(path)
    return None if content is None else checksum(content)


def _content_of(path: Path) -> bytes | None:
    try:
        return read_bytes(path, LARGEST_SOURCE)
    except (OSError, CnnexpError):
        return None
