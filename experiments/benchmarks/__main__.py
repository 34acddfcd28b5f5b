"""``python -m experiments.benchmarks NAME``: run a benchmark and write its results."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

from cnnexp.engine import IMPLEMENTATIONS
from experiments.benchmarks import NAMES, results
from experiments.benchmarks.machine import has_torch

NOT_IN_ALL = ("kill_and_resume",)  # a test of many minutes rather than a measurement
QUICK_FOLDER = Path("outputs/benchmarks")


def main(words: list[str] | None = None) -> int:
    """Run what was asked for."""
    asked = _parser().parse_args(words)
    if asked.name == "table":
        from experiments.benchmarks import page

        page.write(asked.output or results.FOLDER)
        draw_kept(asked.output or results.FOLDER)
        return 0
    if asked.name != "all":
        run(asked.name, asked)
        return 0
    for name in NAMES:
        if name not in NOT_IN_ALL:
            run(name, _parser().parse_args([name, *_common(asked)]))
    return 0


def run(name: str, asked: argparse.Namespace) -> None:
    """Run one benchmark: print its rows, write them, and draw its picture."""
    module = module_of(name)
    if "torch" in module.NEEDS and not has_torch():
        print(f"{name}: left out, it needs PyTorch: pip install 'cnnexp[peers]'")
        return
    if "playwright" in module.NEEDS and importlib.util.find_spec("playwright") is None:
        print(f"{name}: left out, it needs Playwright and Chromium: pip install playwright")
        return
    if "numba" in module.NEEDS and importlib.util.find_spec("numba") is None:
        print(f"{name}: left out, it needs Numba: pip install 'cnnexp[compiled]'")
        return
    if "cupy" in module.NEEDS and (missing := IMPLEMENTATIONS["cupy"].missing()):
        print(f"{name}: left out. {missing}")
        return
    folder = asked.output or (QUICK_FOLDER if asked.quick else results.FOLDER)
    results.refuse_changes(folder)
    start = time.perf_counter()
    print(f"{name}: {module.SUMMARY}", flush=True)
    rows = []
    for row in module.measure(asked):
        rows.append(row)
        shown = (f"{key}={results.shown(row[key])}" for key in module.SHOWN if key in row)
        print("  " + "  ".join(shown), flush=True)
    path = folder / f"{getattr(module, 'FILE', name)}.csv"
    results.write(path, rows)
    print(f"{name}: {time.perf_counter() - start:.0f} s, wrote {path}")
    if hasattr(module, "draw"):
        module.draw(results.read(path), path.with_suffix(".png"))


def draw_kept(folder: Path) -> None:
    """Draw the pictures of all results that are kept in a folder."""
    for name in NAMES:
        module = module_of(name)
        path = folder / f"{getattr(module, 'FILE', name)}.csv"
        if hasattr(module, "draw") and path.exists():
            module.draw(results.read(path), path.with_suffix(".png"))


def module_of(name: str) -> ModuleType:
    """Return the module of a benchmark."""
    return importlib.import_module(f"experiments.benchmarks.{name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name in NAMES:
        module = module_of(name)
        one = names.add_parser(
            name,
            help=module.SUMMARY.replace("%", "%%"),
            description=str(module.__doc__).replace("%", "%%"),
        )
        _add_common(one)
        module.add_options(one)
    _add_common(names.add_parser("all", help=f"all of these but {', '.join(NOT_IN_ALL)}"))
    table = names.add_parser("table", help="write tables and pictures from the CSV files")
    table.add_argument("--output", type=Path, metavar="FOLDER", help="where the CSV files lie")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--quick", action="store_true", help="only see that it works; its figures mean nothing")
    add("--output", type=Path, metavar="FOLDER", help="of the CSV and the PNG")


def _common(asked: argparse.Namespace) -> list[str]:
    """Return the common options as words."""
    words = ["--quick"] if asked.quick else []
    return [*words, *(["--output", str(asked.output)] if asked.output else [])]


if __name__ == "__main__":
    sys.exit(main())
