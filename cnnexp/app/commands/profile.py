"""``cnnexp profile``: the time of each layer under several implementations, side by side."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hydra.core.global_hydra import GlobalHydra

from cnnexp.app.arguments import add_settings, parser_of
from cnnexp.app.check import check, check_data
from cnnexp.app.check_model import Images
from cnnexp.app.composing import make_app
from cnnexp.app.experiment import images_of as images_of_dataset
from cnnexp.app.experiment import recheck
from cnnexp.app.messages import dotted
from cnnexp.app.options import Plain
from cnnexp.app.own import load_named
from cnnexp.app.screen import telling
from cnnexp.engine import IMPLEMENTATIONS
from cnnexp.errors import ConfigError, OptionError
from cnnexp.nn.network import Network
from cnnexp.nn.runner import Batch
from cnnexp.nn.timing import loop_seconds, measure
from cnnexp.report.profiles import COLUMNS, csv_rows, table_of
from cnnexp.runs import rebuild
from cnnexp.runs.files import csv_text, write_output
from cnnexp.runs.foreign_text import cell

EPILOG = """\
Figures are microseconds a sample of one training pass, forward and backward, medians over as many
passes as the time allows. Layers that one implementation computes together are one row for all.
With threads, they are sums over the threads. The images are made up, of the data set's shape. No
run folder is made.

examples
  python -m cnnexp profile                              the default model, all implementations
  python -m cnnexp profile model=cnn impl=naive,sg,im2col,fast data=mnist batch_size=128
  python -m cnnexp profile model=deep data=mnist impl=fast impl.fuse=false
  python -m cnnexp profile impl=sg,fast --seconds 60 --csv layers.csv
"""
IMPL = "impl"


def main(words: list[str]) -> int:
    """Measure, and print the table."""
    given = _parser().parse_intermixed_args(words)
    _check(given)
    configs = configs_of(given.overrides)
    first = next(iter(configs.values()))
    images = images_of(first)
    networks = networks_of(configs, images)
    left_out = leave_out(networks, given.seconds)
    batch = made_up(next(iter(networks.values())), images, first["batch_size"])
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


def config_of(command: str, words: list[str]) -> Plain:
    """Return the checked settings for a command that takes one implementation."""
    configs = configs_of(words, "fast")
    if len(configs) > 1:
        raise OptionError(f"{command} takes one implementation. Got {IMPL}={','.join(configs)}.")
    return next(iter(configs.values()))


def configs_of(words: list[str], *default: str) -> dict[str, Plain]:
    """Return the checked settings for each implementation that some words name.

    Parameters
    ----------
    words : list of str
        Settings, as ``key=value``.
    *default : str
        The implementations if none is named; all if not given.

    Raises
    ------
    ConfigError
        With all faults.
    """
    if faults := [f"{word}: cannot be read as key=value." for word in words if "=" not in word]:
        raise ConfigError(faults)
    overrides = [dotted(word) for word in words]
    named = [o.partition("=")[2].split(",") for o in overrides if o.partition("=")[0] == IMPL]
    others = [override for override in overrides if override.partition("=")[0] != IMPL]
    names = dict.fromkeys(name.strip() for name in (named[-1] if named else default or _all()))
    load_named(overrides)
    app = make_app()
    try:
        return {name: check(app.settings([f"{IMPL}={name}", *others])) for name in names}
    finally:
        GlobalHydra.instance().clear()


def _all() -> list[str]:
    """Return all implementations, those in loops first."""
    installed = (name for name in IMPLEMENTATIONS if not IMPLEMENTATIONS[name].missing())
    return sorted(installed, key=lambda name: IMPLEMENTATIONS[name].releases_gil)


def images_of(config: Plain) -> Images:
    """Return shape and classes of the images; they are read only where that is not known before."""
    images = check_data(config, [])
    if images.shape is None or images.outputs is None:
        images = images_of_dataset(rebuild.plan_dataset(config).load())
    return images


def networks_of(configs: Mapping[str, Plain], images: Images) -> dict[str, Network]:
    """Build the same network under each implementation."""
    networks = {}
    for name, config in configs.items():
        recheck(config, images)
        networks[name] = rebuild.build_network(config, images.shape or ())
    return networks


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


def made_up(network: Network, images: Images, size: int) -> Batch:
    """Return a batch of random images, the same for everybody."""
    generator = np.random.default_rng(0)
    X = generator.random((size, *(images.shape or ())))
    if len(network.output_shape) > 1 or not images.classes:  # real values, such as the input
        return network.batch(X, generator.standard_normal((size, *network.output_shape)))
    return network.batch(X, generator.integers(0, images.classes, size))


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
