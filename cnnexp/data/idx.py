"""MNIST, Fashion-MNIST and Kuzushiji-MNIST: four files in the IDX format, on disk or downloaded.

A file is trusted only if its checksum is the known one. Files that a user put in place are never
changed or deleted.

References
----------
Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998 (MNIST)
H. Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
T. Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018,
https://arxiv.org/abs/1812.01718 (Kuzushiji-MNIST)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnexp.data.download import download
from cnnexp.data.files import File, checksum, find, read
from cnnexp.data.images import Figure
from cnnexp.data.sources import SOURCES, Array, Raw, Source, data_folder
from cnnexp.errors import DataError

SIDE = 28  # pixels
MOST_AXES = 4  # of an array; the format allows 255


class IdxSource(Source):
    """What all sets of four IDX files share.

    Attributes
    ----------
    files : sequence of File
        Training images and labels, test images and labels.
    mirrors : tuple of str
        Addresses of folders that hold the packed files.
    first_label : int
        The label of the first class.
    samples : int
        Training and test samples together.
    """

    files: Sequence[File]
    mirrors: ClassVar[tuple[str, ...]]
    classes: Sequence[str]
    first_label: int = 0
    samples: int = 70_000
    dir: str | None

    @property
    def folder(self) -> Path:
        """The folder that holds the files, or will hold them."""
        return data_folder(self.name, self.dir)

    def check(self) -> None:
        """Raise DataError if a file stands in the place of the folder."""
        if self.folder.is_file():
            raise DataError(f"data.dir={self.folder}: a file and no folder.")

    def load(self) -> Raw:
        """Read the four files, after downloading those that are absent."""
        contents = self.contents()
        sums = [
            file.unpacked or checksum(content, "sha256")
            for file, content in zip(self.files, contents, strict=True)
        ]
        digest = hashlib.sha256("".join(sums).encode())
        X, Y, X_test, Y_test = (
            parse(content, f"{self.folder / file.name}")
            for file, content in zip(self.files, contents, strict=True)
        )
        parts = [self._part(X, Y), self._part(X_test, Y_test)]
        arrays: list[Any] = [array for part in parts for array in part]
        named = f"sha256:{digest.hexdigest()}"
        return Raw(arrays[0], arrays[1], 255.0, tuple(self.classes), named, *arrays[2:])

    def contents(self) -> list[bytes]:
        """Return the unpacked bytes of the four files."""
        absent = [file for file in self.files if find(self.folder, file) is None]
        if absent:
            download(self, absent)
        return [read(self.folder, file) for file in self.files]

    def _part(self, X: Array, Y: Array) -> tuple[Array, Array]:
        """Return images with their channel, and labels from 0, if they belong together."""
        if X.ndim != 3 or X.shape[1:] != (SIDE, SIDE) or Y.shape != X.shape[:1] or not len(X):
            raise DataError(
                f"data={self.name}: {self.folder} must hold images of {SIDE}x{SIDE} pixels and a"
                f" label for each. Found images {X.shape} and labels {Y.shape}."
            )
        last = self.first_label + len(self.classes) - 1
        if Y.min() < self.first_label or Y.max() > last:
            raise DataError(
                f"data={self.name}: {self.folder}: labels must lie in {self.first_label} … {last}."
                f" Found {Y.min()} … {Y.max()}."
            )
        return X[..., None], Y - np.uint8(self.first_label)

    def image_shape(self) -> tuple[int, int, int]:
        """Return (28, 28, 1)."""
        return SIDE, SIDE, 1

    def class_count(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    def sample_count(self) -> int:
        """Return the number of training and test samples."""
        return self.samples


@SOURCES.register("mnist")
@dataclass
class Mnist(IdxSource):
    """70,000 handwritten digits of 28x28 pixels.

    Parameters
    ----------
    dir : str, optional
        The folder of the four files. By default the one in ``$CNNEXP_DATA_DIR``, or in your cache
        folder.
    """

    dir: str | None = None

    classes = tuple("0123456789")
    figure = Figure(share=20 / 28)
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    files = (
        File(
            "train-images-idx3-ubyte",
            "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        File(
            "train-labels-idx1-ubyte",
            "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        File(
            "t10k-images-idx3-ubyte",
            "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    )


@SOURCES.register("fashion_mnist")
@dataclass
class FashionMnist(IdxSource):
    """70,000 pictures of clothing, 28x28 pixels: harder than MNIST, in the same format.

    Its authors publish MD5 sums of the packed files; those of the unpacked ones are the ones under
    which a public archive of the same packed files keeps them.

    Parameters
    ----------
    dir : str, optional
        The folder of the four files. By default the one in ``$CNNEXP_DATA_DIR``, or in your cache
        folder.
    """

    dir: str | None = None

    figure = Figure(share=1.0)
    classes = (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    files = (
        File(
            "train-images-idx3-ubyte",
            "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        File(
            "train-labels-idx1-ubyte",
            "md5:25c81989df183df01b3e8a0aad5dffbe",
            "md5:9018921c3c673c538a1fc5bad174d6f9",
        ),
        File(
            "t10k-images-idx3-ubyte",
            "md5:bef4ecab320f06d8554ea6380940ec79",
            "md5:8181f5470baa50b63fa0f6fddb340f0a",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            "md5:bb300cfdad3c16e7a12a480ee83cd310",
            "md5:15d484375f8d13e6eb1aabb0c3f46965",
        ),
    )


@SOURCES.register("kmnist")
@dataclass
class Kmnist(IdxSource):
    """70,000 handwritten Japanese characters (Kuzushiji-MNIST), 28x28 pixels, ten classes.

    The checksums of the packed files are those that TensorFlow Datasets publishes
    (``url_checksums/kmnist.txt``). No checksum of unpacked files is published, so these are only
    looked at for their form.

    Parameters
    ----------
    dir : str, optional
        The folder of the four files. By default the one in ``$CNNEXP_DATA_DIR``, or in your cache
        folder.
    """

    dir: str | None = None

    figure = Figure(share=1.0)
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    files = (
        File(
            "train-images-idx3-ubyte",
            "sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        ),
        File(
            "train-labels-idx1-ubyte",
            "sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        ),
        File(
            "t10k-images-idx3-ubyte",
            "sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            "sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
    )


def parse(content: bytes, where: str) -> Array:
    """Return the array in an IDX file of bytes: a count of axes, their lengths, the values.

    Raises
    ------
    DataError
        If it is no such file, or has another length than its header says.

    Examples
    --------
    >>> parse(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), "labels")
    array([7, 9], dtype=uint8)
    """
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if content[:3] != b"\0\0\x08" or not 1 <= axes <= MOST_AXES or len(content) < start:
        raise DataError(f"{where}: not an IDX file of bytes.")
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{where}: damaged: its header says {math.prod(shape):,} bytes, and"
            f" {len(content) - start:,} are there."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
