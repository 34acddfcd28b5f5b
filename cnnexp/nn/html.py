"""Tables for notebooks: HTML with no style but alignment, so that any theme suits it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

LONGEST = 300  # characters of a cell, which may come from a stranger's file

__all__ = ["cell", "escape", "table"]


def cell(text: str) -> str:
    """Return text as HTML in which nothing is markup, not longer than a cell should be.

    Examples
    --------
    >>> cell("<b>")
    '&lt;b&gt;'
    """
    return escape(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def table(rows: Sequence[Sequence[str]], left: int = 1, head: bool = True) -> str:
    """Return rows of text as a table, `left` columns to the left and the others to the right.

    Parameters
    ----------
    rows : sequence of sequences of str
        Spaces at the beginning of a cell are kept.
    left : int
        How many columns hold words.
    head : bool
        Whether the first row names the columns.
    """
    lines = []
    for k, row in enumerate(rows):
        tag = "th" if head and k == 0 else "td"
        cells = [
            f'<{tag} style="text-align:{"left" if j < left else "right"};white-space:pre">'
            f"{cell(text)}</{tag}>"
            for j, text in enumerate(row)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
