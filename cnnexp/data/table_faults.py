"""What is wrong with a table, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexp.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")


def taken_for_row_numbers(names: list[str]) -> str:
    """Say why columns that are left are no features, if there are any."""
    if not names:
        return ""
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return f" {some(names)} {are} taken for row numbers; data.features=[…] names {them}."


def taken_for_features(path: str, names: list[str]) -> str:
    """Say that columns without names are learnt from, if there are any."""
    if not names:
        return ""
    have, are = ("has", "it is") if len(names) == 1 else ("have", "they are")
    return (
        f"{path}: {some(names)} {have} no name there and no row numbers from 0 or 1 in it, so {are}"
        " learnt from. data.features=[…] names the columns to learn from."
    )


def other_separator(columns: list[str]) -> str:
    """Say what may be wrong where a file seems to have a single column."""
    if len(columns) > 1:
        return ""
    found = next((mark for mark in (";", "\t", "|") if mark in columns[0]), None)
    mark = {None: "…", "\t": "tab"}.get(found, f"'\"{found}\"'")
    return f" Is something else than a comma between them? data.separator={mark}"


def no_numbers(path: str, columns: list[Any], first: pd.Series[Any]) -> str:
    """Say which columns are no numbers, where the first cell is that is none, and what to do."""
    comma = any(DECIMAL_COMMA.fullmatch(str(cell)) for cell in first)
    what = (
        " Numbers need a decimal point, and there are decimal commas: replace them by points"
        if comma
        else " Write them as numbers, for example 0 and 1"
    )
    return (
        f"{path}: these columns are no numbers: {some(columns)}.{first_text(first)}{what}, or name"
        " those to learn from with data.features=[…]."
    )


def first_text(column: pd.Series[Any]) -> str:
    """Say which cell of a column is the first that is no number."""
    row = next((k for k, cell in enumerate(column) if not _is_number(cell)), 0)
    return f" The first is {str(column.iloc[row])[:40]!r}, in row {row + 1} of '{column.name}'."


def _is_number(cell: Any) -> bool:
    """Say whether a float can hold a cell; pandas has no answer for whole numbers too large."""
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def refuse_gaps(frame: pd.DataFrame, path: str) -> None:
    """Raise DataError if a cell is empty."""
    empty = frame.isna()
    if not empty.to_numpy().any():
        return
    column = next(name for name in frame if empty[name].any())
    row = int(np.flatnonzero(empty[column].to_numpy())[0])
    raise DataError(
        f"{path}: column '{column}' has {int(empty[column].sum()):,} empty cells, the first in row"
        f" {row + 1}. Fill them, or leave these rows out."
    )


def some(names: list[Any]) -> str:
    """Return the first names of a list that may be long."""
    shown = [str(name) for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")
