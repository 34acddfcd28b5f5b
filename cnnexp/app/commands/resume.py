"""``cnnexp resume RUN``: go on with a run or a sweep that was cut off, or extend a run."""

from __future__ import annotations

from cnnexp.app.arguments import add_reading_options, add_settings, parser_of_run
from cnnexp.app.exit_codes import code_of
from cnnexp.app.running.resume import resume
from cnnexp.app.screen import say
from cnnexp.app.sweep_again import is_a_sweep, resume_sweep

EPILOG = """\
examples:
  python -m cnnexp resume outputs/2026-01-31/12-00-00
  python -m cnnexp resume RUN epochs=20     more epochs, if its schedule counts in epochs
  python -m cnnexp resume SWEEP             all jobs of a sweep that have no result yet

Such schedules are constant, step, exponential and reduce_on_plateau. The others are spread over the
whole training: with more epochs their first steps would have had other learning rates.
"""


def main(words: list[str]) -> int:
    """Resume a run."""
    parser = parser_of_run("resume", EPILOG, ", or the folder of a sweep")
    add_settings(
        parser,
        "epochs, checkpoint.every, impl.threads or trackers; of a sweep: sweep.rerun, sweep.jobs or"
        " sweep.isolation",
    )
    add_reading_options(parser)
    given = parser.parse_args(words)
    if is_a_sweep(given.run):
        return resume_sweep(given.run, given.overrides)
    record = resume(
        given.run,
        given.overrides,
        plugins=given.plugins,
        accept_changes=given.accept_changes,
    )
    say(f"results in {given.run}")
    return code_of(record)
