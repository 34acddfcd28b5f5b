"""``python -m experiments.reliability PART``: try a part, and write what was found.

A part is a module of this folder with

- ``SUMMARY``, a line for the help, and ``SHOWN``, the columns that are printed;
- ``add_options(parser)``, its options beside ``--quick`` and ``--output``;
- ``measure(chosen)``, which yields a row at a time;
- ``section(frame)``, its part of the page, from the rows as pandas reads them.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
import time
from pathlib import Path
from types import ModuleType

from experiments.benchmarks import results
from experiments.benchmarks.machine import describe
from experiments.reliability import NAMES

FOLDER = results.FOLDER / "reliability"
QUICK_FOLDER = Path("outputs/reliability")
SAVE_SECONDS = 60  # what a killed run loses at most


def main(words: list[str] | None = None) -> int:
    """Try the part that was asked for, or write the page."""
    words = sys.argv[1:] if words is None else words
    chosen = _parser().parse_args(words)
    if chosen.name == "page":
        from experiments.reliability import page

        page.write(chosen.output or FOLDER)
        return 0
    run(chosen.name, chosen, words)
    return 0


def run(name: str, chosen: argparse.Namespace, words: list[str]) -> None:
    """Try one part: print its rows and write them, also when it is stopped early."""
    module, machine, rows = module_of(name), describe(), []
    command = f"python -m experiments.reliability {shlex.join(words)}"
    folder = chosen.output or (QUICK_FOLDER if chosen.quick else FOLDER)
    results.refuse_changes(folder)
    path, start = folder / f"{name}.csv", time.perf_counter()
    written = start
    try:
        for row in module.measure(chosen):
            rows.append({**row, "command": command, **machine, **row})  # a row may name its own
            cells = (f"{key}={results.shown(row[key])}" for key in module.SHOWN if key in row)
            print("  " + "  ".join(cells), flush=True)
            if time.perf_counter() - written > SAVE_SECONDS:
                results.write(path, rows)
                written = time.perf_counter()
    finally:
        if rows:
            results.write(path, rows)
    print(f"{name}: {time.perf_counter() - start:.0f} s, wrote {path}")


def module_of(name: str) -> ModuleType:
    """Return the module of a part."""
    return importlib.import_module(f"experiments.reliability.{name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.reliability")
    names = parser.add_subparsers(dest="name", required=True, metavar="PART")
    for name in NAMES:
        module = module_of(name)
        one = names.add_parser(
            name,
            help=module.SUMMARY,
            description=str(module.__doc__),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("--quick", action="store_true", help="try little, to see that it works")
        one.add_argument("--output", type=Path, metavar="FOLDER", help="of the CSV file")
        module.add_options(one)
    page = names.add_parser("page", help="write docs/reliability.md from the CSV files")
    page.add_argument("--output", type=Path, metavar="FOLDER", help="where the CSV files lie")
    return parser


if __name__ == "__main__":
    sys.exit(main())
