"""Where data sets come from.

A source gives raw values and targets, with a checksum of what it read, and says how its samples are
divided by default. A new source is a dataclass whose fields are its options::

    @SOURCES.register("noise")
    @dataclass
    class Noise(Source):
        count: int = 100

        def load(self):
            ...
            return Raw(X, Y, largest=255, classes=("0", "1"), checksum="…")

What it holds may be images or a table, and its targets classes or real values.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.data.images import Figure
from cnnexp.errors import DataError
from cnnexp.registry import Registry

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

MOST_BYTES = 2**31  # of a set that is read into memory
HASHED = 2**20  # bytes that a checksum takes at a time


@dataclass
class Raw:
    """What a source holds.

    Attributes
    ----------
    X : array
        Images (n_m, ih, iw, n_c), or a table (n_m, features); all samples, or those that are
        trained on. A memory-mapped array stays on disk.
    Y : array
        Class indices (n_m,), or real values (n_m, targets).
    largest : float
        The value of a fully lit pixel.
    classes : tuple of str
        Names of the classes; empty if the targets are real values.
    checksum : str
        Of the bytes that were read.
    X_test, Y_test : array, optional
        The test samples, where the source divides them itself.
    targets : tuple of str
        Names of real-valued targets, where they have any.
    notice : str
        What a user may not expect of it; mostly nothing.
    """

    X: Array
    Y: Array
    largest: float
    classes: tuple[str, ...]
    checksum: str
    X_test: Array | None = None
    Y_test: Array | None = None
    targets: tuple[str, ...] = ()
    notice: str = ""

    @property
    def target_shape(self) -> Shape | None:
        """Shape of one sample's real values; None for classes."""
        return None if self.classes else self.Y.shape[1:] or (1,)


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

    def feature_names(self) -> list[str]:
        """Return the columns of a table that are learnt from; images have none."""
        return []

    def image_shape(self) -> Shape | None:
        """Return (ih, iw, n_c), or (features,), where it is known without reading the samples."""
        return None

    def class_count(self) -> int | None:
        """Return the number of classes where it is known; 0 if the targets are real values."""
        return None

    def target_shape(self) -> Shape | None:
        """Return the shape of one sample's real values where it is known before reading."""
        return None

    def sample_count(self) -> int | None:
        """Return the number of samples, before division, where it is known before reading."""
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
VARIABLE = "CNNEXP_DATA_DIR"  # the folder of all data sets


def data_folder(name: str, given: str | None) -> Path:
    """Return the folder of a data set.

    It is the one given, or else the folder `name` in ``$CNNEXP_DATA_DIR``, or else in the user's
    cache folder.
    """
    if given:
        return Path(given).expanduser()
    if root := os.environ.get(VARIABLE):
        return Path(root).expanduser() / name
    from platformdirs import user_cache_path

    return user_cache_path("cnnexp") / name


def array_checksum(*arrays: Array) -> str:
    """Return a checksum of the shapes, types and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str} ".encode())
        for block in _blocks_of_bytes(array):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def file_checksum(*paths: Path) -> str:
    """Return a checksum of the bytes of files, which are read a megabyte at a time."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.stat().st_size} ".encode())
        with open(path, "rb") as file:
            while block := file.read(HASHED):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def refuse_too_large(size: int, where: str, instead: str) -> None:
    """Raise DataError before memory is taken for more than `MOST_BYTES`."""
    if size > MOST_BYTES:
        raise DataError(
            f"{where}: it would take {size / 2**30:,.1f} GiB of memory; at most"
            f" {MOST_BYTES / 2**30:,.0f} GiB are read into it. {instead}"
        )


def _blocks_of_bytes(array: Array) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an array in row-major order, without a copy of all of them."""
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    flat: Any = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(flat), HASHED):
        yield flat[start : start + HASHED]
