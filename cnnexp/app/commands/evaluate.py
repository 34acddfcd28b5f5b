"""``cnnexp evaluate RUN``: a run's network on its own test part, or on another data set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnnexp.app.arguments import add_reading_options, add_settings, load_given_run, parser_of
from cnnexp.app.evaluation_data import PARTS, Evaluated, evaluation_data
from cnnexp.app.named_run import HELP, named_run
from cnnexp.app.screen import say, warn, writing
from cnnexp.errors import OptionError, ShapeError
from cnnexp.runs.per_class import FILES, Classified, ClassRow, class_rows, occurring, table, write
from cnnexp.runs.reading import Run
from cnnexp.train.predictions import predicted_classes

EPILOG = """\
Of the run's own data set the test part is taken; of another one its official test part, or all
samples if it has none. data.split=0.8 and data.limit=100 choose otherwise. Samples are scaled as
the run's own were. Classes are matched by name; names that the run does not know are refused.

examples:
  python -m cnnexp evaluate RUN                              the recorded figures again
  python -m cnnexp evaluate RUN --per-class                  precision and recall as well
  python -m cnnexp evaluate RUN --out FOLDER                 confusion matrix and predictions, CSV
  python -m cnnexp evaluate RUN data.limit=100
  python -m cnnexp evaluate RUN data=mnist data.dir=FOLDER   another data set
  python -m cnnexp evaluate RUN data=image_folder data.dir=FOLDER
"""


def main(words: list[str]) -> int:
    """Evaluate a run's network and print the figures."""
    parser = parser_of("evaluate", EPILOG)
    parser.add_argument("run", type=named_run, metavar="RUN", help=HELP)
    add_settings(parser, "data=NAME, and settings of it: data.KEY=")
    parser.add_argument(
        "--per-class", action="store_true", help="print precision and recall of each class as well"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help=f"write {', '.join(FILES[:-1])} and {FILES[-1]} into it",
    )
    parser.add_argument("--json", action="store_true", help="print all digits, as JSON")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    if given.out is not None and given.out.exists() and not given.out.is_dir():
        raise OptionError(f"--out {given.out}: is a file. Give the name of a folder.")
    run = load_given_run(given)
    found = evaluate(run, given.overrides)
    classes = _classes(run, found) if given.per_class or given.out is not None else None
    rows = classes.rows if classes is not None and given.per_class else []
    _print(found.figures, rows, given)
    if classes is not None and given.out is not None:
        with writing(given.out):
            given.out.mkdir(parents=True, exist_ok=True)
            write(given.out, {classes.part: classes.found}, classes.names)
        warn(f"wrote {', '.join(FILES)} into {given.out}")
    return 0


def _print(result: dict[str, Any], rows: Sequence[ClassRow], given: argparse.Namespace) -> None:
    """Print the figures, and a table of classes if there is one."""
    if given.json:
        per_class = {"per_class": [row._asdict() for row in rows]} if given.per_class else {}
        say(json.dumps(result | per_class))
        return
    figures = "  ".join(f"{name} {result[name]:.4f}" for name in run_figures(result))
    say(f"data={result['data']}, {PARTS[result['part']]}: {figures}  n {result['n']:,}")
    if rows:
        say("\n".join(["", *table(rows)]))


class Evaluation(NamedTuple):
    """What came of an evaluation.

    Attributes
    ----------
    chosen : Evaluated
        The samples.
    A : array (n_m, …)
        The network's outputs for them.
    figures : dict
        Loss and metrics, and what they are of.
    """

    chosen: Evaluated
    A: Any
    figures: dict[str, Any]


class Classes(NamedTuple):
    """What the samples of an evaluation were taken for, and the table of their classes."""

    part: str
    names: Sequence[str]
    found: Classified
    rows: list[ClassRow]


def evaluate(run: Run, overrides: list[str]) -> Evaluation:
    """Evaluate a run's network.

    Parameters
    ----------
    run : Run
        The run.
    overrides : list of str
        Settings of the data set.

    Raises
    ------
    ConfigError
        If the overrides are not those of a data set.
    DataError
        If it has classes that the run does not know.
    ShapeError
        If the network does not take its images.
    """
    needed = run.network.input_shape  # with its plugins imported, which may have the data set too
    chosen = evaluation_data(run, overrides)
    dataset = chosen.dataset
    learnt, has = bool(run.recorded.data and run.recorded.data["classes"]), bool(dataset.classes)
    if learnt != has:
        raise ShapeError(
            f"data={dataset.name}: its targets are {_targets(has)}, and {run.path} has learnt"
            f" {_targets(learnt)}."
        )
    found = dataset.image_shape
    if found != needed:
        raise ShapeError(
            f"data={dataset.name}: its samples are {_size(found)}, and {run.path} has learnt from"
            f" {_size(needed)}."
        )
    A, figures = run.network.evaluate_figures(dataset.test.X, dataset.test.Y)
    about = {
        "run": str(run.path),
        "data": dataset.name,
        "part": chosen.part,
        "n": dataset.test.count,
    }
    return Evaluation(chosen, A, about | figures)


def _classes(run: Run, evaluation: Evaluation) -> Classes:
    """Return what was taken for what; the table of a foreign set has the classes that occur in it.

    Raises
    ------
    OptionError
        If there are no classes.
    """
    chosen = evaluation.chosen
    names, true = chosen.dataset.classes, chosen.dataset.test.Y
    predicted = predicted_classes(run.network, evaluation.A, len(names))
    if predicted is None:
        raise OptionError(
            f"--per-class: {run.path} measured no error of classes. A classifier whose loss does"
            " not come with one is trained with metrics=[error]."
        )
    found = Classified(true, predicted)
    rows = class_rows(chosen.part, found, names)
    return Classes(chosen.part, names, found, occurring(rows) if chosen.foreign else rows)


def run_figures(result: dict[str, Any]) -> list[str]:
    """Return the names of the figures in a result, which stand after the number of samples."""
    return list(result)[list(result).index("n") + 1 :]


def _targets(classes: bool) -> str:
    return "classes" if classes else "real values"


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"a table of {shape[0]:,} features"
    return "images of " + "x".join(str(size) for size in shape)
