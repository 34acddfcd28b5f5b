"""``cnnexp show RUN``: everything about one run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cnnexp.app.defaults import default_settings
from cnnexp.app.outputs import telling
from cnnexp.errors import CnnexpError, RunError
from cnnexp.report.summary import Section, sections
from cnnexp.runs.plugins import load_plugins
from cnnexp.runs.reading import Run, flat_row, load_run, refuse_folder_of_runs

EPILOG = """\
examples
  python -m cnnexp show outputs/2026-01-31/12-00-00
  python -m cnnexp show RUN --config       every setting as well
  python -m cnnexp show RUN --json         run.json, with a status that is true
  python -m cnnexp show RUN --plot run.png curves, and diagnostics where there are any
"""


def main(words: list[str]) -> int:
    """Show a run."""
    parser = argparse.ArgumentParser(
        prog="cnnexp show",
        description="Show one run: how it ended, its settings, curves, results and times.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--config", action="store_true", help="list every setting")
    parser.add_argument("--json", action="store_true", help="print run.json")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw it as well: .png, .svg or .pdf"
    )
    given = parser.parse_args(words)
    run = _load(given.run)
    if given.plot is not None:
        _draw(run, given.plot)
    if given.json:
        print(json.dumps(run.record, indent=1, ensure_ascii=False))
        return 0
    _import_plugins(run)
    _print(sections(run, default_settings(run.record["choices"]), given.config))
    return 0


def _draw(run: Run, path: Path) -> None:
    """Write the picture of a run."""
    from cnnexp.report.plots import check_ending, picture_of, save_plot
    from cnnexp.report.table import Comparison
    from cnnexp.runs.reading import load_runs

    check_ending(path)
    with telling(path):
        save_plot(path, picture_of(Comparison(load_runs(run.path))), str(run.path))


def _load(path: Path) -> Run:
    """Load a run, or say what is wrong with it."""
    if not path.is_dir():
        raise RunError(f"{path}: there is no such folder.")
    refuse_folder_of_runs(path)
    row = flat_row(str(path))
    if row["status"] == "damaged":
        raise RunError(row["reason"])
    return load_run(path)


def _import_plugins(run: Run) -> None:
    """Import what the run imported, so that its layers are known; without it less is shown."""
    try:
        load_plugins(run.config.get("plugins") or [])
    except CnnexpError as error:
        print(f"warning: {error}", file=sys.stderr)


def _print(found: list[Section]) -> None:
    """Print sections under their headings."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for k, section in enumerate(found):
        if k:
            console.print()
        if section.title:
            console.print(Text(section.title, style="bold"))
        for line in section.lines:
            console.print(line if isinstance(line, Text) else Text(line))
