"""What the command lines of the commands have in common."""

from __future__ import annotations

import argparse
from typing import Any

from cnnexp.app.commands import SUMMARIES
from cnnexp.app.named_run import HELP, named_run
from cnnexp.runs.plugins import parse_names
from cnnexp.runs.reading import Run, load_run

ALSO_SETTINGS = ("evaluate", "note", "profile")  # commands that have the name of a setting


class _Parser(argparse.ArgumentParser):
    """The parser of a command; if it has the name of a setting, its help tells of both."""

    def print_help(self, file: Any = None) -> None:
        """Print the help of the command, and below it that of the setting."""
        super().print_help(file)
        name = self.prog.removeprefix("cnnexp ")
        if name in ALSO_SETTINGS:
            from cnnexp.app.reference.entries import of_settings

            text = "\n\n".join(of_settings(name))
            print(f"\nthe setting of this name\n\n{text}", file=file)


def parser_of(command: str, epilog: str, description: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command; its ``--help`` begins with the summary if nothing is given.

    The epilog is printed as it is written.
    """
    summary = SUMMARIES.get(command, "")
    return _Parser(
        prog=f"cnnexp {command}",
        description=description or f"{summary[:1].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def parser_of_run(command: str, epilog: str, or_else: str = "") -> argparse.ArgumentParser:
    """Return the parser of a command that looks at a run, ``run``, or at what `or_else` says."""
    parser = parser_of(command, epilog)
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP + or_else)
    return parser


def add_settings(parser: argparse.ArgumentParser, words: str = "settings as for a run") -> None:
    """Add ``overrides``: any number of ``KEY=VALUE``."""
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=words)


def add_reading_options(parser: argparse.ArgumentParser, changes: bool = True) -> None:
    """Add ``--plugins`` and ``--accept-changes``."""
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
