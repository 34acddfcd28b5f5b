"""``cnnexp archive RUN FILE``: a run or a sweep as one compressed file."""

from __future__ import annotations

from pathlib import Path

from cnnexp.app.arguments import parser_of_run
from cnnexp.app.locations import near
from cnnexp.app.screen import say, writing
from cnnexp.runs.archives import ENDING
from cnnexp.runs.archiving import Archived, ended_runs, write_archive
from cnnexp.runs.labels import refuse_others

EPILOG = """\
The ZIP file has everything in the folder except checkpoints. The commands that read runs read it
without unpacking: show, diff, compare, evaluate, predict, inspect --out, export, and load_run in
Python. FILE.zip/3 is the run 3 of a sweep. To resume a run, keep its folder: checkpoints are large.

examples
  python -m cnnexp archive outputs/grid              writes outputs/grid.zip
  python -m cnnexp archive last best.zip
  python -m cnnexp compare best.zip outputs
  python -m cnnexp evaluate outputs/grid.zip/3
  python -m zipfile -e best.zip FOLDER               unpacks it, as any program for ZIP files does
"""


def main(words: list[str]) -> int:
    """Write an archive."""
    parser = parser_of_run("archive", EPILOG, "; or a folder of runs")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE.zip",
        help="a new file; by default the folder's name, beside it",
    )
    given = parser.parse_args(words)
    folder: Path = given.run
    file: Path = given.file or folder.resolve().with_name(f"{folder.resolve().name}{ENDING}")
    runs = ended_runs(folder)
    refuse_others(folder, runs)
    with writing(near(file)):
        done = write_archive(folder, file, runs)
    say(f"{near(file)}: {_in_words(done)}")
    return 0


def _in_words(done: Archived) -> str:
    """Say what is in an archive."""
    runs = "1 run" if done.runs == 1 else f"{done.runs:,} runs"
    size = f"{done.size / 1e6:,.2f} MB"
    without = f"; {done.without_weights:,} of them without weights" if done.without_weights else ""
    return f"{runs}, {done.files:,} files, {size}, without checkpoints{without}"
