"""A data set in memory, ready to train on: split, limited, scaled.

The parts are cut in this order: the source's samples are split into training and test part, each
part is limited to its first samples, and the validation part is taken from the end of the training
part. Pixels are scaled last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cnnexp.data.sources import Array, Raw, Source
from cnnexp.errors import DataError, OptionError

SPLIT, SHUFFLE = 2, 3  # purposes of draws, part of their seeds
SCALINGS = ("unit", "standard", "none")


@dataclass(frozen=True)
class Samples:
    """Images ``X`` (n_m, ih, iw, n_c) and their integer labels ``Y`` (n_m,)."""

    X: Array
    Y: Array

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.Y)

    def __repr__(self) -> str:
        return f"Samples(X {' x '.join(map(str, self.X.shape))} {self.X.dtype}, Y {self.count})"

    def at(self, index: slice | Array) -> Samples:
        """Return some of the samples."""
        return Samples(self.X[index], self.Y[index])


@dataclass(frozen=True)
class Preparation:
    """How the samples of a source become a data set.

    Parameters
    ----------
    split : float or "official", optional
        Fraction of all samples that are trained on, drawn by `seed`; or the source's own division.
        If not given, the source's default.
    seed : int
        Seed of the division, independent of the seed of the training.
    limit : int, optional
        Keep the first so many training samples and the first so many test samples.
    validation : float or int, optional
        A fraction or a number of training samples, taken from their end, kept apart.
    scaling : {"unit", "standard", "none"}
        ``"unit"``: pixels from 0 to 1. ``"standard"``: mean 0 and standard deviation 1 over all
        pixels of the training part. ``"none"``: as they are.
    """

    split: float | int | str | None = None  # int, so that 0 and 1 are told what they are
    seed: int = 0
    limit: int | None = None
    validation: float | int | None = None
    scaling: str = "unit"

    def __post_init__(self) -> None:
        if isinstance(self.split, str) and self.split != "official":
            raise OptionError(
                f"split must be 'official' or a fraction between 0 and 1. Got '{self.split}'."
            )
        if isinstance(self.split, (int, float)) and not 0 < self.split < 1:
            raise OptionError(
                f"split must be 'official' or a fraction between 0 and 1. Got {self.split}."
            )
        if self.seed < 0:
            raise OptionError(f"seed must be at least 0. Got {self.seed}.")
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit must be at least 1. Got {self.limit}.")
        _check_validation(self.validation)
        if self.scaling not in SCALINGS:
            raise OptionError(
                f"scaling must be one of {', '.join(SCALINGS)}. Got '{self.scaling}'."
            )


@dataclass(frozen=True)
class Scale:
    """How the pixels of a data set were scaled: ``pixel · factor - shift``.

    Attributes
    ----------
    factor, shift : float
        What pixels are multiplied with, and what is taken off afterwards.
    largest : float
        A fully lit pixel before scaling.

    Examples
    --------
    >>> Scale(factor=1 / 255, shift=0.0, largest=255.0)(np.array([0, 51, 255]), "float64")
    array([0. , 0.2, 1. ])
    """

    factor: float
    shift: float
    largest: float

    def __call__(self, pixels: Array, dtype: npt.DTypeLike) -> Array:
        """Return scaled pixels."""
        X: Array = np.multiply(pixels, self.factor, dtype=dtype)
        if self.shift:
            X -= X.dtype.type(self.shift)
        return X


@dataclass(frozen=True)
class Dataset:
    """A data set, split and scaled.

    Attributes
    ----------
    name : str
        Name of the source.
    train, test : Samples
        What is trained on, and what is tested on.
    validation : Samples or None
        Training samples kept apart to choose settings by.
    classes : tuple of str
        Names of the classes, in the order of the labels.
    checksum : str
        Of the source's bytes, before any splitting.
    scale : Scale
        How the pixels of all parts were scaled.
    """

    name: str
    train: Samples
    test: Samples
    validation: Samples | None
    classes: tuple[str, ...]
    checksum: str
    scale: Scale

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        said = [f"{name}={part!r}" for name, part in parts.items() if part is not None]
        return f"Dataset({self.name!r}, {', '.join(said)}, {len(self.classes)} classes)"

    @classmethod
    def prepare(
        cls, source: Source, preparation: Preparation, dtype: npt.DTypeLike = "float32"
    ) -> Dataset:
        """Load a source, split it, limit it and scale its pixels.

        Raises
        ------
        DataError
            If the source cannot be read, or a part would be empty.
        """
        raw = source.load()
        train, test = _divide(source, raw, preparation)
        if preparation.limit is not None:
            first = slice(preparation.limit)
            train, test = train.at(first), test.at(first)
        train, validation = _keep_apart(train, preparation.validation)
        for part, name in ((train, "training"), (test, "test")):
            if not part.count:
                raise DataError(f"data={source.name}: no {name} samples are left.")
        scale = _scale(train.X, raw.largest, preparation.scaling)

        def scaled(part: Samples) -> Samples:
            return Samples(scale(part.X, dtype), part.Y.astype(np.intp))

        return cls(
            source.name,
            scaled(train),
            scaled(test),
            scaled(validation) if validation is not None else None,
            raw.classes,
            raw.checksum,
            scale,
        )

    def reconstruction(self) -> Dataset:
        """Return the data set with the samples themselves as targets, as an autoencoder learns."""

        def learnt(part: Samples) -> Samples:
            return Samples(part.X, part.X)

        return replace(
            self,
            train=learnt(self.train),
            test=learnt(self.test),
            validation=learnt(self.validation) if self.validation is not None else None,
            classes=(),
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Rows, columns and channels of one image."""
        return self.train.X.shape[1:]


def epoch_order(samples: int, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch visits the samples; it depends on nothing else.

    Examples
    --------
    >>> epoch_order(4, seed=0, epoch=1).tolist() == epoch_order(4, seed=0, epoch=1).tolist()
    True
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, SHUFFLE, epoch]))
    return generator.permutation(samples)


def no_official_split(source: Source) -> str:
    """Return what is said of a source that is not divided by itself."""
    return (
        f"data.split=official: {source.name} has no official split. Give the fraction that is"
        " trained on, for example data.split=0.8."
    )


def _divide(source: Source, raw: Raw, preparation: Preparation) -> tuple[Samples, Samples]:
    """Return the training and the test part of a source."""
    split = source.default_split if preparation.split is None else preparation.split
    train, test = Samples(raw.X, raw.Y), None
    if raw.X_test is not None and raw.Y_test is not None:
        test = Samples(raw.X_test, raw.Y_test)
    if split == "official":
        if test is None:
            raise DataError(no_official_split(source))
        return train, test
    if test is not None:
        train = Samples(np.concatenate([train.X, test.X]), np.concatenate([train.Y, test.Y]))
    first, second = split_indices(train.Y, float(split), preparation.seed, source.stratified)
    return train.at(first), train.at(second)


def split_indices(
    labels: Array, fraction: float, seed: int, stratified: bool
) -> tuple[Array, Array]:
    """Return the shuffled indices of two parts; stratified, every class is divided alike.

    Examples
    --------
    >>> first, second = split_indices(np.array([0, 0, 1, 1]), 0.5, seed=0, stratified=True)
    >>> sorted(np.array([0, 0, 1, 1])[first].tolist())
    [0, 1]
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, SPLIT]))
    order = generator.permutation(len(labels))
    groups = np.unique(labels) if stratified else [None]
    in_first = np.zeros(len(labels), bool)
    for label in groups:
        members = order if label is None else order[labels[order] == label]
        in_first[members[: round(fraction * len(members))]] = True
    return order[in_first[order]], order[~in_first[order]]


def _keep_apart(train: Samples, validation: float | int | None) -> tuple[Samples, Samples | None]:
    """Take the validation part from the end of the training part."""
    if not validation:
        return train, None
    fraction = isinstance(validation, float)
    count = round(validation * train.count) if fraction else int(validation)
    if not 0 < count < train.count:
        raise DataError(
            f"data.validation={validation} would take {count} of {train.count} training samples;"
            " at least one must be left on either side."
        )
    return train.at(slice(None, -count)), train.at(slice(-count, None))


def _scale(X: Array, largest: float, scaling: str) -> Scale:
    """Return how pixels are scaled, given those of the training part."""
    if scaling == "none":
        return Scale(1.0, 0.0, largest)
    if scaling == "unit":
        return Scale(1.0 / largest, 0.0, largest)
    mean, deviation = float(X.mean(dtype=np.float64)), float(X.std(dtype=np.float64))
    factor = 1.0 / (deviation or 1.0)
    return Scale(factor, mean * factor, largest)


def _check_validation(validation: float | int | None) -> None:
    """Raise OptionError unless it is a fraction below one or a number of samples."""
    if validation is None:
        return
    whole = isinstance(validation, int)
    if not validation >= 0 or (not whole and validation >= 1):
        raise OptionError(
            "validation must be a fraction below 1 or a number of samples of at least 0."
            f" Got {validation}."
        )
