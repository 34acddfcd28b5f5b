"""Draw the pictures of pages that show no CSV file: ``python -m experiments.page_pictures``.

    python -m experiments.page_pictures                 all of them: half a minute on two cores
    python -m experiments.page_pictures inspect         these

They are what commands draw: `inspect` of a run on MNIST, `compare` of a small sweep, `inspect
stride-groups`, and the augmentations. MNIST is needed. Uncommitted changes of the code are refused:
``experiments/results/pictures.csv`` says at which commit each picture was drawn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from experiments import drawn
from experiments.benchmarks import results
from experiments.figures import make_small
from experiments.provenance import ROOT

DOCS = ROOT / "docs"
RUN = "model=cnn data=mnist data.limit=6000 epochs=6 batch_size=64 learning_rate=0.02"
SWEEP = "-m learning_rate=0.3,0.1,0.03 seed=0,1"
GROUPS = "inspect stride-groups --input 4x4 --filter 2 --stride 1"
INSPECTED = {"maps1_conv1": "inspect_maps", "mistakes": "inspect_mistakes",
             "saliency": "inspect_saliency"}  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Train, draw, put the pictures into the pages' folder, and note the commit."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.page_pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRAW)}; else all")
    names = parser.parse_args(words).names or list(DRAW)
    if unknown := [name for name in names if name not in DRAW]:
        parser.error(f"no picture is named {unknown[0]!r}. Pictures: {', '.join(DRAW)}.")
    results.refuse_changes(results.FOLDER)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            drawn.note(
                *(path.relative_to(DOCS.parent).as_posix() for path in DRAW[name](Path(folder)))
            )
    return 0


def stride_groups(folder: Path) -> list[Path]:
    """Draw the groups of a window."""
    command(f"{GROUPS} --out groups.png", folder)
    return [keep(folder / "groups.png", DOCS / "pictures" / "stride_groups.png")]


def inspect(folder: Path) -> list[Path]:
    """Train a network, and draw what is in it."""
    command(f"{RUN} hydra.run.dir=look", folder)
    command("inspect look", folder)
    return [
        keep(folder / "look" / "inspect" / f"{name}.png", DOCS / "pictures" / f"{shown}.png")
        for name, shown in INSPECTED.items()
    ]


def comparing(folder: Path) -> list[Path]:
    """Draw the runs of a sweep; their times are among it, so nothing else should run."""
    command(f"{SWEEP} sweep.dir=outputs/rates", folder)
    command("compare outputs/rates --group-by learning_rate --plot comparing.png", folder)
    return [keep(folder / "comparing.png", DOCS / "comparing.png")]


def augmentation(folder: Path) -> list[Path]:
    """Draw digits, changed."""
    run("-m", "experiments.augmented", "--output", str(folder / "a.png"), folder=ROOT)
    return [keep(folder / "a.png", DOCS / "pictures" / "augmentation.png")]


DRAW = {f.__name__: f for f in (stride_groups, inspect, comparing, augmentation)}


def command(words: str, folder: Path) -> None:
    """Give a command of cnnexp, in a folder."""
    run("-m", "cnnexp", *words.split(), folder=folder)


def run(*words: str, folder: Path) -> None:
    """Run Python with the code of this checkout; a failure ends everything."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words], cwd=folder, env=env, check=True)


def keep(made: Path, place: Path) -> Path:
    """Put a picture into its place, with few colours, and return the place."""
    make_small(made)
    place.write_bytes(made.read_bytes())
    return place


if __name__ == "__main__":
    sys.exit(main())
