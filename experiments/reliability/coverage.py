"""How many lines and branches of the engine, its layers, training and runs the default tests reach.

The default tests run under coverage.py (``pip install cnnexp[reliability]``), with worker processes
and child processes counted too; PyTorch and MNIST should be there, or tests that need them are
skipped::

    CNNEXP_DATA_DIR=DATA python -m experiments.reliability coverage
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown
from experiments.reliability.child import HERE

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "branch coverage of engine, nn, train and runs by the default tests"
SHOWN = ("package", "file", "statements", "branches", "covered", "percent", "missing")
PACKAGES = ("engine", "nn", "train", "runs")
KERNELS = "_kernels.py"
GOAL = 97.0  # percent of statements and branches of a package
QUICK_TESTS = ("tests/engine/test_window.py",)
SETTINGS = """[run]
branch = true
parallel = true
concurrency = thread,multiprocessing
patch = subprocess,_exit
sigterm = true
data_file = {folder}/data
source =
{sources}
[report]
exclude_also =
    if TYPE_CHECKING:
    @abstractmethod
    : \\.\\.\\.$
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how many processes pytest takes."""
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="of pytest")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each package, and one for each of its files below the goal."""
    tests = QUICK_TESTS if chosen.quick else ()
    with tempfile.TemporaryDirectory() as name:
        report = report_of(Path(name), tests, 1 if chosen.quick else chosen.processes)
    for package in PACKAGES:
        files = {p: f["summary"] for p, f in report["files"].items() if f"cnnexp/{package}/" in p}
        total: Counter[str] = sum(map(_counts, files.values()), Counter())
        yield {"package": package, **figures(total)}
        for path, summary in files.items():
            found = {"package": package, "file": Path(path).name, **figures(_counts(summary))}
            if found["percent"] < GOAL:
                lines = report["files"][path]["missing_lines"]
                jumps = report["files"][path]["missing_branches"]
                yield {**found, "missing": missing(lines, jumps)}


def report_of(folder: Path, tests: tuple[str, ...], processes: int) -> dict[str, Any]:
    """Run tests under coverage.py, and return its report; a failed test stops everything."""
    settings = folder / "settings"
    sources = "".join(f"    {HERE / 'cnnexp' / package}\n" for package in PACKAGES)
    settings.write_text(SETTINGS.format(folder=folder, sources=sources))
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes), *tests]
    if _coverage(settings, "run", *pytest):
        raise SystemExit("a test failed, so this is no measurement.")
    if _coverage(settings, "combine", "-q") or _coverage(
        settings, "json", "-q", "-o", str(folder / "report.json")
    ):
        raise SystemExit("coverage.py made no report.")
    found: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
    return found


def _coverage(settings: Path, command: str, *words: str) -> int:
    """Run a command of coverage.py, and return its exit code."""
    given = [sys.executable, "-m", "coverage", command, f"--rcfile={settings}", *words]
    return subprocess.run(given, cwd=HERE, env=os.environ | {"COVERAGE_RCFILE": ""}).returncode


def _counts(summary: Mapping[str, int]) -> Counter[str]:
    names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
    return Counter({name: summary[name] for name in names})


def figures(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the columns of a row.

    Examples
    --------
    >>> figures({"num_statements": 6, "covered_lines": 5, "num_branches": 2, "covered_branches": 1})
    {'statements': 6, 'branches': 2, 'covered': 6, 'percent': 75.0}
    """
    covered = counts["covered_lines"] + counts["covered_branches"]
    all_of_it = counts["num_statements"] + counts["num_branches"]
    return {
        "statements": counts["num_statements"],
        "branches": counts["num_branches"],
        "covered": covered,
        "percent": round(100 * covered / all_of_it, 2) if all_of_it else 100.0,
    }


def missing(lines: list[int], branches: list[list[int]]) -> str:
    """Say which lines, and which jumps between lines that are reached, were not taken.

    Examples
    --------
    >>> missing([7], [[3, 9], [6, 7], [12, -10]])
    '7 3->9 12->exit'
    """
    jumps = [(a, b) for a, b in branches if a not in lines and b not in lines]
    return " ".join([*map(str, lines), *(f"{a}->{b if b > 0 else 'exit'}" for a, b in jumps)])


def section(frame: pd.DataFrame) -> str:
    """Return a table of the packages, and one of the files below the goal."""
    header = ("package", "statements", "branches", "covered", "percent")
    packages, files = frame[frame["file"].isna()], frame[frame["file"].notna()]
    unseen = files["file"].str.endswith(KERNELS)
    packages, files = _without(packages, files[unseen]), files[~unseen]
    text = (
        "## Coverage\n\nStatements and branches that the default tests reach, also in worker "
        "processes and child processes. Files of compiled kernels, which run as machine "
        "code that coverage.py cannot see, are left out. The goal is "
        f"{GOAL:g} % of each package; files below it are listed with their lines (and jumps) "
        "that no default test reaches.\n\n" + _table(packages, header)
    )
    if len(files):
        text += "\n" + _table(files, ("package", "file", "percent", "missing"))
    return text


def _without(packages: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of packages without some of their files."""
    names = ["statements", "branches", "covered"]
    left = packages.copy()
    for package, found in files.groupby("package"):
        row = left["package"] == package
        left.loc[row, names] -= found[names].sum()
        all_of_it = left.loc[row, ["statements", "branches"]].sum(axis=1)
        left.loc[row, "percent"] = (100 * left.loc[row, "covered"] / all_of_it).round(2)
    return left


def _table(frame: pd.DataFrame, names: tuple[str, ...]) -> str:
    rows = frame[list(names)].astype(object).fillna("").itertuples(index=False)
    return markdown(names, [list(row) for row in rows])
