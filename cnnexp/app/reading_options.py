"""Options of the commands that read a run."""

from __future__ import annotations

import argparse

from cnnexp.runs.plugins import parse_names
from cnnexp.runs.reading import Run, load_run


def add_reading_options(
    parser: argparse.ArgumentParser, plugins: bool = True, changes: bool = True
) -> None:
    """Add ``--plugins`` and ``--accept-changes``."""
    if plugins:
        parser.add_argument(
            "--plugins",
            type=parse_names,
            metavar="A,B",
            help="modules that the run needs; those of your own runs need not be named",
        )
    if changes:
        parser.add_argument(
            "--accept-changes",
            action="store_true",
            help="read weights and logs also if they are not what the run wrote",
        )


def load_given_run(given: argparse.Namespace) -> Run:
    """Return the run that the words of a command name, with these options."""
    found = vars(given)
    return load_run(
        given.run,
        plugins=found.get("plugins"),
        accept_changes=found.get("accept_changes", False),
    )
