"""``cnnexp inspect RUN``: pictures of what happens inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnnexp.app import stride_groups
from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of_run
from cnnexp.app.screen import say, writing
from cnnexp.errors import OptionError, did_you_mean, require
from cnnexp.report.inside.gallery import plates_of, save_gallery
from cnnexp.report.inside.plates import Specimen
from cnnexp.runs.archives import refuse_archive
from cnnexp.runs.files import refuse_link
from cnnexp.runs.prediction import pixels

STRIDE_GROUPS = "stride-groups"
EPILOG = """\
In RUN/inspect it writes learning curves, weights over the epochs, filters, feature maps after each
layer, gradients, the confusion matrix, the most confident mistakes; and index.html, one page with
all of them.
IMAGE is a picture of any size, as for predict; without one, test samples are shown.

examples
  python -m cnnexp inspect RUN
  python -m cnnexp inspect RUN seven.png --out pictures
  python -m cnnexp inspect stride-groups --input 4x4 --filter 2 --stride 1
  python -m cnnexp inspect stride-groups --help
"""


def main(words: list[str]) -> int:
    """Draw a run, or the stride groups of a window."""
    if words[:1] == [STRIDE_GROUPS]:
        return stride_groups.main(words[1:])
    if words and did_you_mean(words[0], [STRIDE_GROUPS]) and not Path(words[0]).exists():
        raise OptionError(
            f"inspect {words[0]}: there is no such run folder. Did you mean '{STRIDE_GROUPS}'?"
        )
    parser = parser_of_run("inspect", EPILOG, f"; or {STRIDE_GROUPS}")
    add = parser.add_argument
    add("images", nargs="*", default=[], type=Path, metavar="IMAGE", help="pictures to show")
    add("--out", type=Path, metavar="FOLDER", help="where to write; default: RUN/inspect")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    require("matplotlib", "inspect", "plots")
    run = load_given_run(given)
    run.check_files()
    folder = given.out or given.run / "inspect"
    if given.out is None:
        refuse_archive(given.run, "Name another place for the pictures: --out FOLDER.")
        refuse_link(folder)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--out {folder}: is a file. Give the name of a folder.")
    specimens = [Specimen(path.name, pixels(run, path)) for path in given.images]
    with writing(folder), np.errstate(all="ignore"):  # a run that diverged has odd weights
        plates = plates_of(run, specimens)
        page = save_gallery(folder, run, plates)
    say(f"{len(plates)} pictures in {folder}; all of them on one page: {page}")
    return 0
