"""``cnnexp profile``: the time of each layer under several implementations, side by side."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from cnnexp.app.arguments import add_settings, parser_of
from cnnexp.app.networks import IMPL, configs_of, images_of, networks_of
from cnnexp.app.screen import telling
from cnnexp.app.settings.options import Plain
from cnnexp.errors import OptionError
from cnnexp.nn.network import Network
from cnnexp.nn.timing import loop_seconds, made_up, measure
from cnnexp.report.profiles import COLUMNS, csv_rows, table_of
from cnnexp.runs.files import csv_text, write_output
from cnnexp.runs.foreign_text import cell

EPILOG = """\
Figures are microseconds per sample of one training pass, forward and backward: medians over as many
passes as the time allows, added up over all threads. Layers that one implementation computes
together are one row for all. The images are random, in the data set's shape. No run folder is made.

examples
  python -m cnnexp profile                              the default model, all implementations
  python -m cnnexp profile model=cnn impl=naive,sg,im2col,fast data=mnist batch_size=128
  python -m cnnexp profile model=deep data=mnist impl=fast impl.fuse=false
  python -m cnnexp profile impl=sg,fast --seconds 60 --csv layers.csv
"""


def main(words: list[str]) -> int:
    """Measure, and print the table."""
    given = _parser().parse_intermixed_args(words)
    _check(given)
    configs = configs_of(given.overrides)
    first = next(iter(configs.values()))
    images = images_of(first)
    networks = networks_of(configs, images)
    left_out = leave_out(networks, given.seconds)
    batch = made_up(next(iter(networks.values())), first["batch_size"], images.classes)
    found = measure(networks, batch, given.seconds)
    print("\n".join([*_heading(first, networks), "", *table_of(found), *left_out]))
    if given.csv:
        with telling(given.csv):
            rows = [[cell(v) if isinstance(v, str) else v for v in row] for row in csv_rows(found)]
            write_output(given.csv, csv_text(COLUMNS, rows).encode())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("profile", EPILOG)
    add = parser.add_argument
    add_settings(parser, f"settings as for a run; {IMPL}=A,B: those implementations, default: all")
    add("--seconds", type=float, default=20.0, metavar="20", help="how long it may take")
    add("--csv", type=Path, metavar="FILE", help="all figures as CSV, a row per layer")
    return parser


def _check(given: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is measured."""
    if not 0 < given.seconds < math.inf:
        raise OptionError(f"--seconds must be above 0, and finite. Got {given.seconds:g}.")
    if given.csv and (given.csv.is_dir() or not given.csv.parent.is_dir()):
        raise OptionError(f"--csv {given.csv}: must be a file in a folder that is there.")


def leave_out(networks: dict[str, Network], seconds: float) -> list[str]:
    """Take out what would be far too slow even for one sample, and say so.

    Raises
    ------
    OptionError
        If nothing is left.
    """
    expected = {name: loop_seconds(network) for name, network in networks.items()}
    slow = {name: each for name, each in expected.items() if each > seconds}
    lines = [
        f"{name} is left out: one sample would take about {each:,.2g} s; see --seconds"
        for name, each in slow.items()
    ]
    for name in slow:
        del networks[name]
    if not networks:
        raise OptionError(f"--seconds {seconds:g} is too short: {'; '.join(lines)}.")
    return lines


def _heading(config: Plain, networks: Mapping[str, Network]) -> list[str]:
    """Say what is computed."""
    network = next(iter(networks.values()))
    shape = "x".join(map(str, network.input_shape))
    ways: dict[str, list[str]] = {}
    for name, each in networks.items():
        threads = f"{each.threads} thread{'s' * (each.threads != 1)}"
        ways.setdefault(f"{threads}, micro-batches of {each.micro_batch} samples", []).append(name)
    used = [f"{', '.join(names)}: {how}" for how, names in ways.items()]
    return [
        f"model={config['model']['name']}, images of {shape} (made up), batches of"
        f" {config['batch_size']}, {config['dtype']}",
        "; ".join(used),
        "microseconds per sample, forward and backward",
    ]
