"""``cnnexp predict RUN IMAGE…``: what a run's network sees on pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnexp.app.arguments import add_reading_options, load_given_run, parser_of_run
from cnnexp.app.exit_codes import USER_ERROR
from cnnexp.app.screen import say, warn
from cnnexp.data.image_folder import pictures
from cnnexp.data.images import ENDINGS
from cnnexp.runs.prediction import predict

EPILOG = """\
A digit may be dark on light or light on dark, grey, coloured or transparent, of any size and
anywhere on the picture: it is brought into the form of the training images. All pictures in a
folder are taken, in the order of their names. A picture that cannot be used is left out: standard
error says why, and the exit code is 2.

examples:
  python -m cnnexp predict RUN seven.png
  python -m cnnexp predict RUN photos
  python -m cnnexp predict RUN photos/*.jpg --json
"""
FAINTEST = 0.0005  # a smaller probability is not shown


def main(words: list[str]) -> int:
    """Predict and print a line for each picture."""
    parser = parser_of_run("predict", EPILOG)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture or folder")
    parser.add_argument("--json", action="store_true", help="print all probabilities, as JSON")
    add_reading_options(parser)
    given = parser.parse_intermixed_args(words)
    run = load_given_run(given)
    paths, left_out = files_of(given.images)
    results = predict(run, paths, left_out)
    for reason in left_out:
        warn(f"error: {reason}")
    if results and left_out:
        warn(f"left out: {len(left_out):,} of {len(results) + len(left_out):,}")
    _print(results, given.json)
    return USER_ERROR if left_out else 0


def _print(results: list[dict[str, Any]], as_json: bool) -> None:
    """Print the answers, a line for each, or as JSON."""
    if as_json:
        say(json.dumps(results))
        return
    width = max((len(result["image"]) for result in results), default=0)
    for result in results:
        line = _line(result["probabilities"]) if "class" in result else _plain(result["values"])
        say(f"{result['image']:<{width}}  {line}")


def files_of(given: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the pictures that are meant, those of a folder by name, and why there are none."""
    paths, faults = [], []
    for path in given:
        found = pictures(path) if path.is_dir() else [path]
        paths += found
        if not found:
            within = sorted(
                f"{each}" for each in path.iterdir() if each.is_dir() and pictures(each)
            )
            hint = f" There are some in {', '.join(within)}." if within else ""
            kinds = ", ".join(ENDINGS)
            faults.append(f"{path}: there is no picture ({kinds}) in this folder.{hint}")
    return paths, faults


def _plain(values: dict[str, float]) -> str:
    """Return named values in a line."""
    return "  ".join(f"{name} {value:.6g}" for name, value in values.items())


def _line(probabilities: dict[str, float]) -> str:
    """Return the likely classes, the likeliest first."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    first, *others = [f"{name} {p:.3f}" for name, p in ranked if p >= FAINTEST]
    return f"{first}   {'  '.join(others[:3])}".rstrip()
