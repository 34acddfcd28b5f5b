"""One test over many small cases.

pytest takes some milliseconds for every test, most of them to report it. Where a check takes less,
a test of its own for each case would take longer than all the checks.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import pytest

SHOWN = 10  # cases that fail, of which the message says how

Check = Callable[..., None]


def in_one_test(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Check], Check]:
    """Let a test take all its cases one after the other, and name every one that fails.

    To be used in the place of ``pytest.mark.parametrize``, for tests whose fixtures may be shared
    by the cases.
    """
    keys = (names,) if isinstance(names, str) else names
    known = [_with_name(case, keys) for case in cases]

    def decorate(check: Check) -> Check:
        @functools.wraps(check)
        def test(**fixtures: Any) -> None:
            failed: dict[str, BaseException] = {}
            for name, values in known:
                try:
                    check(**fixtures, **dict(zip(keys, values, strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    failed[name] = error
            if failed:
                raise AssertionError(_said(failed, len(known))) from next(iter(failed.values()))

        signature = inspect.signature(check)
        kept = [p for name, p in signature.parameters.items() if name not in keys]
        test.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return test

    return decorate


def _with_name(case: Any, keys: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the name of a case, which may be a ``pytest.param``, and its values."""
    if hasattr(case, "marks"):
        assert not case.marks, "a case has no marks of its own"
        return case.id or _text(case.values), tuple(case.values)
    values = (case,) if len(keys) == 1 else tuple(case)
    return _text(values), values


def _text(values: Iterable[Any]) -> str:
    return textwrap.shorten(" ".join(map(str, values)), 90)


def _said(failed: dict[str, BaseException], count: int) -> str:
    """Name the cases that failed, with the first line of why."""
    lines = [f"{len(failed)} of {count} cases fail:"]
    for name, error in list(failed.items())[:SHOWN]:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        lines.append(f"  {name}: {type(error).__name__}: {reason.strip()}")
    rest = list(failed)[SHOWN:]
    return "\n".join([*lines, f"  and {', '.join(rest)}"] if rest else lines)
