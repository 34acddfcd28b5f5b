"""``cnnexp evaluate RUN``: a run's network on its own test part, or on that of another data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.app.check import check_data
from cnnexp.app.reading_options import add_reading_options, load_given_run
from cnnexp.app.screen import say
from cnnexp.data import Dataset
from cnnexp.data.scale import Scale
from cnnexp.errors import ConfigError, OptionError, ShapeError
from cnnexp.runs.per_class import Classified, ClassRow, class_rows, table
from cnnexp.runs.reading import Run
from cnnexp.runs.rebuild import plan_dataset
from cnnexp.train.predictions import predicted_classes

EPILOG = """\
examples:
  python -m cnnexp evaluate RUN                              the recorded figures again
  python -m cnnexp evaluate RUN --per-class                  precision and recall as well
  python -m cnnexp evaluate RUN data.limit=100
  python -m cnnexp evaluate RUN data=mnist data.dir=FOLDER   another data set
"""


def main(words: list[str]) -> int:
    """Evaluate a run's network and print the figures."""
    parser = argparse.ArgumentParser(
        prog="cnnexp evaluate",
        description="Evaluate a run's network on the test part of its own or another data set.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="data=NAME, and settings of it: data.KEY=",
    )
    parser.add_argument(
        "--per-class", action="store_true", help="print precision and recall of each class as well"
    )
    parser.add_argument("--json", action="store_true", help="print all digits, as JSON")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    rows: list[ClassRow] = []
    result = evaluate(load_given_run(given), given.overrides, rows if given.per_class else None)
    if given.json:
        per_class = {"per_class": [row._asdict() for row in rows]} if given.per_class else {}
        say(json.dumps(result | per_class))
    else:
        names = run_figures(result)
        figures = "  ".join(f"{name} {result[name]:.4f}" for name in names)
        say(f"data={result['data']}, test part: {figures}  n {result['n']:,}")
        if rows:
            say("\n".join(["", *table(rows)]))
    return 0


def evaluate(
    run: Run, overrides: list[str], per_class: list[ClassRow] | None = None
) -> dict[str, Any]:
    """Return cross-entropy, error and number of samples of a test part.

    Parameters
    ----------
    run : Run
        The run.
    overrides : list of str
        Settings of the data set.
    per_class : list of ClassRow, optional
        If given, a row for each class is added to it.

    Raises
    ------
    ConfigError
        If the overrides are not those of a data set.
    ShapeError
        If the network does not take its images.
    OptionError
        If classes are asked for, and there are none.
    """
    needed = run.network.input_shape  # with its plugins imported, which may have the data set too
    dataset = other_dataset(run, overrides) if overrides else run.dataset
    learnt, has = bool(run.record["data"]["classes"]), bool(dataset.classes)
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
    if per_class is not None:
        per_class += _class_rows(run, dataset, A)
    return {
        "run": str(run.path),
        "data": dataset.name,
        "n": dataset.test.count,
        **figures,
    }


def _class_rows(run: Run, dataset: Dataset, A: Any) -> list[ClassRow]:
    """Return a row for each class, given the network's outputs."""
    predicted = predicted_classes(run.network, A, len(dataset.classes))
    if predicted is None:
        raise OptionError(
            f"--per-class: {run.path} measured no error of classes. A classifier whose loss does"
            " not come with one is trained with metrics=[error]."
        )
    return class_rows("test", Classified(dataset.test.Y, predicted), dataset.classes)


def run_figures(result: dict[str, Any]) -> list[str]:
    """Return the names of the figures in a result, which stand after the number of samples."""
    return list(result)[list(result).index("n") + 1 :]


def other_dataset(run: Run, overrides: list[str]) -> Dataset:
    """Return the data set that overrides ask for; what they leave open is as in the run.

    Of another data set only the scaling of pixels is taken over.
    """
    from hydra.types import RunMode

    from cnnexp.app.hydra_app import CONFIG_NAME, make_app

    recorded = run.config["data"]
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    faults = [
        f"{override}: evaluate takes data=NAME and data.KEY=VALUE only."
        for override, key in zip(overrides, keys, strict=True)
        if "=" not in override or (key != "data" and not key.startswith("data."))
    ]
    if faults:
        raise ConfigError(faults)
    chosen = [] if "data" in keys else [f"data={recorded['name']}"]
    cfg = make_app().compose_config(
        config_name=CONFIG_NAME,
        overrides=[*chosen, *overrides],
        run_mode=RunMode.RUN,
        with_log_configuration=False,
    )
    data = dict(cfg.data)
    scaling = {"scaling": recorded.get("scaling", "unit")}
    kept = recorded if data["name"] == recorded["name"] else scaling
    data |= {key: value for key, value in kept.items() if f"data.{key}" not in keys}
    config = {**run.config, "data": data}
    check_data(config, faults)
    if faults:
        raise ConfigError(faults)
    scale, target_scale = scales_of(run)
    if data["name"] != recorded["name"] and scale is not None and np.ndim(scale.factor) == 0:
        scale = None  # pixels of other images have another range
    return plan_dataset(config).load(scale, target_scale)


def scales_of(run: Run) -> tuple[Scale | None, Scale | None]:
    """Return how a run's samples and real values were scaled.

    Other samples are scaled in the same way: those of another training part would have another mean
    and deviation. Runs of earlier versions did not write it down.
    """
    data = run.record["data"] or {}
    if "scale" in data:
        target = data.get("target_scale")
        return Scale.from_record(data["scale"]), target and Scale.from_record(target)
    if run.config["data"].get("scaling") == "standard":
        return run.dataset.scale, None
    return None, None


def _targets(classes: bool) -> str:
    return "classes" if classes else "real values"


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"a table of {shape[0]:,} features"
    return "images of " + "x".join(str(size) for size in shape)
