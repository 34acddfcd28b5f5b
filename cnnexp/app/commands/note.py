"""``cnnexp note RUN TEXT``: what is worth knowing about a run."""

from __future__ import annotations

from cnnexp.app.arguments import parser_of_run
from cnnexp.app.screen import say, writing
from cnnexp.runs.labels import set_note
from cnnexp.runs.record import read_record

EPILOG = """\
examples
  python -m cnnexp note outputs/2026-01-31/12-00-00 "the baseline of table 2"
  python -m cnnexp note RUN                  print it
  python -m cnnexp note RUN ""               delete it

note="…" gives one to a new run. show prints it.
"""


def main(words: list[str]) -> int:
    """Write or print a note."""
    parser = parser_of_run("note", EPILOG)
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the note")
    given = parser.parse_args(words)
    if given.text is not None:
        with writing(given.run):
            set_note(given.run, given.text)
    say(read_record(given.run).config.get("note") or "no note")
    return 0
