"""Results as CSV: one file a benchmark, written whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.runs.files import replace_file
from experiments import provenance
from experiments.benchmarks.machine import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parents[1] / "results"
FIGURES = 5  # significant digits of a number that is not whole

Row = Mapping[str, Any]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as CSV; what was measured stands first, the machine last."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [name for name in names if name not in COLUMNS]
    columns += [name for name in COLUMNS if name in names]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.getvalue().encode())


def refuse_changes(folder: Path) -> None:
    """Refuse to measure into the project's results with code that is not committed."""
    if folder.is_relative_to(FOLDER) and (changed := provenance.changes()):
        raise SystemExit(
            f"error: {', '.join(changed[:3])}: the code has changes that are not committed, and a"
            " figure belongs to a commit. Commit them, or write elsewhere: --output FOLDER."
        )


def read(path: Path) -> pd.DataFrame:
    """Read what `write` wrote."""
    import pandas as pd

    return pd.read_csv(path, dtype={"commit": str})  # 398185e643 is a commit, not a number


def table(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Return some columns of some rows as text, for the screen."""
    cells = [list(columns), *([shown(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cell(value: Any) -> Any:
    return f"{value:.{FIGURES}g}" if isinstance(value, float) else value


def shown(value: Any) -> str:
    """Return a cell as text for the screen."""
    return f"{value:.3g}" if isinstance(value, float) else str("" if value is None else value)
