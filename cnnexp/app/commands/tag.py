"""``cnnexp tag RUN TAG…``: words to find a run by."""

from __future__ import annotations

from collections.abc import Sequence

from cnnexp.app.arguments import parser_of_run
from cnnexp.app.screen import say, writing
from cnnexp.errors import OptionError
from cnnexp.runs.labels import add_tags
from cnnexp.runs.record import read_record

EPILOG = """\
examples
  python -m cnnexp tag outputs/2026-01-31/12-00-00 baseline paper
  python -m cnnexp tag RUN --remove paper
  python -m cnnexp compare outputs --where 'tags.str.contains("baseline")'

tags=[baseline,paper] gives them to a new run.
"""


def main(words: list[str]) -> int:
    """Tag a run."""
    parser = parser_of_run("tag", EPILOG)
    parser.add_argument("tags", nargs="*", metavar="TAG", help="words to add")
    parser.add_argument("--remove", nargs="+", default=[], metavar="TAG", help="words to remove")
    given = parser.parse_intermixed_args(words)
    if odd := [tag for tag in given.tags if not tag.strip() or "," in tag]:
        raise OptionError(f"a tag is a text that is not empty, and without commas. Got {odd[0]!r}.")
    before = read_record(given.run).config.get("tags") or []
    if absent := [tag for tag in given.remove if tag not in before]:
        raise OptionError(f"{given.run}: has no tag {absent[0]!r}. Tags: {_listed(before)}.")
    with writing(given.run):
        found = add_tags(given.run, given.tags, given.remove)
    say(f"{given.run}: {_listed(found)}")
    return 0


def _listed(tags: Sequence[str]) -> str:
    return ", ".join(tags) or "no tags"
