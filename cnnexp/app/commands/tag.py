"""``cnnexp tag RUN TAG…``: words to find a run by."""

from __future__ import annotations

from cnnexp.app.arguments import parser_of_run
from cnnexp.app.screen import say, writing
from cnnexp.runs.labels import add_tags

EPILOG = """\
examples
  python -m cnnexp tag outputs/2026-01-31/12-00-00 baseline paper
  python -m cnnexp tag RUN --remove paper
  python -m cnnexp compare outputs --where 'tags.str.contains("baseline")'

A run that is about to begin gets them by tags=[baseline,paper].
"""


def main(words: list[str]) -> int:
    """Tag a run."""
    parser = parser_of_run("tag", EPILOG)
    parser.add_argument("tags", nargs="*", metavar="TAG", help="words")
    parser.add_argument("--remove", nargs="+", default=[], metavar="TAG", help="take these away")
    given = parser.parse_intermixed_args(words)
    with writing(given.run):
        found = add_tags(given.run, given.tags, given.remove)
    say(f"{given.run}: {', '.join(found) or 'no tags'}")
    return 0
