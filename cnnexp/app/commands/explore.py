"""``cnnexp explore RUN``: a page that runs a run's network in the reader's browser."""

from __future__ import annotations

from pathlib import Path

from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of_run
from cnnexp.app.screen import say, warn, writing
from cnnexp.errors import OptionError
from cnnexp.report.inside.page import EXPLORE as FILE
from cnnexp.report.live.page import check_size, live_page
from cnnexp.runs.archives import refuse_archive
from cnnexp.runs.files import refuse_link, write_output

EPILOG = """\
The page needs no network and no server: open it by double click. In it you draw an image, or choose
one of the test set, and see the feature maps of every layer, where each value comes from, which
pixels matter, and how stride groups work. With checkpoint.keep=all, a run keeps the weights after
every epoch, and the page lets you drag through its training.

examples
  python -m cnnexp explore RUN
  python -m cnnexp explore last --out lenet5.html
"""


def main(words: list[str]) -> int:
    """Write the page."""
    parser = parser_of_run("explore", EPILOG)
    parser.add_argument(
        "--out", type=Path, metavar="FILE.html", help=f"where to write; default: RUN/{FILE}"
    )
    add_reading_options(parser)
    given = parser.parse_args(words)
    run = load_given_run(given)
    path = given.out or given.run / FILE
    if given.out is None:
        refuse_archive(given.run, f"Name another place for the page: --out {FILE}.")
        refuse_link(path)
    if path.is_dir():
        raise OptionError(f"--out {path}: is a folder. Give the name of a file, such as {FILE}.")
    run.check_files()
    page = live_page(run)
    with writing(path):
        write_output(path, page.encode())
    say(f"wrote {path}, {len(page.encode()) / 1e6:.2f} MB: open it in a browser")
    if words_of_size := check_size(page):
        warn(words_of_size)
    return 0
