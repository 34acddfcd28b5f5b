"""``cnnexp compare PATH…``: a table of runs; as a file, a picture, or a page as well."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.app.arguments import parser_of
from cnnexp.app.named_run import named_run
from cnnexp.app.screen import say, telling
from cnnexp.app.text_formats import (
    add_text_formats,
    check_files,
    check_text_formats,
    is_shown,
    parsed,
    write_texts,
)
from cnnexp.errors import require
from cnnexp.report import formats, grouping, page, plots, selection, sentences, table
from cnnexp.report.histories import parse_target
from cnnexp.runs.foreign_text import printable

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = """\
Show runs side by side: what differs among them first, then results and times.
A run is a folder with a run.json; runs are found at any depth below each PATH.
"""
EPILOG = """\
columns
  groups under their names (model, impl, data, optimizer, schedule), settings under their dotted
  paths (learning_rate, data.limit, model.layers.0.filters), results as epochs.csv names them
  (test_error, test_loss), and seconds_per_epoch, samples_per_second, seconds, all of training alone

examples
  python -m cnnexp compare outputs
  python -m cnnexp compare outputs --sort test_error --where 'impl == "sg" and data.limit == 200'
  python -m cnnexp compare SWEEP --group-by learning_rate        mean and spread over seeds
  python -m cnnexp compare SWEEP --target error=0.02 --sort seconds_to_target
  python -m cnnexp compare SWEEP --columns run,learning_rate,test_error --csv table.csv
  python -m cnnexp compare SWEEP --plot curves.png --html page.html
"""


def main(words: list[str]) -> int:
    """Compare runs."""
    given = parsed(_parser(), words)
    target = parse_target(given.target) if given.target else None
    _check_outputs(given)
    frame = table.read(given.paths)
    if target is not None:
        frame = table.with_target(frame, *target)
    for condition in given.where or ():
        frame = selection.where(frame, condition)
    if given.sort and not given.group_by:
        frame = selection.ordered(frame, given.sort)
    comparison = table.Comparison(frame)
    chosen = _chosen(comparison, given)
    write_texts(chosen, given)
    shown = _for_people(comparison, chosen, given)
    if given.plot or given.html:
        _write_pictures(comparison, shown, given, target)
    if not is_shown(given):
        notes = grouping.notes(comparison, given.group_by, shown) if given.group_by else []
        _print(comparison, shown, notes, narrow=not given.columns)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("compare", EPILOG, DESCRIPTION)
    add = parser.add_argument
    add(
        "paths",
        nargs="*",
        type=named_run,
        default=[Path("outputs")],
        metavar="PATH",
        help="folders, or runs as show takes them; default: outputs",
    )
    for option, metavar, words in (
        ("--sort", "COLUMN", "order; -COLUMN: from the largest; a,b: both"),
        ("--group-by", "COLUMN", "a row for each value; a,b: of both"),
        ("--columns", "A,B,…", "these columns, in this order; those of --group-by and n stay"),
    ):  # given twice, both count
        add(option, action="extend", type=_names, metavar=metavar, help=words)
    words = "only runs for which it holds, as pandas' query"
    add("--where", action="append", metavar="CONDITION", help=words)
    add("--target", metavar="error=0.02", help="seconds of training until an epoch reached it")
    add_text_formats(parser)
    add("--plot", type=Path, metavar="FILE.png", help="learning curves and times; .svg, .pdf too")
    add("--html", type=Path, metavar="FILE.html", help="one page with all of it")
    return parser


def _names(text: str) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _check_outputs(given: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written before anything is read."""
    check_text_formats(given)
    for option in ("plot", "html"):
        if getattr(given, option):
            require("matplotlib", f"--{option}", "plots")
    if given.plot:
        plots.check_ending(given.plot)
    check_files(given.plot, given.html)


def _chosen(comparison: table.Comparison, given: argparse.Namespace) -> pd.DataFrame:
    """Return the table that was asked for: runs or groups, in order, and some columns."""
    frame, columns = comparison.frame, comparison.columns
    if given.group_by:
        frame = grouping.grouped(frame, given.group_by)
        frame = selection.ordered(frame, given.sort) if given.sort else frame
        columns = [str(column) for column in frame]
    if given.columns:
        selection.check_columns("--columns", given.columns, frame)
        columns = given.columns
        if given.group_by:
            columns = grouping.chosen_columns(given.columns, given.group_by, frame)
    return frame[columns]


def _for_people(
    comparison: table.Comparison, frame: pd.DataFrame, given: argparse.Namespace
) -> pd.DataFrame:
    """Return the table without what is said around it: the folder of all runs, and reasons."""
    if "run" in frame:
        frame = frame.assign(run=[comparison.short_name(run) for run in frame["run"]])
    return frame if given.columns else frame.drop(columns="reason", errors="ignore")


def _write_pictures(
    comparison: table.Comparison,
    shown: pd.DataFrame,
    given: argparse.Namespace,
    target: tuple[str, float] | None,
) -> None:
    """Write the curves and the page, if asked for."""
    picture = plots.picture_of(comparison, given.group_by or (), target)
    title = _title(comparison)
    if given.plot:
        with telling(given.plot):
            plots.save_plot(given.plot, picture, title)
    if given.html:
        with telling(given.html):
            page.save_page(given.html, comparison, shown, picture, title)


def _title(comparison: table.Comparison) -> str:
    """Say how many runs there are, and where."""
    runs = comparison.frame["run"]
    return f"{len(runs)} runs in {comparison.folder}" if len(runs) > 1 else str(runs.iloc[0])


def _print(
    comparison: table.Comparison, shown: pd.DataFrame, notes: list[str], narrow: bool
) -> None:
    """Print the table, what all runs share above it, and what went wrong below it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    below = [*notes, *sentences.ratio_lines(comparison), *sentences.reasons(comparison)]
    if console.is_terminal and narrow:
        shown, left_out = formats.fitting(shown, console.width)
        if left_out:
            below.append(f"left out, for want of room: {', '.join(left_out)}; see --columns")
    head, rows = formats.to_terminal(shown)
    say(_title(comparison))
    if same := sentences.same_line(comparison):
        say(same)
    print()
    for line in head:
        console.print(Text(printable(line), style="bold"))
    say("\n".join(rows))
    if below:
        say("\n" + "\n".join(below))
