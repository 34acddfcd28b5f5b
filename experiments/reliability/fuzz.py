"""Damaged and hostile inputs for every reader, in processes with limits.

Each reader gets inputs that are made from small right ones and from past failures: bits flipped,
parts lost, doubled, put in, values exchanged. A process has 5 s of processor time and 1 GiB of
memory for an input; if it dies, the input is kept and the trial goes on behind it. Most inputs go
to the function that reads them, one in some hundreds through a whole command. The same seed makes
the same inputs.

``--engine atheris`` lets coverage choose the inputs of those readers that only compute; it needs
``pip install atheris``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.page import markdown

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "give damaged and hostile inputs to every reader"
SHOWN = ("reader", "engine", "inputs", "refused", "read", "other_errors", "crashes", "too_slow",
         "too_much_memory", "median_ms", "largest_ms", "peak_mb", "cpu_seconds")  # fmt: skip
FAULTS = ("other_errors", "crashes", "too_slow", "too_much_memory")
INPUTS, QUICK_INPUTS = 100_000, 20
MEMORY = Path("/dev/shm")  # files there are in memory


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what is tried."""
    parser.add_argument("--inputs", type=int, help=f"of each reader; {INPUTS:,} by default")
    parser.add_argument("--readers", type=lambda text: text.split(","), metavar="A,B")
    parser.add_argument("--jobs", type=int, default=2, help="readers at a time; 2 by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of inputs that went wrong")


def measure(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for each reader, and print what went wrong."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("fuzz needs Linux, whose limits of a process it uses.")
    from tests.fuzz import trial

    known = trial.names_of(engine=chosen.engine)
    if not known:
        raise SystemExit("--engine atheris needs: pip install atheris")
    names = chosen.readers or known
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no reader {', '.join(unknown)}. Readers: {', '.join(known)}")
    inputs = chosen.inputs or (QUICK_INPUTS if chosen.quick else INPUTS)
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder, ThreadPoolExecutor(chosen.jobs) as pool:

        def one(name: str) -> Any:
            root = Path(folder, name)
            return trial.trial(root, [name], inputs, chosen.seed, chosen.engine)[0]

        for found in pool.map(one, names):
            for fault in found.faults:
                print(f"{fault['reader']}: {fault['error']}\n{fault['where']}")
                _keep(Path(fault["input"]), chosen.keep)
            yield found.row(chosen.engine) | {"seed": chosen.seed}


def _keep(path: Path, folder: Path | None) -> None:
    """Copy an input that went wrong to where it is wanted."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())


def section(frame: pd.DataFrame) -> str:
    """Return the part of the page."""
    faults = int(frame[list(FAULTS)].to_numpy().sum())
    total, minutes = int(frame["inputs"].sum()), frame["cpu_seconds"].sum() / 60
    cells = [
        [f"`{row.reader}`", row.engine, *(f"{n:,}" for n in (row.inputs, row.refused, row.read)),
         sum(getattr(row, name) for name in FAULTS), f"{row.median_ms:.2f}",
         f"{row.largest_ms:,.0f}", f"{row.peak_mb:,.0f}"]
        for row in frame.itertuples()
    ]  # fmt: skip
    header = ["reader", "engine", "inputs", "refused", "read", "faults", "median [ms]"]
    table = markdown([*header, "largest [ms]", "most memory [MB]"], cells)
    return (
        "## Damaged and hostile inputs\n\n"
        f"{total:,} inputs were given to {frame['reader'].nunique()} readers, in"
        f" {minutes:,.0f} minutes of processor time: {faults} faults. A fault is an error outside"
        " the family of `cnnexp.errors`, a message that does not name the file, a crash, more than"
        " 5 s, or more than 1 GiB. Times are wall-clock times, with other work on the machine;"
        f" memory is what an input took beyond what the process had.\n\n{table}"
    )
