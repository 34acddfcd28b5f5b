"""Where data sets come from.

A source gives raw pixels and labels, with a checksum of what it read, and says how its samples are
divided by default. A new source is a dataclass whose fields are its options::

    @SOURCES.register("noise")
    @dataclass
    class Noise(Source):
        count: int = 100

        def load(self):
            ...
            return Raw(X, Y, largest=255, classes=("0", "1"), checksum="…")
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.data.images import Figure, as_picture, open_picture
from cnnexp.errors import DataError, OptionError
from cnnexp.registry import Registry

Array = npt.NDArray[Any]

UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


@dataclass
class Raw:
    """What a source holds.

    Attributes
    ----------
    X, Y : array
        Images (n_m, ih, iw, n_c) and labels (n_m,); all samples, or those that are trained on.
    largest : float
        The value of a fully lit pixel.
    classes : tuple of str
        Names of the classes.
    checksum : str
        Of the bytes that were read.
    X_test, Y_test : array, optional
        The test samples, where the source divides them itself.
    """

    X: Array
    Y: Array
    largest: float
    classes: tuple[str, ...]
    checksum: str
    X_test: Array | None = None
    Y_test: Array | None = None


class Source(ABC):
    """Base of all sources. The dataclass fields of a subclass are its options.

    Attributes
    ----------
    name : str
        The name in the table of data sets.
    default_split : float or "official"
        How samples are divided where a config does not say.
    stratified : bool
        Whether a division by a fraction divides every class alike.
    figure : Figure or None
        Where images have one light figure on black, such as a digit: how it is placed. Pictures
        from elsewhere are then brought into that form; else they are only scaled to size.
    """

    name: ClassVar[str] = ""
    default_split: ClassVar[float | str] = "official"
    stratified: ClassVar[bool] = False
    figure: ClassVar[Figure | None] = None

    @abstractmethod
    def load(self) -> Raw:
        """Read everything.

        Raises
        ------
        DataError
            If something is absent, damaged or wrong; the message says what to do.
        """

    def check(self) -> None:  # noqa: B027  (most sources have nothing to check)
        """Raise DataError if what the options name is not there; nothing is read or made."""

    @property
    def has_official_split(self) -> bool:
        """Whether the source divides its samples itself."""
        return self.default_split == "official"

    def image_shape(self) -> tuple[int, int, int] | None:
        """Return (ih, iw, n_c) where it is known without reading anything."""
        return None

    def class_count(self) -> int | None:
        """Return the number of classes where it is known without reading anything."""
        return None


class SourceTable(Registry[type[Source]]):
    """The table of sources; a class learns the name it is entered under."""

    def register(self, name: str) -> Any:
        """Return a decorator that enters a source class under `name`."""
        enter = super().register(name)

        def enter_and_tell(source: type[Source]) -> type[Source]:
            enter(source)
            source.name = name
            return source

        return enter_and_tell


SOURCES = SourceTable("data set")


@SOURCES.register("digits")
@dataclass
class Digits(Source):
    """Scikit-learn's 1,797 handwritten digits of 8x8 pixels, part of its installation.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49
    """

    default_split: ClassVar[float | str] = 0.8
    stratified: ClassVar[bool] = True
    file: ClassVar[tuple[str, ...]] = ("datasets", "data", "digits.csv.gz")  # in scikit-learn
    figure: ClassVar[Figure] = Figure(share=1.0, fine=4)  # counts in 4x4 blocks of 32x32 pixels

    def load(self) -> Raw:
        """Return all 1,797 digits; there is no official division."""
        table = self._table().astype(np.uint8)
        X, Y = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]
        return Raw(X, Y, 16.0, tuple("0123456789"), array_checksum(X, Y))

    def _table(self) -> Array:
        """Return 64 pixels and a label a row, as scikit-learn has them.

        They are read from its file where that is found: in 30 ms, where importing scikit-learn
        takes a second.
        """
        package = find_spec("sklearn")
        if package and package.origin:
            file = Path(package.origin).parent.joinpath(*self.file)
            if file.exists():
                return np.loadtxt(file, delimiter=",")
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.column_stack([digits.data, digits.target])

    def image_shape(self) -> tuple[int, int, int]:
        """Return (8, 8, 1)."""
        return 8, 8, 1

    def class_count(self) -> int:
        """Return 10."""
        return 10


@SOURCES.register("npz")
@dataclass
class Npz(Source):
    """Arrays in a NumPy file: ``X`` and ``Y``, or ``X_train, Y_train, X_test, Y_test``.

    Parameters
    ----------
    file : str
        Path of the ``.npz`` file. Images are (n_m, ih, iw) or (n_m, ih, iw, n_c), labels (n_m,).
    """

    file: str = ""

    @property
    def default_split(self) -> float | str:  # type: ignore[override]
        """The file's own division where it has one, else 0.8."""
        return "official" if "X_test" in self._names() else 0.8

    def check(self) -> None:
        """Raise DataError unless there is such a file, with the arrays that are needed."""
        self._wanted()

    def load(self) -> Raw:
        """Return the arrays of the file."""
        wanted = self._wanted()
        try:
            with open(self.file, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = [arrays[name] for name in wanted]
        except UNREADABLE as error:
            raise DataError(f"{self.file}: cannot be read: {error}") from None
        images = [_as_images(X, self.file) for X in found[::2]]
        for X, Y in zip(images, found[1::2], strict=True):
            _check_labels(X, Y, self.file)
        if len({X.shape[1:] for X in images}) > 1:
            raise DataError(
                f"{self.file}: training and test images must have one shape. Got"
                f" {images[0].shape[1:]} and {images[1].shape[1:]}."
            )
        count = int(max(Y.max() for Y in found[1::2])) + 1
        largest = 255.0 if images[0].dtype == np.uint8 else float(abs(images[0]).max()) or 1.0
        arrays = [array for pair in zip(images, found[1::2], strict=True) for array in pair]
        classes = tuple(str(k) for k in range(count))
        return Raw(arrays[0], arrays[1], largest, classes, array_checksum(*arrays), *arrays[2:])

    def _wanted(self) -> tuple[str, ...]:
        """Return the names of the arrays that make up the data set."""
        names = self._names()
        wanted = ("X_train", "Y_train", "X_test", "Y_test") if "X_test" in names else ("X", "Y")
        if not set(wanted) <= set(names):
            raise DataError(
                f"{self.file}: needs the arrays X and Y, or X_train, Y_train, X_test and Y_test."
                f" Found: {', '.join(names) or 'none'}."
            )
        return wanted

    def _names(self) -> list[str]:
        """Return the names of the arrays in the file."""
        if not self.file:
            raise DataError("data=npz needs data.file=PATH, the file that holds the arrays.")
        try:
            with open(self.file, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return list(arrays.files)
        except FileNotFoundError:
            raise DataError(f"data.file={self.file}: there is no such file.") from None
        except (*UNREADABLE, AttributeError, TypeError):  # the last two of a single array
            raise DataError(
                f"data.file={self.file}: not an .npz file, as numpy.savez writes it."
            ) from None


@SOURCES.register("image_folder")
@dataclass
class ImageFolder(Source):
    """A folder with one folder of images for each class.

    Parameters
    ----------
    dir : str
        The folder; the names of its folders, sorted, are the classes.
    size : int
        Rows and columns that every image is scaled to.
    channels : int
        1 for grey, 3 for colour.
    """

    dir: str = ""
    size: int = 28
    channels: int = 1

    default_split: ClassVar[float | str] = 0.8
    stratified: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise OptionError(f"size must be at least 1. Got {self.size}.")
        if self.channels not in (1, 3):
            raise OptionError(f"channels must be 1 for grey or 3 for colour. Got {self.channels}.")

    def check(self) -> None:
        """Raise DataError unless there is such a folder."""
        if not self.dir:
            raise DataError(
                "data=image_folder needs data.dir=FOLDER, with a folder of images for each class."
            )
        if not Path(self.dir).is_dir():
            raise DataError(f"data.dir={self.dir}: there is no such folder.")

    def load(self) -> Raw:
        """Return all images, scaled to one size."""
        self.check()
        root = Path(self.dir)
        folders = (path for path in root.iterdir() if path.is_dir())
        classes = sorted(path.name for path in folders if not path.name.startswith("."))
        X, Y = [], []
        for label, name in enumerate(classes):
            for path in sorted((root / name).iterdir()):
                if path.suffix.lower() not in IMAGE_ENDINGS:
                    continue
                X.append(as_picture(open_picture(path), self.image_shape()))
                Y.append(label)
        if not X:
            raise DataError(
                f"data.dir={self.dir}: needs one folder of images for each class. Found no image"
                f" ({', '.join(IMAGE_ENDINGS)}) in its folders: {', '.join(classes) or 'none'}."
            )
        images, labels = np.stack(X), np.array(Y)
        return Raw(images, labels, 255.0, tuple(classes), array_checksum(images, labels))

    def image_shape(self) -> tuple[int, int, int]:
        """Return (size, size, channels)."""
        return self.size, self.size, self.channels


def data_folder(name: str, given: str | None) -> Path:
    """Return the folder of a data set.

    It is the one given, or else the folder `name` in ``$CNNEXP_DATA_DIR``, or else in the user's
    cache folder.
    """
    if given:
        return Path(given).expanduser()
    if root := os.environ.get("CNNEXP_DATA_DIR"):
        return Path(root).expanduser() / name
    from platformdirs import user_cache_path

    return user_cache_path("cnnexp") / name


def array_checksum(*arrays: Array) -> str:
    """Return a checksum of the shapes, types and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _as_images(X: Array, file: str) -> Array:
    """Return images of numbers with a channel axis."""
    if X.ndim == 3:
        X = X[..., None]
    if X.ndim != 4:
        raise DataError(
            f"{file}: images must be (n_m, ih, iw) or (n_m, ih, iw, n_c). Got {X.shape}."
        )
    if not len(X):
        raise DataError(f"{file}: there are no images in it.")
    if X.dtype.kind not in "biuf":
        raise DataError(f"{file}: images must be numbers. Got {X.dtype.str}.")
    if not np.isfinite(X).all():
        raise DataError(f"{file}: images must be finite numbers.")
    return X


def _check_labels(X: Array, Y: Array, file: str) -> None:
    """Raise DataError unless there is a label, a whole number from 0, for each image."""
    if Y.ndim != 1 or len(X) != len(Y) or not np.issubdtype(Y.dtype, np.integer):
        raise DataError(
            f"{file}: labels must be whole numbers, one for each image. Got labels of"
            f" shape {Y.shape} and type {Y.dtype} for {len(X)} images."
        )
    if Y.min() < 0:
        raise DataError(f"{file}: labels must be at least 0. Found {Y.min()}.")
