"""``cnnexp resume RUN``: go on with a run that was interrupted or killed, or extend it."""

from __future__ import annotations

import argparse

from cnnexp.app.exit_codes import code_of
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.reading_options import add_reading_options
from cnnexp.app.resume import resume
from cnnexp.app.screen import say

EPILOG = """\
examples:
  python -m cnnexp resume outputs/2026-01-31/12-00-00
  python -m cnnexp resume RUN epochs=20     more epochs, if its schedule counts in epochs

Such schedules are constant, step, exponential and reduce_on_plateau. The others are drawn over the
whole training: with more epochs their first steps would have had other learning rates.
"""


def main(words: list[str]) -> int:
    """Resume a run."""
    parser = argparse.ArgumentParser(
        prog="cnnexp resume",
        description="Go on with a run from its last checkpoint, in its own folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP)
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="epochs, checkpoint.every, impl.threads or trackers",
    )
    add_reading_options(parser)
    given = parser.parse_args(words)
    record = resume(
        given.run,
        given.overrides,
        plugins=given.plugins,
        accept_changes=given.accept_changes,
    )
    say(f"results in {given.run}")
    return code_of(record)
