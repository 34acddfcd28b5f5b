"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Cells = Sequence[Sequence[Any]]


def markdown(header: Sequence[str], cells: Cells) -> str:
    """Return a Markdown table; the first column stands to the left."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, rule, *cells]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def number(value: float) -> str:
    """Return a figure with three digits that mean something.

    Examples
    --------
    >>> [number(value) for value in (0.01234, 1.5, 21.26, 1234.5)]
    ['0.0123', '1.50', '21.3', '1,234']
    """
    if value != value:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    for limit, digits in ((10, 1), (1, 2), (0.1, 3)):
        if abs(value) >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.3g}"
