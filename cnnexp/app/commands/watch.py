"""``cnnexp watch FOLDER``: a live table of runs while they run."""

from __future__ import annotations

import contextlib
import math
import sys

from cnnexp.app.arguments import parser_of
from cnnexp.errors import OptionError
from cnnexp.report.watching import show, watch

EPILOG = """\
examples
  python -m cnnexp watch outputs/sweeps/grid     from another terminal, while the sweep runs
  python -m cnnexp watch outputs --once          as it is now
"""


def main(words: list[str]) -> int:
    """Watch runs until the user interrupts."""
    parser = parser_of(
        "watch",
        EPILOG,
        (
            "A live table of all runs in a folder: how far each is, its curve, and the time that is"
            " left. Ctrl-C ends it; the runs go on. Where there is no terminal it is shown once."
        ),
    )
    parser.add_argument(
        "paths", nargs="*", default=["outputs"], metavar="FOLDER", help="folders; default: outputs"
    )
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two updates"
    )
    parser.add_argument("--once", action="store_true", help="show the table once")
    given = parser.parse_args(words)
    if not 0 < given.interval < math.inf:
        raise OptionError(f"--interval must be above 0, and finite. Got {given.interval:g}.")
    if given.once or not sys.stdout.isatty():
        show(given.paths)
        return 0
    with contextlib.suppress(KeyboardInterrupt):
        watch(given.paths, max(given.interval, 0.1))
    return 0
