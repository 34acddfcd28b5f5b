"""``cnnexp gradcheck``: the gradient of every parameter against differences of the loss."""

from __future__ import annotations

import argparse

from cnnexp.app.arguments import add_settings, parser_of
from cnnexp.app.networks import configs_of, images_of, networks_of
from cnnexp.engine import AUTO
from cnnexp.errors import OptionError
from cnnexp.nn.blas import one_blas_thread
from cnnexp.nn.gradient_check import GradientCheck, check_gradients
from cnnexp.nn.timing import made_up
from cnnexp.report.formats import aligned

EPILOG = """\
The network is that of a run with these settings, in float64, with its initial weights, each moved a
little so that no ReLU is at its kink; the images are random, in the data set's shape. For some
numbers of every parameter the loss is computed twice, a little above and a little below.
Exit code 0: all gradients agree; 1: one does not.

examples
  python -m cnnexp gradcheck model=cnn
  python -m cnnexp gradcheck model=cnn impl=naive,sg,fast --samples 2
  python -m cnnexp gradcheck plugins=[my_layers] model.layers.0.activation=softsign
"""
BOUND = 1e-5  # a gradient that is wrong differs by more than 0.01


def main(words: list[str]) -> int:
    """Check, and print a table for each implementation."""
    given = _parser().parse_intermixed_args(words)
    for name in ("samples", "entries"):
        if getattr(given, name) < 1:
            raise OptionError(f"--{name} must be at least 1. Got {getattr(given, name)}.")
    configs = configs_of([*given.overrides, "dtype=float64"], AUTO)
    images = images_of(next(iter(configs.values())))
    agree = True
    for name, network in networks_of(configs, images).items():
        with one_blas_thread():
            found = check_gradients(
                network, made_up(network, given.samples, images.classes), given.entries
            )
        print("\n".join([f"impl={name}, {given.samples} samples, float64", *_table(found), ""]))
        worst = max(found, key=lambda check: check.difference)
        agree = agree and worst.difference <= BOUND
        verdict = "all agree" if worst.difference <= BOUND else "gradients differ"
        print(f"{verdict}: the largest relative difference is {worst.difference:.1e}", end="")
        print(f" ({worst.path}); accepted are {BOUND:.0e}")
    return 0 if agree else 1


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("gradcheck", EPILOG)
    add = parser.add_argument
    add_settings(parser)
    add("--samples", type=int, default=4, metavar="4", help="images of the mini-batch")
    add("--entries", type=int, default=20, metavar="20", help="numbers tried of each parameter")
    return parser


def _table(found: list[GradientCheck]) -> list[str]:
    """Return a row for each parameter."""
    rows = [("parameter", "shape", "tried", "numeric", "computed", "difference", "")]
    for check in found:
        shape = "x".join(map(str, check.shape))
        norms = (f"{check.numeric:.4e}", f"{check.analytic:.4e}", f"{check.difference:.1e}")
        verdict = "" if check.difference <= BOUND else "WRONG"
        rows.append((check.path, shape, str(check.tried), *norms, verdict))
    return aligned(rows, right=(2, 3, 4, 5))
