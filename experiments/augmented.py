"""Draw what each augmentation makes of ten digits: ``python -m experiments.augmented``.

The first row has the digits as they are, each other row has them after one augmentation. MNIST's
digits are taken where its files are found, or else scikit-learn's smaller ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from cnnexp.data import SOURCES, Dataset
from cnnexp.data.augmentation import AUGMENTATIONS, Augmentation, Augmenter, Pixels
from cnnexp.data.augmentation.base import Array
from cnnexp.data.dataset import Preparation
from cnnexp.errors import DataError
from experiments.benchmarks.augmentation import augmentations_of

FILE = Path(__file__).parents[1] / "docs" / "pictures" / "augmentation.png"
ROWS: dict[str, list[Augmentation]] = {
    "as they are": [],
    "shift 3 pixels": [AUGMENTATIONS["shift"](pixels=3)],
    "rotate 25°": [AUGMENTATIONS["rotate"](degrees=25)],
    "scale 1.3": [AUGMENTATIONS["scale"](factor=1.3)],
    "shear 25°": [AUGMENTATIONS["shear"](degrees=25)],
    "elastic": [AUGMENTATIONS["elastic"](pixels=1.5)],
    "erase": [AUGMENTATIONS["erase"](probability=1)],
    "noise 0.15": [AUGMENTATIONS["noise"](deviation=0.15)],
    "mixup 1.0": [AUGMENTATIONS["mixup"](alpha=1.0)],
    "augment=affine": augmentations_of("affine"),
    "augment=strong": augmentations_of("strong"),
}


def digits(count: int = 10) -> Array:
    """Return one digit of each class."""
    try:
        source = SOURCES["mnist"]()
        source.check()
        data = Dataset.prepare(source, Preparation())
    except DataError:
        data = Dataset.prepare(SOURCES["digits"](), Preparation())
    labels = data.train.Y
    return data.train.X[[int(np.flatnonzero(labels == k)[1]) for k in range(count)]]


def draw(path: Path) -> None:
    """Draw a row for each augmentation."""
    from matplotlib.figure import Figure

    X = digits()
    figure = Figure(figsize=(7.2, 7.5), dpi=110)
    title = "Ten training digits as they are, and after each augmentation"
    figure.suptitle(title, x=0.01, y=0.985, ha="left", fontsize=11)
    axes = figure.subplots(len(ROWS), len(X))
    for row, (name, transforms) in zip(axes, ROWS.items(), strict=True):
        augmenter = Augmenter(transforms, X.shape[1:], Pixels(), seed=1)
        U = augmenter.draws(1).of(range(len(X)))
        for axis, image in zip(row, augmenter(X, np.zeros(len(X)), U)[0], strict=True):
            axis.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(color="0.85")
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(0.17, 0.005, 0.995, 0.945, 0.06, 0.06)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(words: list[str] | None = None) -> int:
    """Draw into a file."""
    parser = argparse.ArgumentParser(prog="python -m experiments.augmented", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE")
    asked = parser.parse_args(words)
    draw(asked.output)
    print(f"wrote {asked.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
