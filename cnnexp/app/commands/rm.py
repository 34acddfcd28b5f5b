"""``cnnexp rm RUN``: runs into a trash folder."""

from __future__ import annotations

import sys
from pathlib import Path

from cnnexp.app.arguments import parser_of
from cnnexp.app.locations import near
from cnnexp.app.screen import say
from cnnexp.errors import OptionError, system_reason
from cnnexp.runs.labels import check_trash, throw_away

EPILOG = """\
examples
  python -m cnnexp rm outputs/2026-01-31/12-00-00
  python -m cnnexp rm --yes outputs/sweeps/grid

Runs are moved to a folder .trash beside them, from where they can be moved back. To free the disk
space, delete that folder.
"""


def main(words: list[str]) -> int:
    """Throw runs away."""
    parser = parser_of("rm", EPILOG)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    given = parser.parse_args(words)
    for run in given.runs:
        check_trash(run)
    if not given.yes and not _agreed(given.runs):
        say("nothing was moved")
        return 0
    for run in given.runs:
        say(f"{run}: moved to {near(_moved(run))}")
    return 0


def _moved(run: Path) -> Path:
    """Move a run to the trash, or say why the system refused that."""
    try:
        return throw_away(run)
    except OSError as error:
        place = near(Path(error.filename or run))
        raise OptionError(f"{run}: cannot be moved: {place}: {system_reason(error)}.") from None


def _agreed(runs: list[Path]) -> bool:
    """Ask whether the runs may go; without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        raise OptionError("rm: there is no terminal to ask at. Say --yes to move the runs.")
    answer = input(f"Move {', '.join(map(str, runs))} to the trash? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
