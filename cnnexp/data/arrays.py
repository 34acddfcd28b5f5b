"""Arrays in NumPy files: ``.npz`` archives, and ``.npy`` files that stay on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.data.headers import Header, npy_header, npz_headers
from cnnexp.data.scale import ScaledRows, not_finite
from cnnexp.data.sources import (
    SOURCES,
    Array,
    Raw,
    Shape,
    Source,
    array_checksum,
    file_checksum,
    refuse_too_large,
)
from cnnexp.data.targets import check_task, targets_of
from cnnexp.errors import DataError, system_cause, system_reason

DIVIDED, WHOLE = ("x_train", "y_train", "x_test", "y_test"), ("x", "y")
SHAPES = "(n_m, ih, iw) or (n_m, ih, iw, n_c), or a table (n_m, features)"


@SOURCES.register("npz")
@dataclass
class Npz(Source):
    """Arrays in a NumPy file: ``X`` and ``Y``, or ``X_train, Y_train, X_test, Y_test``.

    Capitals do not matter, so files in the manner of Keras (``x_train``) are read as they are.

    Parameters
    ----------
    file : str
        Path of the ``.npz`` file. ``X`` holds images (n_m, ih, iw) or (n_m, ih, iw, n_c), or a
        table (n_m, features); ``Y`` labels (n_m,), whole numbers or text, one-hot rows, or real
        values (n_m,) or (n_m, targets).
    task : {"classification", "regression"}, optional
        What is learnt, if it is not what ``Y`` looks like.
    """

    file: str = ""
    task: str | None = None

    def __post_init__(self) -> None:
        check_task(self.task)

    @property
    def default_split(self) -> float | str:  # type: ignore[override]
        """The file's own division where it has one, else 0.8."""
        return "official" if len(self._wanted(self._headers())) == 4 else 0.8

    def check(self) -> None:
        """Raise DataError unless there is such a file, with the arrays that are needed."""
        headers = self._headers()
        wanted = self._wanted(headers)
        for name in wanted[::2]:
            check_samples(headers[name], self.file)
        size = sum(headers[name].nbytes for name in wanted)
        refuse_too_large(
            size, self.file, "Save its arrays with numpy.save, and use data=npy: they stay on disk."
        )

    def load(self) -> Raw:
        """Return the arrays of the file."""
        self.check()
        wanted = self._wanted(self._headers())
        try:
            with open(self.file, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = [arrays[name] for name in wanted]
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            cause = system_cause(error)
            why = f"{system_reason(cause)}." if cause is not None else error
            raise DataError(f"{self.file}: cannot be read: {why}") from None
        images = [with_channels(X) for X in found[::2]]
        for name, X in zip(wanted[::2], images, strict=True):
            if (where := not_finite(X)) is not None:
                raise DataError(f"{self.file}: {name}: images must be finite numbers. {where}")
        Ys, classes = targets_of(found[1::2], self.task, self.file)
        check_counts(images, Ys, self.file)
        given = zip(images, found[1::2], strict=True)
        checksum = array_checksum(*(array for pair in given for array in pair))
        largest = 255.0 if images[0].dtype == np.uint8 else float(abs(images[0]).max()) or 1.0
        test: list[Any] = [images[1], Ys[1]] if len(images) > 1 else []
        return Raw(images[0], Ys[0], largest, classes, checksum, *test)

    def image_shape(self) -> Shape | None:
        """Return the shape that the header of ``X`` says."""
        header = self._samples_header()
        return None if header is None else with_channel(header.shape[1:])

    def sample_count(self) -> int | None:
        """Return the number that the header of ``X`` says."""
        header = self._samples_header()
        return None if header is None else header.shape[0]

    def _samples_header(self) -> Header | None:
        """Return the header of the (training) samples; None if the file cannot be read."""
        try:
            headers = self._headers()
            header = headers[self._wanted(headers)[0]]
            check_samples(header, self.file)
        except DataError as error:
            if system_cause(error) is not None:
                raise  # without its header, other defaults would be chosen in silence
            return None
        return header

    def _headers(self) -> dict[str, Header]:
        """Return the headers of the arrays in the file."""
        if not self.file:
            raise DataError("data=npz needs data.file=PATH, the file that holds the arrays.")
        return npz_headers(self.file)

    def _wanted(self, headers: dict[str, Header]) -> list[str]:
        """Return the names of the arrays that make up the data set."""
        by_name = {name.lower(): name for name in headers}
        wanted = DIVIDED if "x_test" in by_name else WHOLE
        if not set(wanted) <= set(by_name):
            raise DataError(
                f"{self.file}: needs the arrays X and Y, or X_train, Y_train, X_test and Y_test."
                f" Found: {', '.join(headers) or 'none'}."
            )
        return [by_name[name] for name in wanted]


@SOURCES.register("npy")
@dataclass
class Npy(Source):
    """Arrays in ``.npy`` files that stay on disk: sets larger than memory.

    Samples are read and scaled a mini-batch at a time. The files are read whole once at the
    beginning, for their checksum.

    Parameters
    ----------
    images : str
        Path of one ``.npy`` file, as `numpy.save` writes it: all samples, as ``X`` of ``data=npz``.
    labels : str
        Path of one ``.npy`` file: the targets of `images`, as ``Y`` of ``data=npz``.
    test_images : str, optional
        Path of one ``.npy`` file: the samples of the test part; without it, `split` divides
        `images`.
    test_labels : str, optional
        Path of one ``.npy`` file: the targets of `test_images`.
    task : {"classification", "regression"}, optional
        What is learnt, if it is not what the labels look like.
    """

    images: str = ""
    labels: str = ""
    test_images: str | None = None
    test_labels: str | None = None
    task: str | None = None

    def __post_init__(self) -> None:
        check_task(self.task)

    @property
    def default_split(self) -> float | str:  # type: ignore[override]
        """The official one where there are test files, else 0.8."""
        return "official" if self.test_images else 0.8

    def check(self) -> None:
        """Raise DataError unless the files are there, and say what they should."""
        if not self.images or not self.labels:
            raise DataError("data=npy needs data.images=PATH and data.labels=PATH, two .npy files.")
        if bool(self.test_images) != bool(self.test_labels):
            raise DataError("data.test_images and data.test_labels: give both, or none.")
        for (option, path), (label_option, label_path) in self._pairs():
            check_samples(npy_header(path, option), path)
            labels = npy_header(label_path, label_option)
            refuse_too_large(labels.nbytes, label_path, "Labels are read into memory.")

    def load(self) -> Raw:
        """Return samples that stay on disk, and labels."""
        self.check()
        pairs = list(self._pairs())
        try:
            images = [with_channels(np.load(image[1], mmap_mode="r")) for image, _ in pairs]
            labels = [np.load(label[1], allow_pickle=False) for _, label in pairs]
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            raise DataError(f"data=npy: cannot be read: {error}") from None
        Ys, classes = targets_of(labels, self.task, self.labels)
        check_counts(images, Ys, self.images)
        paths = [image[1] for image, _ in pairs]
        largest = max(self._largest(X, path) for X, path in zip(images, paths, strict=True))
        checksum = file_checksum(*(Path(path) for pair in pairs for _, path in pair))
        test: list[Any] = [images[1], Ys[1]] if len(images) > 1 else []
        return Raw(images[0], Ys[0], largest or 1.0, classes, checksum, *test)

    def image_shape(self) -> Shape | None:
        """Return the shape that the header of the samples says."""
        header = self._samples_header()
        return None if header is None else with_channel(header.shape[1:])

    def sample_count(self) -> int | None:
        """Return the number that the header of the samples says."""
        header = self._samples_header()
        return None if header is None else header.shape[0]

    def _samples_header(self) -> Header | None:
        try:
            header = npy_header(self.images, "images")
            check_samples(header, self.images)
        except DataError:
            return None
        return header

    def _pairs(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        """Return option and path of samples and labels, of one part or of both."""
        pairs = [(("images", self.images), ("labels", self.labels))]
        if self.test_images and self.test_labels:
            pairs.append((("test_images", self.test_images), ("test_labels", self.test_labels)))
        return pairs

    def _largest(self, X: Array, path: str) -> float:
        """Return the value of a fully lit pixel, after a look at all floats."""
        if X.dtype == np.uint8:
            return 255.0
        rows = ScaledRows(X)
        largest = float(np.max([abs(block).max() for block in rows.blocks()]))
        if not np.isfinite(largest):  # of nan the largest is nan
            raise DataError(f"{path}: images must be finite numbers. {not_finite(rows)}")
        return largest


def check_samples(header: Header, where: str) -> None:
    """Raise DataError unless a header is that of images or of a table."""
    if len(header.shape) not in (2, 3, 4):
        raise DataError(f"{where}: images must be {SHAPES}. Got {header.shape}.")
    if not header.shape[0]:
        raise DataError(f"{where}: there are no images in it.")
    if 0 in header.shape:
        raise DataError(f"{where}: images must have at least one pixel. Got {header.shape}.")
    if header.dtype.kind not in "biuf":
        raise DataError(f"{where}: images must be numbers. Got {header.dtype.str}.")


def check_counts(images: Sequence[Array], labels: Sequence[Array], where: str) -> None:
    """Raise DataError unless each sample has a target, and both parts have one shape."""
    for X, Y in zip(images, labels, strict=True):
        if len(X) != len(Y):
            raise DataError(
                f"{where}: there must be a label for each image. Got labels of shape {Y.shape}"
                f" for {len(X)} images."
            )
    for arrays, what in ((images, "images"), (labels, "labels")):
        if len({array.shape[1:] for array in arrays}) > 1:
            raise DataError(
                f"{where}: training and test {what} must have one shape. Got"
                f" {arrays[0].shape[1:]} and {arrays[1].shape[1:]}."
            )


def with_channel(shape: Shape) -> Shape:
    """Return the shape of an image with a channel axis; that of a row of features as it is."""
    return (*shape, 1) if len(shape) == 2 else shape


def with_channels(X: Array) -> Array:
    """Return samples with a channel axis, if they are images without one."""
    return X[..., None] if X.ndim == 3 else X
