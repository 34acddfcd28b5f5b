"""``cnnexp evaluate RUN``: a run's network on its own test part, or on that of another data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cnnexp.app.check import check_data
from cnnexp.app.reading_options import add_reading_options, load_given_run
from cnnexp.app.screen import say
from cnnexp.data import Dataset
from cnnexp.errors import ConfigError, ShapeError
from cnnexp.runs.reading import Run
from cnnexp.runs.rebuild import build_dataset

EPILOG = """\
examples:
  python -m cnnexp evaluate RUN                              the recorded figures again
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
    parser.add_argument("--json", action="store_true", help="print all digits, as JSON")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    result = evaluate(load_given_run(given), given.overrides)
    if given.json:
        say(json.dumps(result))
    else:
        names = run_figures(result)
        figures = "  ".join(f"{name} {result[name]:.4f}" for name in names)
        say(f"data={result['data']}, test part: {figures}  n {result['n']:,}")
    return 0


def evaluate(run: Run, overrides: list[str]) -> dict[str, Any]:
    """Return cross-entropy, error and number of samples of a test part.

    Raises
    ------
    ConfigError
        If the overrides are not those of a data set.
    ShapeError
        If the network does not take its images.
    """
    needed = run.network.input_shape  # with its plugins imported, which may have the data set too
    dataset = other_dataset(run, overrides) if overrides else run.dataset
    found = dataset.image_shape
    if found != needed:
        raise ShapeError(
            f"data={dataset.name}: its images are {_size(found)}, and {run.path} has learnt from"
            f" images of {_size(needed)}."
        )
    _, figures = run.network.evaluate_figures(dataset.test.X, dataset.test.Y)
    return {
        "run": str(run.path),
        "data": dataset.name,
        "n": dataset.test.count,
        **figures,
    }


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
    return build_dataset(config)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
