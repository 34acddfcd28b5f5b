"""``cnnexp rerun RUN``: a new run with the settings of another one."""

from __future__ import annotations

from cnnexp.app.arguments import add_reading_options, parser_of_run
from cnnexp.app.running.rerun import rerun

EPILOG = """\
examples
  python -m cnnexp rerun outputs/2026-01-31/12-00-00
  python -m cnnexp rerun RUN seed=1                  the same, but for the seed
  python -m cnnexp rerun RUN optimizer=adam hydra.run.dir=outputs/with_adam

With the same code, data and machine a rerun without changes repeats the run bit-for-bit.
"""


def main(words: list[str]) -> int:
    """Train again with the settings of a run."""
    parser = parser_of_run("rerun", EPILOG)
    parser.add_argument(
        "changes", nargs="*", default=[], metavar="KEY=VALUE", help="settings to change"
    )
    parser.add_argument("--config-dir", metavar="FOLDER", help="a folder with configs of yours")
    add_reading_options(parser, changes=False)
    given = parser.parse_intermixed_args(words)
    return rerun(given.run, given.changes, given.plugins, given.config_dir)
