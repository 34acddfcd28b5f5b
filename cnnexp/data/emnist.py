"""EMNIST: letters and digits in six divisions, in the IDX format.

All files lie in one archive, ``gzip.zip``, and the archive has the published checksum: SHA-256 in
TensorFlow Datasets (``url_checksums/emnist.txt``), MD5 58c8d27c78d21e728a6bc7b3cc06412e in
torchvision (``datasets/mnist.py``). No checksum of the files inside is published. Where they lie
unpacked from it, they are only looked at for their form.

Its images are transposed: rows stand where columns should be. They are turned when they are read.

References
----------
G. Cohen, S. Afshar, J. Tapson, A. van Schaik, EMNIST: an Extension of MNIST to Handwritten
Letters, 2017, https://arxiv.org/abs/1702.05373
"""

from __future__ import annotations

import gzip
import string
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cnnexp.data.download import download
from cnnexp.data.files import MEBI, File, expect, find, read
from cnnexp.data.idx import IdxSource
from cnnexp.data.images import Figure
from cnnexp.data.sources import SOURCES, Array
from cnnexp.errors import DataError, OptionError, did_you_mean

MERGED = set("cijklmopsuvwxyz")  # small letters that look like their capitals
ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
DISTINCT = "".join(letter for letter in ALL if letter not in MERGED)
SUBSETS = {  # classes, training and test samples together
    "balanced": (DISTINCT, 131_600),
    "byclass": (ALL, 814_255),
    "bymerge": (DISTINCT, 814_255),
    "letters": (string.ascii_lowercase, 145_600),
    "digits": (string.digits, 280_000),
    "mnist": (string.digits, 70_000),
}


@SOURCES.register("emnist")
@dataclass
class Emnist(IdxSource):
    """Handwritten letters and digits, 28x28 pixels, like MNIST; in six divisions.

    Parameters
    ----------
    subset : str
        ``balanced`` (47 classes), ``byclass`` (62), ``bymerge`` (47), ``letters`` (26, capital and
        small letters together), ``digits`` (10) or ``mnist`` (10).
    dir : str, optional
        The folder of ``gzip.zip``, or of the four files of the subset, compressed or not. By
        default the one in ``$CNNEXP_DATA_DIR``, or in your cache folder.
    """

    subset: str = "balanced"
    dir: str | None = None

    figure = Figure(share=24 / 28)  # a border of two pixels
    mirrors: ClassVar[tuple[str, ...]] = ("https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",)
    archive: ClassVar[File] = File(
        "gzip.zip",
        "sha256:fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
        most=600 * MEBI,
        ending="",
    )

    def __post_init__(self) -> None:
        if self.subset not in SUBSETS:
            raise OptionError(
                f"subset must be one of {', '.join(SUBSETS)}.{did_you_mean(self.subset, SUBSETS)}"
                f" Got '{self.subset}'."
            )

    @property
    def classes(self) -> str:  # type: ignore[override]
        """The characters, in the order of their labels."""
        return SUBSETS[self.subset][0]

    @property
    def samples(self) -> int:  # type: ignore[override]
        """Training and test samples together."""
        return SUBSETS[self.subset][1]

    @property
    def first_label(self) -> int:  # type: ignore[override]
        """1 for the letters, else 0."""
        return int(self.subset == "letters")

    @property
    def files(self) -> tuple[File, ...]:  # type: ignore[override]
        """The four files of the subset."""
        kinds = ("images-idx3", "labels-idx1")
        return tuple(
            File(f"emnist-{self.subset}-{part}-{kind}-ubyte", "", most=600 * MEBI)
            for part in ("train", "test")
            for kind in kinds
        )

    def contents(self) -> list[bytes]:
        """Return the unpacked bytes of the four files, or of those in the archive."""
        for folder in (self.folder, self.folder / "gzip"):
            if all(find(folder, file) for file in self.files):
                return [read(folder, file) for file in self.files]
        path = find(self.folder, self.archive)
        if path is None:
            download(_Archive(self), [self.archive])
            path = self.folder / self.archive.name
        expect(path, self.archive.packed)
        return self._members(path)

    def _members(self, path: Path) -> list[bytes]:
        """Return the unpacked bytes of the four files in the archive."""
        found = []
        try:
            with zipfile.ZipFile(path) as archive:
                for file in self.files:
                    with archive.open(f"gzip/{file.packed_name}") as packed:
                        content = gzip.GzipFile(fileobj=packed).read(file.most)
                        found.append(content)
        except Exception as error:  # whatever a reader raises on bytes from elsewhere
            raise DataError(f"{path}: cannot be read: {error}") from None
        return found

    def _part(self, X: Array, Y: Array) -> tuple[Array, Array]:
        """Return upright images with their channel, and labels from 0."""
        images, labels = super()._part(X, Y)
        return np.ascontiguousarray(images.transpose(0, 2, 1, 3)), labels


class _Archive:
    """The archive as what is downloaded."""

    def __init__(self, source: Emnist) -> None:
        self.name, self.folder = source.name, source.folder
        self.files, self.mirrors = (source.archive,), source.mirrors
