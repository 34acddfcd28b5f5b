"""A data set, ready to train on: split, limited, scaled.

The parts are cut in this order: the source's samples are split into training and test part, each
part is limited to its first samples, and the validation part is taken from the end of the training
part. Values are scaled last. That gives one array of floats for each part, unless the samples stay
on disk or would take more than `LARGEST_COPY` bytes: these are scaled when they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.data.raw_checks import check_raw, check_scale, too_few
from cnnexp.data.scale import (
    IDENTITY,
    Rows,
    Scale,
    ScaledRows,
    standard_scale,
    unit_scale,
)
from cnnexp.data.sources import Array, Raw, Shape, Source
from cnnexp.data.targets import columns
from cnnexp.errors import DataError, OptionError

SPLIT, SHUFFLE = 2, 3  # purposes of draws, part of their seeds
SCALINGS = ("unit", "standard", "none")
TARGET_SCALINGS = ("standard", "none")
LARGEST_COPY = 2**30  # bytes of a scaled part; larger ones are scaled when they are used


@dataclass(frozen=True)
class Samples:
    """Samples ``X`` and targets ``Y``.

    ``X`` are images (n_m, ih, iw, n_c) or rows of features (n_m, features): an array, or rows that
    are scaled when they are used. ``Y`` are class indices (n_m,), or real values (n_m, …).
    """

    X: Any
    Y: Array

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.Y)

    def __repr__(self) -> str:
        return f"Samples(X {' x '.join(map(str, self.X.shape))} {self.X.dtype}, Y {self.count})"

    def at(self, index: slice | Array) -> Samples:
        """Return some of the samples."""
        X: Rows = self.X.at(index) if isinstance(self.X, ScaledRows) else self.X[index]
        return Samples(X, self.Y[index])


@dataclass(frozen=True)
class Preparation:
    """How the samples of a source become a data set.

    Parameters
    ----------
    split : float or "official", optional
        Fraction of all samples that are used for training, drawn by `seed`; or the source's own
        division. If not given, the source's default.
    seed : int
        Seed of the division, independent of the seed of the training.
    limit : int, optional
        Keep only the first N training samples and the first N test samples.
    validation : float or int, optional
        A fraction or a number of training samples, taken from their end, that are kept apart.
    scaling : {"unit", "standard", "none"}, optional
        ``"unit"``: pixels from 0 to 1, each column of a table over its range. ``"standard"``: mean
        0 and standard deviation 1 over all pixels, or over each column, of the training part.
        ``"none"``: as they are. If not given, images are ``"unit"`` and tables ``"standard"``.
    target_scaling : {"standard", "none"}, optional
        The same for each column of real-valued targets; ``"standard"`` if not given.
    """

    split: float | int | str | None = None  # int, so that 0 and 1 are told what they are
    seed: int = 0
    limit: int | None = None
    validation: float | int | None = None
    scaling: str | None = None
    target_scaling: str | None = None

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
        for name, known in (("scaling", SCALINGS), ("target_scaling", TARGET_SCALINGS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise OptionError(f"{name} must be one of {', '.join(known)}. Got '{value}'.")


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
        Names of the classes, in the order of the labels; empty if the targets are real values.
    checksum : str
        Of the source's bytes, before any splitting.
    scale : Scale
        How the values of all parts were scaled.
    targets : tuple of str
        Names of real-valued targets, where they have any.
    target_scale : Scale or None
        How real-valued targets were scaled.
    notice : str
        What a user may not expect of the source; mostly nothing.
    """

    name: str
    train: Samples
    test: Samples
    validation: Samples | None
    classes: tuple[str, ...]
    checksum: str
    scale: Scale
    targets: tuple[str, ...] = ()
    target_scale: Scale | None = None
    notice: str = ""

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        said = [f"{name}={part!r}" for name, part in parts.items() if part is not None]
        learnt = f"{len(self.classes)} classes" if self.classes else "real values"
        return f"Dataset({self.name!r}, {', '.join(said)}, {learnt})"

    @classmethod
    def prepare(
        cls,
        source: Source,
        preparation: Preparation,
        dtype: npt.DTypeLike = "float32",
        scale: Scale | None = None,
        target_scale: Scale | None = None,
        raw: Raw | None = None,
    ) -> Dataset:
        """Load a source, split it, limit it and scale its values.

        Parameters
        ----------
        source, preparation : Source, Preparation
            What is read, and how it is divided and scaled.
        dtype : dtype
            Of scaled values.
        scale, target_scale : Scale, optional
            Those of another data set, to be used instead of its own.
        raw : Raw, optional
            What the source holds, if it was read already.

        Raises
        ------
        DataError
            If the source cannot be read, what it holds is not finite, or a part would be empty.
        """
        raw = source.load() if raw is None else raw
        check_raw(source, raw)
        if not raw.classes:
            tested = None if raw.Y_test is None else columns(raw.Y_test)
            raw = replace(raw, Y=columns(raw.Y), Y_test=tested)
        train, test = _divide(source, raw, preparation)
        if preparation.limit is not None:
            first = slice(preparation.limit)
            train, test = train.at(first), test.at(first)
        train, validation = _keep_apart(train, preparation.validation)
        for part, name in ((train, "training"), (test, "test")):
            if not part.count:
                raise DataError(
                    f"data={source.name}: no {name} samples are left.{too_few(source, raw)}"
                )
        check_scale(source, scale, train.X.shape[1:])
        check_scale(source, None if raw.classes else target_scale, train.Y.shape[1:])
        if scale is None:
            scale = _scale(train.X, raw.largest, preparation.scaling)
        if not raw.classes and target_scale is None:
            target_scale = _target_scale(train.Y, preparation.target_scaling)

        def scaled(part: Samples) -> Samples:
            Y = part.Y.astype(np.intp) if raw.classes else target_scale(part.Y, dtype)  # type: ignore[misc]
            return Samples(_scaled(part.X, scale, dtype), Y)

        return cls(
            source.name,
            scaled(train),
            scaled(test),
            scaled(validation) if validation is not None else None,
            raw.classes,
            raw.checksum,
            scale,
            raw.targets,
            target_scale,
            raw.notice,
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
            targets=(),
            target_scale=None,
        )

    @property
    def image_shape(self) -> Shape:
        """Rows, columns and channels of one image; or the number of features, as a tuple."""
        return tuple(self.train.X.shape[1:])

    @property
    def target_shape(self) -> Shape | None:
        """Shape of one sample's real values; None for classes."""
        return None if self.classes else self.train.Y.shape[1:]

    def in_units(self, A: Array) -> Array:
        """Return real values, as a network puts them out, in the unit of the source."""
        return A if self.target_scale is None else self.target_scale.undo(A)


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
    train, test = Samples(_rows(raw.X), raw.Y), None
    if raw.X_test is not None and raw.Y_test is not None:
        test = Samples(_rows(raw.X_test), raw.Y_test)
    if split == "official":
        if test is None:
            raise DataError(no_official_split(source))
        return train, test
    if test is not None:
        if isinstance(train.X, ScaledRows):
            raise DataError(
                f"data.split={split}: {source.name} is divided into files that stay on disk, which"
                " cannot be divided anew. Leave out data.split, or the test files."
            )
        train = Samples(np.concatenate([train.X, test.X]), np.concatenate([train.Y, test.Y]))
    stratified = source.stratified and bool(raw.classes)
    first, second = split_indices(train.Y, float(split), preparation.seed, stratified)
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


def _rows(X: Array) -> Rows:
    """Return samples as they are, or as rows that are read when they are used."""
    return ScaledRows(X) if isinstance(X, np.memmap) else X


def _scaled(X: Rows, scale: Scale, dtype: npt.DTypeLike) -> Rows:
    """Return scaled samples, as a copy unless that would be very large."""
    if isinstance(X, ScaledRows):
        return X.scaled(scale, dtype)
    if X.size * np.dtype(dtype).itemsize > LARGEST_COPY:
        return ScaledRows(X, scale=scale, dtype=dtype)
    return scale(X, dtype)


def _scale(X: Rows, largest: float, scaling: str | None) -> Scale:
    """Return how samples are scaled, given those of the training part."""
    scaling = scaling or default_scaling(X.shape[1:])
    if scaling == "none":
        return Scale(1.0, 0.0, largest)
    return unit_scale(X, largest) if scaling == "unit" else standard_scale(X, largest)


def default_scaling(shape: Shape) -> str:
    """Return how samples of a shape are scaled where nothing is said."""
    return "standard" if len(shape) == 1 else "unit"


def _target_scale(Y: Array, scaling: str | None) -> Scale:
    """Return how real values are scaled, given those of the training part."""
    if scaling == "none":
        return IDENTITY
    columns = standard_scale(Y.reshape(len(Y), -1))
    shape = Y.shape[1:]
    return Scale(np.reshape(columns.factor, shape), np.reshape(columns.shift, shape))


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
