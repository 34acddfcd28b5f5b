"""At which commit the pictures were drawn that show no CSV file: ``results/pictures.csv``.

A picture that is drawn again and comes out the same has no new commit in git.
"""

from __future__ import annotations

import csv

from experiments.benchmarks import results
from experiments.benchmarks.machine import describe

FILE = results.FOLDER / "pictures.csv"


def note(*pictures: str) -> None:
    """Note that pictures, named by their paths in the project, were drawn by the code of now."""
    rows = noted() | {name: {"picture": name, **describe()} for name in pictures}
    results.write(FILE, [rows[name] for name in sorted(rows)])


def noted() -> dict[str, dict[str, str]]:
    """Return the rows by picture."""
    if not FILE.exists():
        return {}
    with FILE.open(encoding="utf-8", newline="") as file:
        return {row["picture"]: row for row in csv.DictReader(file)}
