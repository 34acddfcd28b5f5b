"""``cnnexp find-lr``: a learning-rate range test, with its figures as CSV and as a plot."""

from __future__ import annotations

import argparse
import warnings
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from cnnexp.app.arguments import add_settings, parser_of
from cnnexp.app.locations import near
from cnnexp.app.networks import config_of
from cnnexp.app.running.experiment import build_trainer
from cnnexp.app.screen import writing
from cnnexp.app.settings.check import recheck
from cnnexp.app.settings.check_model import Images
from cnnexp.app.settings.options import Plain
from cnnexp.errors import RunError
from cnnexp.report.formats import aligned
from cnnexp.runs import rebuild
from cnnexp.runs.files import replace_csv
from cnnexp.runs.folders import claim
from cnnexp.runs.reading import load_run
from cnnexp.train.rate_finder import RatePoint, Suggestion, find_rate, suggest
from cnnexp.train.trainer import Trainer

EPILOG = """\
The network trains as in a run with these settings, but the learning rate grows by the same factor
with every step, until the loss explodes. No run is made or changed, and nothing is evaluated.

The suggestion is the rate where the smoothed loss falls fastest. A tenth of the rate of the lowest
loss is shown too: it is the usual choice for a schedule that begins at its largest rate.

examples
  python -m cnnexp find-lr
  python -m cnnexp find-lr model=lenet5 optimizer=adam --to 1
  python -m cnnexp find-lr data=mnist batch_size=128 --steps 300 --out rates
"""
ROWS = 10  # of the table that is printed
CSV, PNG = "find_lr.csv", "find_lr.png"


def main(words: list[str]) -> int:
    """Make the test, write its files, and print a table and the suggestion."""
    given = _parser().parse_intermixed_args(words)
    config = config_of("find-lr", given.overrides)
    trainer = _trainer(config)
    try:
        with warnings.catch_warnings():  # figures that are not finite end the test
            warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning)
            points = find_rate(trainer, given.first, given.last, given.steps)
    finally:
        trainer.network.close()
    if len(points) < 10:
        raise RunError(
            f"find-lr: the loss was finite for {len(points)} steps only. Begin with a smaller rate:"
            f" --from {given.first / 100:g}"
        )
    found = suggest(points)
    print("\n".join([_heading(config, points, given.steps), *_table(points), *_say(found)]))
    written = _write(given.out, points, found)
    print(f"\n{' and '.join(map(near, written))}")
    if len(written) == 1:
        print("the plot needs matplotlib, which is not installed: pip install 'cnnexp[plots]'")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("find-lr", EPILOG)
    add = parser.add_argument
    add_settings(parser)
    add("--from", dest="first", type=float, default=1e-5, metavar="1e-5", help="the first rate")
    add("--to", dest="last", type=float, default=10.0, metavar="10", help="the last rate")
    add("--steps", type=int, default=200, metavar="200", help="steps from the first to the last")
    add("--out", type=Path, metavar="FOLDER", help="for CSV and plot; below outputs if not given")
    return parser


def _trainer(config: Plain) -> Trainer:
    """Return the trainer of a run with these settings."""
    dataset = rebuild.plan_dataset(config).load()
    recheck(config, Images.of(dataset))
    network = rebuild.build_network(config, dataset.image_shape)
    if config["init_from"] is not None:
        network.load_weights(load_run(config["init_from"]).weights)
    return build_trainer(config, network, dataset)


def _heading(config: Plain, points: list[RatePoint], steps: int) -> str:
    """Say what was tried, and how far it came."""
    names = " ".join(f"{key}={config[key]['name']}" for key in ("model", "data", "optimizer"))
    end = "" if len(points) == steps else f"; the loss exploded after {len(points)}"
    return f"{names} batch_size={config['batch_size']}: {steps} steps{end}"


def _table(points: list[RatePoint]) -> list[str]:
    """Return some of the points, spread evenly."""
    last = len(points) - 1
    rows = [points[round(k * last / (ROWS - 1))] for k in range(ROWS)]
    cells = [(f"{p.learning_rate:.2e}", f"{p.loss:.4f}", f"{p.smoothed:.4f}") for p in rows]
    return aligned([("learning_rate", "loss", "smoothed"), *cells], right=(0, 1, 2))


def _say(found: Suggestion) -> list[str]:
    """Return the suggestion in words."""
    if found.steepest is None:
        return ["no suggestion: the loss does not fall. Try rates from a wider range."]
    return [
        f"suggestion: learning_rate={found.steepest:.2g}, where the loss falls fastest",
        f"lowest loss at {found.lowest:.2g}; a tenth of that is {found.tenth:.2g}",
    ]


def _write(wanted: Path | None, points: list[RatePoint], found: Suggestion) -> list[Path]:
    """Write CSV and plot into a folder, a new one if none was named, and return their paths.

    Without matplotlib there is no plot.
    """
    from cnnexp.report.rates import draw_rates

    folder = wanted or Path("outputs", "find_lr", datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    with writing(folder):
        if wanted is None:
            folder = claim(folder)
        folder.mkdir(parents=True, exist_ok=True)
        replace_csv(folder / CSV, RatePoint._fields, points)
        if find_spec("matplotlib") is None:
            return [folder / CSV]
        marks = {"steepest": found.steepest, "a tenth of the lowest": found.tenth}
        named = {name: rate for name, rate in marks.items() if rate is not None}
        draw_rates(folder / PNG, points, named)
    return [folder / CSV, folder / PNG]
