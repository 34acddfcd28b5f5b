"""``cnnexp evaluate RUN``: a run's network on its own test part, or on another data set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from cnnexp.app.arguments import add_reading_options, add_settings, load_given_run, parser_of_run
from cnnexp.app.compose.configs import make_app
from cnnexp.app.screen import say, warn, writing
from cnnexp.app.settings.check import check_data
from cnnexp.app.settings.options import Plain
from cnnexp.errors import ConfigError, OptionError
from cnnexp.report.formats import aligned
from cnnexp.runs.evaluation import Chosen, Evaluation, classified, evaluate, samples_of
from cnnexp.runs.per_class import FILES, ClassRow, as_texts, write
from cnnexp.runs.reading import Run

PARTS = {"test": "test part", "all": "all samples"}
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
    parser = parser_of_run("evaluate", EPILOG)
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
    found = evaluate(run, chosen_samples(run, given.overrides))
    classes = classified(run, found) if given.per_class or given.out is not None else None
    rows = classes.rows if classes is not None and given.per_class else []
    _print(run, found, rows, given)
    if classes is not None and given.out is not None:
        with writing(given.out):
            given.out.mkdir(parents=True, exist_ok=True)
            write(given.out, {classes.part: classes.found}, classes.names)
        warn(f"wrote {', '.join(FILES)} into {given.out}")
    return 0


def _print(
    run: Run, found: Evaluation, rows: Sequence[ClassRow], given: argparse.Namespace
) -> None:
    """Print the figures, and a table of classes if there is one."""
    dataset, part = found.chosen.dataset, found.chosen.part
    if given.json:
        about = {"run": str(run.path), "data": dataset.name, "part": part, "n": dataset.test.count}
        per_class = {"per_class": [row._asdict() for row in rows]} if given.per_class else {}
        say(json.dumps(about | found.figures | per_class))
        return
    figures = "  ".join(f"{name} {value:.4f}" for name, value in found.figures.items())
    say(f"data={dataset.name}, {PARTS[part]}: {figures}  n {dataset.test.count:,}")
    if rows:
        say("\n".join(["", *aligned(as_texts(rows), right=range(1, 5))]))


def chosen_samples(run: Run, overrides: Sequence[str]) -> Chosen:
    """Return the samples that overrides ask for; what they leave open is as in the run.

    Raises
    ------
    ConfigError
        If the overrides are not those of a data set.
    """
    shape = run.network.input_shape  # with its plugins imported, which may have the data set too
    if not overrides:
        return Chosen(run.dataset, "test", False)
    typed = _typed(overrides)
    return samples_of(run, _config(run, overrides, typed, shape), typed)


def _typed(overrides: Sequence[str]) -> set[str]:
    """Return the settings of the data set that the user gives, and ``name`` for another one."""
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    faults = [
        f"{override}: evaluate takes data=NAME and data.KEY=VALUE only."
        for override, key in zip(overrides, keys, strict=True)
        if "=" not in override or (key != "data" and not key.startswith("data."))
    ]
    if faults:
        raise ConfigError(faults)
    return {"name" if key == "data" else key.removeprefix("data.") for key in keys}


def _config(
    run: Run, overrides: Sequence[str], typed: Collection[str], shape: tuple[int, ...]
) -> Plain:
    """Return the run's config with the data set that is asked for, checked."""
    recorded = run.config["data"]
    chosen = [] if "name" in typed else [f"data={recorded['name']}"]
    cfg = make_app().settings([*chosen, *overrides])
    data = dict(cfg.data)
    kept = {"scaling": recorded.get("scaling", "unit")} | _sizes(shape, data)
    if data["name"] == recorded["name"]:
        kept = recorded
    data |= {key: value for key, value in kept.items() if key not in typed}
    config = {**run.config, "data": data}
    faults: list[str] = []
    check_data(config, faults)
    if faults:
        raise ConfigError(faults)
    return config


def _sizes(shape: tuple[int, ...], data: Plain) -> Plain:
    """Return the size and the channels that pictures are brought into, where the set has both."""
    if not {"size", "channels"} <= set(data) or len(shape) != 3 or shape[0] != shape[1]:
        return {}
    return {"size": shape[0], "channels": shape[2]}
