"""Each defect of version 0.1.0 as it was seen, on that version and on this one.

A reproduction is what was typed or called to see a defect, in a process that is stopped after 20
seconds or at 3 GiB of memory. Whether it goes as it should is checked, not typed. Without
``--before`` only this tree is tried::

    python -m experiments.reliability defects --before 2526773
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown
from experiments.reliability.child import HERE, MEMORY, SECONDS, Place, old_tree
from experiments.reliability.reproduced import Happened, Reproduction, found

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "the defects of version 0.1.0, before and after"
SHOWN = ("defect", "what", "before", "after", "mended")
TRAINED = ("epochs=2", "data.limit=60", "checkpoint.every=2", "schedule=constant")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add which commit is the old one, and which defects are tried."""
    parser.add_argument("--before", metavar="COMMIT", help="the commit before they were mended")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="these defects alone")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each reproduction."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        trees = {"after": HERE}
        if chosen.before and not chosen.quick:
            trees = {"before": old_tree(chosen.before, root / "old"), **trees}
        for tree, where in trees.items():
            train(where, root / f"{tree}.run")
        for one in found():
            if (one.quick or not chosen.quick) and one.defect in (chosen.only or [one.defect]):
                yield row(one, trees, root)


def train(tree: Path, folder: Path) -> None:
    """Train the small run that the reproductions change copies of."""
    ended = Place(tree, folder.parent).cnnexp(*TRAINED, f"hydra.run.dir={folder}")
    if not ended.well:
        raise SystemExit(f"no run could be trained with the package in {tree}: {ended.said}")


def row(one: Reproduction, trees: dict[str, Path], root: Path) -> dict[str, Any]:
    """Try one reproduction on each tree."""
    right, result = {}, {"defect": one.defect, "what": one.what}
    for tree, where in trees.items():
        result[tree], right[tree] = attempt(one, where, root / tree, root / f"{tree}.run")
    return {**result, "mended": verdict(right)}


def attempt(one: Reproduction, tree: Path, folder: Path, run: Path) -> Happened:
    """Try one reproduction in a new folder."""
    place = Place(tree, folder)
    try:
        if one.trained:
            shutil.copytree(run, place.run)
        said, right = one.try_it(place)
        return said.replace(str(folder), "…"), right
    finally:
        shutil.rmtree(folder)


def verdict(right: dict[str, bool]) -> str:
    """Say whether a defect is mended, if it was seen before.

    Examples
    --------
    >>> verdict({"before": False, "after": True}), verdict({"before": True, "after": True})
    ('yes', 'right before too')
    >>> verdict({"after": True})
    'right now'
    """
    if not right["after"]:
        return "no"
    if "before" not in right:
        return "right now"
    return "right before too" if right["before"] else "yes"


def section(frame: pd.DataFrame) -> str:
    """Return the table, and how many are mended."""
    mended = (frame["mended"] == "yes").sum()
    cells = [
        [row["defect"], *(str(row.get(name, "")).replace("|", "\\|") for name in SHOWN[1:])]
        for _, row in frame.astype(object).fillna("").iterrows()
    ]
    return (
        "## Defects of version 0.1.0\n\n"
        f"{len(frame)} cases that reproduce defects of that version, tried on it and on this one, "
        f"each in a process that is stopped after {SECONDS:g} s or at {MEMORY >> 30} GiB. {mended} "
        "went wrong before and go right now. A check decides: most ask for exit code 2 with one "
        "message and no traceback.\n\n"
        + markdown(("defect", "what", "before", "after", "mended"), cells)
    )
