"""Small files that ask for very much, each read in a process of its own.

For every reader a bound of memory is stated. Here files that would pass it, if they were believed,
are made and read, and the most memory that reading took is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown, number

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "measure the memory that hostile files take"
SHOWN = ("file", "bound", "file_bytes", "peak_mb", "seconds", "kept", "outcome")
QUICK = ("npz, a label of 10^10", "pickle, 2,000,000 deep")
MOST_SECONDS = 60.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is tried."""
    parser.add_argument("--only", metavar="TEXT", default="", help="files whose names hold a text")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each file."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("bounds needs Linux, whose count of a process's memory it uses.")
    from experiments.reliability.hostile import FILES

    for name, hostile in FILES.items():
        if chosen.only not in name or (chosen.quick and name not in QUICK):
            continue
        found = tried(name)
        kept = found["outcome"].startswith(("refused", "read"))
        kept = kept and found["peak_mb"] <= hostile.megabytes
        yield {"file": name, "bound": hostile.bound, "most_mb": hostile.megabytes} | {
            **found,
            "kept": kept,
        }


def tried(name: str) -> dict[str, Any]:
    """Make and read a file in a process, and return what it says of that."""
    words = [sys.executable, "-W", "ignore", "-m", "experiments.reliability.hostile", name]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [*words, folder],
                capture_output=True,
                text=True,
                timeout=MOST_SECONDS,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                cwd=Path(__file__).parents[2],
            )
        except subprocess.TimeoutExpired:
            return {"peak_mb": 0.0, "seconds": MOST_SECONDS, "outcome": "did not end"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"peak_mb": 0.0, "outcome": f"died: {last}"}
    found: dict[str, Any] = json.loads(done.stdout)
    found["outcome"] = " ".join(found["outcome"].split())[:300]
    return found


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    cells = [
        [row.file, row.bound, f"{row.file_bytes:,.0f}" if row.file_bytes else "",
         f"{row.peak_mb:,.0f} of {row.most_mb:,.0f}", number(row.seconds),
         row.outcome.partition(":")[0]]
        for row in frame.itertuples()
    ]  # fmt: skip
    within = int(frame["kept"].sum())
    header = ["file", "bound of its reader", "bytes", "memory [MB]", "seconds", "outcome"]
    return (
        "## Files that ask for much\n\n"
        f"Each file was made and read in a process of its own. {within} of {len(frame)} stayed"
        " within the limit of memory of their reader. The column has the most memory that reading"
        " took, beyond that of the process with all modules imported, and the limit.\n\n"
        f"{markdown(header, cells)}"
    )
