"""Changing functions of modules that are imported already, so that nothing is imported again."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


class Patches:
    """The functions of modules that are imported, and the caches of their results."""

    def __init__(self) -> None:
        gc.collect()
        self._functions: dict[tuple[str, CodeType], list[FunctionType]] = {}
        self._caches: list[Any] = []
        for thing in gc.get_objects():  # their types; `isinstance` wakes lazy objects
            if type(thing) is FunctionType:
                key = thing.__code__.co_filename, thing.__code__
                self._functions.setdefault(key, []).append(thing)
            elif type(thing) is functools._lru_cache_wrapper and _is_ours(thing):
                self._caches.append(thing)

    def apply(self, path: str, code: str) -> bool:
        """Change a module to a new source; False if more than code within functions changes.

        Nothing is changed then.
        """
        file = str(Path(path).resolve())
        before = compile(Path(path).read_text(encoding="utf-8"), file, "exec", dont_inherit=True)
        after = compile(code, file, "exec", dont_inherit=True)
        pairs = list(_changed(before, after))
        if not pairs or any(old is None for old, _ in pairs):
            return False
        found = [(self._functions.get((file, old), []), new) for old, new in pairs]
        try:
            for functions, new in found:
                if not functions:
                    return False
                for function in functions:
                    function.__code__ = new
        except ValueError:  # other variables are shared with the functions around it
            return False
        for cache in self._caches:
            cache.cache_clear()
        return True


def _is_ours(cache: Any) -> bool:
    return str(getattr(cache, "__module__", "")).startswith("cnnexp")


def _changed(old: CodeType, new: CodeType) -> Iterator[tuple[Any, Any]]:
    """Yield the outermost functions that differ; None where anything else does."""
    if old.co_flags & inspect.CO_OPTIMIZED:
        if old != new:
            yield old, new
        return
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    if _without_inner(old) != _without_inner(new) or len(inner[0]) != len(inner[1]):
        yield None, None
        return
    for one, other in zip(*inner, strict=True):
        yield from _changed(one, other)


def _without_inner(code: CodeType) -> tuple[Any, ...]:
    """Return what a module or class executes, without the functions in it."""
    plain = tuple((type(c), c) for c in code.co_consts if not isinstance(c, CodeType))
    return code.co_code, repr(plain), code.co_names
