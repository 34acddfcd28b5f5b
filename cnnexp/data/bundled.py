"""Sets that come with this package or with scikit-learn: nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cnnexp.data.images import Figure
from cnnexp.data.sources import SOURCES, Array, Raw, Shape, Source, array_checksum
from cnnexp.errors import OptionError, did_you_mean, require

DIGITS = Path(__file__).with_name("digits.npz")
COUNTED = Figure(share=1.0, fine=4)  # counts in 4x4 blocks of 32x32 pixels


@SOURCES.register("digits")
@dataclass
class Digits(Source):
    """1,797 handwritten digits of 8x8 pixels, part of this package.

    They are the test set of the reference, which scikit-learn has too. The file beside this module
    is theirs, in NumPy's form (CC BY 4.0).

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49
    """

    default_split: ClassVar[float | str] = 0.8
    stratified: ClassVar[bool] = True
    figure: ClassVar[Figure] = COUNTED

    def load(self) -> Raw:
        """Return all 1,797 digits; there is no official division."""
        with np.load(DIGITS, allow_pickle=False) as arrays:
            X, Y = arrays["X"], arrays["Y"]
        return Raw(X, Y, 16.0, tuple("0123456789"), array_checksum(X, Y))

    def image_shape(self) -> tuple[int, int, int]:
        """Return (8, 8, 1)."""
        return 8, 8, 1

    def class_count(self) -> int:
        """Return 10."""
        return 10

    def sample_count(self) -> int:
        """Return 1,797."""
        return 1797


class Bundled(NamedTuple):
    """What is known of a set before scikit-learn is imported."""

    samples: int
    shape: Shape
    classes: int
    targets: int = 0


SETS = {
    "iris": Bundled(150, (4,), 3),
    "wine": Bundled(178, (13,), 3),
    "breast_cancer": Bundled(569, (30,), 2),
    "digits": Bundled(1797, (8, 8, 1), 10),
    "diabetes": Bundled(442, (10,), 0, 1),
    "linnerud": Bundled(20, (3,), 0, 3),
}
DOWNLOADED = (
    "20newsgroups",
    "california_housing",
    "covtype",
    "kddcup99",
    "lfw_pairs",
    "lfw_people",
    "olivetti_faces",
    "openml",
    "rcv1",
    "species_distributions",
)


@SOURCES.register("sklearn")
@dataclass
class Sklearn(Source):
    """A small set that comes with scikit-learn: images, or a table of classes or real values.

    Needs ``pip install 'cnnexp[sklearn]'``.

    Parameters
    ----------
    set : str
        ``iris, wine, breast_cancer, digits`` (classes), ``diabetes, linnerud`` (real values).

    References
    ----------
    https://scikit-learn.org/stable/datasets/toy_dataset.html
    """

    set: str = "iris"

    default_split: ClassVar[float | str] = 0.8
    stratified: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.set in SETS:
            require("sklearn", f"set={self.set}", "sklearn", "scikit-learn")
            return
        if self.set in DOWNLOADED:
            raise OptionError(
                f"set={self.set}: scikit-learn downloads it, and only sets that come with it can be"
                f" named here: {', '.join(SETS)}. Save it as .npz or CSV: data=npz, data=csv."
            )
        raise OptionError(
            f"set must be one of {', '.join(SETS)}.{did_you_mean(self.set, SETS)} Got '{self.set}'."
        )

    @property
    def figure(self) -> Figure | None:  # type: ignore[override]
        """That of the digits."""
        return COUNTED if self.set == "digits" else None

    def load(self) -> Raw:
        """Return all samples; there is no official division."""
        import sklearn.datasets

        bunch: Any = getattr(sklearn.datasets, f"load_{self.set}")()
        X = np.asarray(bunch.data, np.float64).reshape(-1, *self.image_shape())
        given = bunch.get("target_names")
        names = ("disease progression",) if given is None else tuple(str(name) for name in given)
        if SETS[self.set].classes:
            Y: Array = np.asarray(bunch.target, np.intp)
            return Raw(X, Y, 16.0, names, array_checksum(X, Y))
        Y = np.asarray(bunch.target, np.float64).reshape(len(X), -1)
        return Raw(X, Y, 16.0, (), array_checksum(X, Y), targets=names)

    def image_shape(self) -> Shape:
        """Return the shape of one sample."""
        return SETS[self.set].shape

    def class_count(self) -> int:
        """Return the number of classes, 0 for real values."""
        return SETS[self.set].classes

    def target_shape(self) -> Shape | None:
        """Return the number of real values per sample."""
        return (SETS[self.set].targets,) if SETS[self.set].targets else None

    def sample_count(self) -> int:
        """Return the number of samples."""
        return SETS[self.set].samples
