"""``cnnexp show RUN``: everything about one run."""

from __future__ import annotations

import argparse
import copy
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra

from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of_run
from cnnexp.app.compose.configs import make_app
from cnnexp.app.compose.words import chooses_impl
from cnnexp.app.screen import telling
from cnnexp.app.settings.check import check_settings, plain, recheck
from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.options import Plain
from cnnexp.engine import AUTO, automatic
from cnnexp.errors import CnnexpError, ConfigError, RunError, foreign, require
from cnnexp.report.summary import Section, sections
from cnnexp.runs.files import is_folder
from cnnexp.runs.finding import NO_RECORD, flat_row, flatten, refuse_folder_of_runs
from cnnexp.runs.foreign_text import json_of, printable
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.reading import Run
from cnnexp.runs.record import FILE, Record

STAND_FOR_AUTO = ("fast", "compiled")  # another one, not typed, was chosen by a study

EPILOG = """\
examples
  python -m cnnexp show outputs/2026-01-31/12-00-00
  python -m cnnexp show last               the newest run below outputs
  python -m cnnexp show 2026-01-31/12      the only run whose name begins so
  python -m cnnexp show RUN --config       every setting as well
  python -m cnnexp show RUN --json         run.json, with the status of this moment
  python -m cnnexp show RUN --plot run.png curves, and diagnostics where there are any
"""


def main(words: list[str]) -> int:
    """Show a run."""
    parser = parser_of_run("show", EPILOG)
    parser.add_argument("--config", action="store_true", help="list every setting")
    parser.add_argument("--json", action="store_true", help="print run.json")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw it as well: .png, .svg or .pdf"
    )
    add_reading_options(parser, changes=False)
    given = parser.parse_args(words)
    run = _load(given)
    if given.plot is not None:
        _draw(run, given.plot)
    if given.json:
        print(json_of(run.record))
        return 0
    with foreign(run.path / FILE):
        found = sections(run, default_settings(run.recorded), given.config)
    _print(found)
    return 0


def _draw(run: Run, path: Path) -> None:
    """Write the picture of a run."""
    from cnnexp.report.plots import check_ending, picture_of, save_plot
    from cnnexp.report.table import Comparison
    from cnnexp.runs.finding import load_runs

    require("matplotlib", "--plot", "plots")
    check_ending(path)
    with telling(path):
        save_plot(path, picture_of(Comparison(load_runs(run.path))), str(run.path))


def _load(given: argparse.Namespace) -> Run:
    """Load a run, or say what is wrong with it."""
    if not is_folder(given.run):
        raise RunError(f"{given.run}: there is no such folder.")
    refuse_folder_of_runs(given.run)
    row = flat_row(str(given.run))
    if row["status"] in NO_RECORD:
        raise RunError(row["reason"])
    return load_given_run(given)


def default_settings(record: Record) -> dict[str, Any] | None:
    """Return all default settings under dotted paths.

    The names of the groups are the default ones; the options in a group are the defaults of the
    option that was chosen, so that only what was set on top of it stands out. What follows from
    the data, as the batch size, follows from those of the run.

    Parameters
    ----------
    record : Record
        Of the run that is compared with them.

    Returns
    -------
    dict or None
        None if one of the choices is not among the configs here, or its data cannot be found.
    """
    choices = record.choices
    try:
        app = make_app(project=False)  # a run may be looked at in any folder
        chosen = app.settings().hydra.runtime.choices
        names = {g: str(chosen[g]) for g in GROUPS}
        names["impl"] = _default_impl(record) if names["impl"] == AUTO else names["impl"]
        other = [f"{g}={choices[g]}" for g in GROUPS if choices.get(g, names[g]) != names[g]]
        settings: dict[str, Any] = dict(names)
        flatten(_with_data_of(record, plain(app.settings(other))), "", settings)
    except CnnexpError:
        return None
    finally:
        GlobalHydra.instance().clear()
    return settings


def _default_impl(record: Record) -> str:
    """Return what "auto" stood for when the run began, where nothing else was typed."""
    chosen = record.choices.get("impl")
    typed = chooses_impl(record.overrides)
    return chosen if chosen in STAND_FOR_AUTO and not typed else automatic()


def _with_data_of(record: Record, config: Plain) -> Plain:
    """Return default settings with all that follows from the data of a run, and is not typed."""
    defaults = config["data"]
    derived = {"scaling": defaults.get("scaling")}
    config["data"] = copy.deepcopy(dict(record.config["data"])) | derived
    config = check_settings(config)
    if record.data and record.network:
        targets, shape = record.data.get("target_shape"), tuple(record.network["input_shape"])
        found = Images("", shape, len(record.data["classes"]), tuple(targets) if targets else None)
        with suppress(ConfigError):  # the default network need not suit these data
            recheck(config, found)  # the units of the last layer
    return config | {"data": defaults | {"scaling": config["data"].get("scaling")}}


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
            console.print(line if isinstance(line, Text) else Text(printable(line)))
