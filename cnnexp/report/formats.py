"""A table as text: for a terminal, and as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnexp.report.grouping import STD
from cnnexp.report.table import FIGURES, is_missing, is_result
from cnnexp.runs.foreign_text import cell as csv_cell
from cnnexp.runs.foreign_text import json_of, markdown, printable

if TYPE_CHECKING:
    import pandas as pd

LARGEST_WHOLE = 2**53  # beyond it, a float has no digit for each whole number
HEADER_WIDTH = 12  # a longer name stands in two lines
LEFT_OUT_FIRST = (
    "eval_seconds",
    "validation_loss",
    "samples_per_second",
    "test_loss",
    "seconds",
    "epoch",
    "seconds_per_epoch",
)


def text(column: str, value: Any) -> str:
    """Return one cell as people read it.

    Examples
    --------
    >>> text("test_error", 0.0187234), text("seconds", 1234.5), text("seconds", 0.012345)
    ('0.0187', '1,234', '0.0123')
    >>> text("learning_rate", 0.1), text("optimizer.nesterov", True), text("data.limit", 200.0)
    ('0.1', 'true', '200')
    """
    if is_missing(value):
        return ""
    name = column.removesuffix(STD)
    if is_result(name) and isinstance(value, float):
        return f"{value:.4f}" if name.endswith(("error", "loss")) else amount(value)
    value = exact(value)
    if isinstance(value, float):
        return f"{value:g}"
    return printable(value) if isinstance(value, str) else json.dumps(value)


def amount(value: float) -> str:
    """Return seconds, or samples a second, with three figures or all before the point."""
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value >= 1e-4 else f"{value:.1e}"


def exact(value: Any) -> Any:
    """Return a cell as plain Python has it; whole numbers are ints, and an empty cell is None.

    Examples
    --------
    >>> exact(3.0), exact(1e30)
    (3, 1e+30)
    """
    if is_missing(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if whole else value


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV, with all digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_cell(str(name)) for name in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        cells = [exact(value) for value in row]
        cells = [json.dumps(c) if isinstance(c, (bool, list, dict)) else c for c in cells]
        writer.writerow([csv_cell(c) if isinstance(c, str) else c for c in cells])
    return out.getvalue()


def to_json(frame: pd.DataFrame) -> str:
    """Return a table as a JSON list with an object a row; an empty cell is null."""
    rows = [
        {name: _finite(exact(value)) for name, value in zip(frame.columns, row, strict=True)}
        for row in frame.itertuples(index=False, name=None)
    ]
    return f"{json_of(rows)}\n"


def _finite(value: Any) -> Any:
    """Return infinity as text: JSON has no such number."""
    return str(value) if value in (float("inf"), float("-inf")) else value


def to_markdown(frame: pd.DataFrame) -> str:
    """Return a table as Markdown, means and standard deviations joined."""
    names, rows = cells(frame)
    right = [is_numeric(frame, name) for name in names]
    lines = [names, ["---:" if aligned else "---" for aligned in right], *rows]
    return "".join(f"| {' | '.join(markdown(cell) for cell in line)} |\n" for line in lines)


def cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return names of columns and rows of text; a standard deviation stands behind its mean."""
    columns = [str(column) for column in frame]
    names = [c for c in columns if not (c.endswith(STD) and c.removesuffix(STD) in columns)]
    joined = [name for name in names if name + STD in frame]
    rows = []
    for values in frame.itertuples(index=False, name=None):
        row = dict(zip(columns, values, strict=True))
        shown = {name: text(name, row[name]) for name in names}
        for name in joined:
            if not is_missing(row[name + STD]):
                shown[name] += f" ± {text(name, row[name + STD])}"
        rows.append([shown[name] for name in names])
    return names, rows


def header(name: str) -> str:
    r"""Return the name of a column, in two lines if it is long.

    Examples
    --------
    >>> header("seconds_per_epoch")
    'seconds_\nper_epoch'
    """
    if len(name) <= HEADER_WIDTH:
        return name
    breaks = [k + 1 for k, character in enumerate(name[:-1]) if character in "._"]
    if not breaks:
        return name
    middle = min(breaks, key=lambda k: max(k, len(name) - k))
    return f"{name[:middle]}\n{name[middle:]}"


def to_terminal(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the lines of the head, two if a name is long, and those of the rows."""
    names, rows = cells(frame)
    heads = [header(name).split("\n") for name in names]
    tall = max(len(head) for head in heads)
    top = [[head[k - tall] if len(head) >= tall - k else "" for head in heads] for k in range(tall)]
    right = [k for k, name in enumerate(names) if is_numeric(frame, name)]
    lines = aligned([*top, *rows], right)
    return lines[:tall], lines[tall:]


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows as lines, their cells under each other, some columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def fitting(frame: pd.DataFrame, width: int) -> tuple[pd.DataFrame, list[str]]:
    """Return as much of a table as fits a terminal, and the columns that were left out."""
    left_out: list[str] = []
    for name in LEFT_OUT_FIRST:
        if max(map(len, itertools.chain(*to_terminal(frame)))) <= width:
            break
        if name in frame:
            left_out.append(name)
            frame = frame.drop(columns=[name, name + STD], errors="ignore")
    return frame, left_out


def is_numeric(frame: pd.DataFrame, name: str) -> bool:
    """Say whether a column holds numbers, if anything."""
    values: Sequence[Any] = [exact(value) for value in frame[name]]
    return name in FIGURES or all(
        value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
        for value in values
    )
