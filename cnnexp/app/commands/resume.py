"""``cnnexp resume RUN``: go on with a run that was interrupted or killed, or extend it."""

from __future__ import annotations

from cnnexp.app.arguments import add_reading_options, add_settings, parser_of
from cnnexp.app.exit_codes import code_of
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.resume import resume
from cnnexp.app.screen import say

EPILOG = """\
examples:
  python -m cnnexp resume outputs/2026-01-31/12-00-00
  python -m cnnexp resume RUN epochs=20           more epochs; only with schedule=constant
"""


def main(words: list[str]) -> int:
    """Resume a run."""
    parser = parser_of("resume", EPILOG)
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP)
    add_settings(parser, "epochs, checkpoint.every, impl.threads or trackers")
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
