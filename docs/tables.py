"""Write tables from CSV files into pages: ``python docs/tables.py [PAGE …]``.

A page says where a table goes, and from which file under the project's folder it comes::

    <!-- table: experiments/results/steps.csv columns=step,seconds -->
    <!-- end of table -->

``rows=pass:both,memory:kept`` after the columns keeps the rows that have these values.
Whatever stands between the two lines is replaced. Without names of pages, all of docs and README
are looked at. A test compares the tables on the pages with their files.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<file>\S+?)(?: columns=(?P<columns>\S+))?"
    r"(?: rows=(?P<kept>\S+))? -->\n)"
    r"(?P<rows>.*?)(?P<end><!-- end of table -->)",
    re.DOTALL,
)
FIGURE = re.compile(r"-?[\d,.]+(e-?\d+)?")


def with_tables(content: str) -> str:
    """Return a page with its tables as the files have them; missing files leave it as it is."""

    def filled(match: re.Match[str]) -> str:
        path = ROOT / match["file"]
        rows = table(path, match["columns"], match["kept"]) if path.exists() else match["rows"]
        return f"{match['begin']}{rows}{match['end']}"

    return TABLE.sub(filled, content)


def table(path: Path, columns: str | None = None, kept: str | None = None) -> str:
    """Return a CSV file as a table in Markdown; comment lines that begin with # are left out."""
    wanted = dict(pair.split(":", 1) for pair in kept.split(",")) if kept else {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    names = columns.split(",") if columns else list(rows[0])
    head = [name.replace("_", " ") for name in names]
    cells = [[figure(row[name]) for name in names] for row in rows]
    columns_of_figures = [
        any(column) and all(not cell or FIGURE.fullmatch(cell) for cell in column)
        for column in zip(*cells, strict=True)
    ]
    rule = ["---:" if figures else "---" for figures in columns_of_figures]
    lines = [head, rule, *cells]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"\n{text}\n\n"


def figure(text: str) -> str:
    """Return a cell: a number with a decimal point or an exponent rounded to three figures.

    From 1000 on such a number is whole, with commas; whole numbers get commas from 10,000 on.
    """
    if re.fullmatch(r"[1-9]\d{4,}", text):
        return f"{int(text):,}"
    if not re.fullmatch(r"-?\d+(\.\d+(e[+-]?\d+)?|e[+-]?\d+)", text):
        return text
    value = float(text)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main(names: list[str]) -> None:
    """Fill the tables of some pages, or of all."""
    pages = [Path(name) for name in names] or [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    for page in pages:
        if page.exists():
            page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
