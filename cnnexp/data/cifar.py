"""CIFAR-10 in its own binary format, from files on disk.

Each file has 10,000 records of 3,073 bytes: a label, and the red, the green and the blue plane of a
picture of 32x32 pixels. They are read from the folder of the unpacked archive, or from the archive
itself, whose checksum is published: SHA-256 in TensorFlow Datasets (``url_checksums/cifar10.txt``),
MD5 c32a1d4ab5d03f1284b67883e8d87530 on the page of its authors. No checksum of the unpacked files
is published, so these are only looked at for their size and labels.

References
----------
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cnnexp.data.files import expect
from cnnexp.data.sources import SOURCES, Array, Raw, Source, data_folder
from cnnexp.errors import DataError

SIDE, CHANNELS = 32, 3
RECORD = 1 + CHANNELS * SIDE * SIDE  # bytes
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FOLDER = "cifar-10-batches-bin"  # inside the archive
ARCHIVE = "cifar-10-binary.tar.gz"
PICKLES = ("data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz")
TRAIN, TEST = tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"


@SOURCES.register("cifar10")
@dataclass
class Cifar10(Source):
    """60,000 colour photographs of ten things, 32x32 pixels, from files on disk.

    Parameters
    ----------
    dir : str, optional
        The folder of ``data_batch_1.bin`` … ``data_batch_5.bin`` and ``test_batch.bin``, or the
        one that holds ``cifar-10-batches-bin`` or ``cifar-10-binary.tar.gz``. By default the one in
        ``$CNNEXP_DATA_DIR``, or in your cache folder. Nothing is downloaded.
    """

    dir: str | None = None

    records: ClassVar[int] = 10_000  # in each file
    archive_checksum: ClassVar[str] = (
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    )
    classes: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    @property
    def folder(self) -> Path:
        """The folder that is looked in."""
        return data_folder(self.name, self.dir)

    def check(self) -> None:
        """Raise DataError unless the files are there."""
        self._place()

    def load(self) -> Raw:
        """Return 50,000 training and 10,000 test pictures."""
        contents = self._contents()
        digest = hashlib.sha256()
        for content in contents:
            digest.update(content)
        names = (*TRAIN, TEST)
        parts = [self._parse(content, name) for content, name in zip(contents, names, strict=True)]
        X, Y = (np.concatenate([part[k] for part in parts[:-1]]) for k in (0, 1))
        checksum = f"sha256:{digest.hexdigest()}"
        return Raw(X, Y, 255.0, self.classes, checksum, *parts[-1])

    def image_shape(self) -> tuple[int, int, int]:
        """Return (32, 32, 3)."""
        return SIDE, SIDE, CHANNELS

    def class_count(self) -> int:
        """Return 10."""
        return len(self.classes)

    def sample_count(self) -> int:
        """Return 60,000."""
        return 6 * self.records

    def _place(self) -> Path:
        """Return the folder of the binary files, or the archive.

        Raises
        ------
        DataError
            If there is neither, with what to do.
        """
        for folder in (self.folder, self.folder / FOLDER):
            found = [name for name in (*TRAIN, TEST) if (folder / name).is_file()]
            if len(found) == len(TRAIN) + 1:
                return folder
            if found:
                absent = [name for name in (*TRAIN, TEST) if name not in found]
                raise DataError(f"data=cifar10: {folder}: these files lack: {', '.join(absent)}.")
        if (self.folder / ARCHIVE).is_file():
            return self.folder / ARCHIVE
        take = (
            f"Take the «binary version», {ARCHIVE}, from {PAGE}, and name the folder that holds it,"
            " or that it was unpacked into, with data.dir=FOLDER."
        )
        for name in PICKLES:
            if (self.folder / name).exists():
                raise DataError(
                    f"data=cifar10: {self.folder / name}: this is the version for Python, made of"
                    f" pickles, which can run code when they are read. {take}"
                )
        raise DataError(
            f"data=cifar10: its files are not in {self.folder}: {TRAIN[0]} … {TRAIN[-1]},"
            f" {TEST}. Nothing is downloaded. {take}"
        )

    def _contents(self) -> list[bytes]:
        """Return the bytes of the six files."""
        place, most = self._place(), self.records * RECORD
        if place.is_dir():
            found = []
            for name in (*TRAIN, TEST):
                with open(place / name, "rb") as file:
                    found.append(file.read(most + 1))
            return found
        expect(place, self.archive_checksum)
        try:
            with tarfile.open(place, "r:gz") as archive:
                members = [archive.extractfile(f"{FOLDER}/{name}") for name in (*TRAIN, TEST)]
                return [member.read(most + 1) if member else b"" for member in members]
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            raise DataError(f"{place}: cannot be read: {error}") from None

    def _parse(self, content: bytes, name: str) -> tuple[Array, Array]:
        """Return the pictures (n_m, 32, 32, 3) and labels of a file."""
        if len(content) != self.records * RECORD:
            more = "more" if len(content) > self.records * RECORD else f"{len(content):,}"
            raise DataError(
                f"data=cifar10: {name} must have {self.records * RECORD:,} bytes, {self.records:,}"
                f" pictures of {RECORD:,} bytes. Found {more}."
            )
        rows = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        if rows[:, 0].max() >= len(self.classes):
            raise DataError(
                f"data=cifar10: {name}: labels must lie in 0 … {len(self.classes) - 1}. Found"
                f" {rows[:, 0].max()}."
            )
        planes = rows[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), rows[:, 0]
