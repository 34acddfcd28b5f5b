"""``cnnexp diff RUN RUN``: in what two runs differ."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cnnexp.app.arguments import parser_of
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.screen import say
from cnnexp.app.text_formats import (
    add_text_formats,
    check_text_formats,
    is_shown,
    parsed,
    write_texts,
)
from cnnexp.errors import foreign
from cnnexp.report.differences import Difference, code_lines, differences, same_parts, sections
from cnnexp.runs.foreign_text import printable
from cnnexp.runs.reading import Run, load_run
from cnnexp.runs.record import FILE

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """\
The last line names the parts in which nothing differs. Of the results all figures are shown. "-"
means that a run has no such value: a setting of an optimizer that it does not use, a file that it
has not kept.

examples
  python -m cnnexp diff outputs/grid/0 outputs/grid/1
  python -m cnnexp diff RUN last             the newest run below outputs, and another one
  python -m cnnexp diff RUN RUN --code       the lines of your code that differ, as well
  python -m cnnexp diff RUN RUN --json       the table for programs; --csv, --md too
"""


def main(words: list[str]) -> int:
    """Compare two runs in all that was recorded."""
    parser = parser_of("diff", EPILOG)
    parser.add_argument("a", type=named_run, metavar="RUN", help=HELP)
    parser.add_argument("b", type=named_run, metavar="RUN", help="another one")
    parser.add_argument(
        "--code", action="store_true", help="show the lines of the kept code that differ"
    )
    add_text_formats(parser)
    given = parsed(parser, words)
    check_text_formats(given)
    a, b = load_run(given.a), load_run(given.b)
    with foreign(f"{a.path / FILE} or {b.path / FILE}"):
        found = differences(a, b)
    write_texts(_frame(found), given)
    if not is_shown(given):
        _print(a, b, found)
    if given.code:
        _print_code(code_lines(a, b))
    return 0


def _frame(found: list[Difference]) -> pd.DataFrame:
    """Return the differences as a table."""
    import pandas as pd

    return pd.DataFrame(found, columns=Difference._fields, dtype=object)


def _print(a: Run, b: Run, found: list[Difference]) -> None:
    """Print the parts under their headings."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    say(f"a  {a.path}  {a.status}\nb  {b.path}  {b.status}")
    for part, lines in sections(found).items():
        print()
        console.print(Text(part, style="bold"))
        say("\n".join(lines))
    if same := same_parts(found):
        say(f"\nthe same: {', '.join(same)}")


def _print_code(lines: list[str]) -> None:
    """Print unified diffs."""
    print()
    say("\n".join(map(printable, lines)) or "no difference in the code that was kept")
