"""MNIST and Fashion-MNIST: four files in the IDX format, found on disk or downloaded.

A file is trusted only if the checksum of its unpacked bytes is the known one. Files that a user
put in place are never changed or deleted.

References
----------
Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998 (MNIST)
H. Xiao et al., Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cnnexp.data.download import download
from cnnexp.data.files import File, find, read
from cnnexp.data.images import Figure
from cnnexp.data.sources import SOURCES, Array, Raw, Source, data_folder
from cnnexp.errors import DataError


class IdxSource(Source):
    """What MNIST and Fashion-MNIST share.

    Attributes
    ----------
    files : tuple of File
        Training images and labels, test images and labels.
    mirrors : tuple of str
        Addresses of folders that hold the packed files.
    """

    files: ClassVar[tuple[File, ...]]
    mirrors: ClassVar[tuple[str, ...]]
    classes: ClassVar[tuple[str, ...]]
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
        absent = [file for file in self.files if find(self.folder, file) is None]
        if absent:
            download(self, absent)
        contents = [read(self.folder, file) for file in self.files]
        digest = hashlib.sha256("".join(file.unpacked for file in self.files).encode())
        X, Y, X_test, Y_test = (_parse(content) for content in contents)
        checksum = f"sha256:{digest.hexdigest()}"
        return Raw(X[..., None], Y, 255.0, self.classes, checksum, X_test[..., None], Y_test)

    def image_shape(self) -> tuple[int, int, int]:
        """Return (28, 28, 1)."""
        return 28, 28, 1

    def class_count(self) -> int:
        """Return 10."""
        return 10


@SOURCES.register("mnist")
@dataclass
class Mnist(IdxSource):
    """70,000 handwritten digits of 28x28 pixels.

    Parameters
    ----------
    dir : str, optional
        The folder of the four files; see `data_folder` for the default.
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
        The folder of the four files; see `data_folder` for the default.
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


def _parse(content: bytes) -> Array:
    """Return the array in an IDX file of bytes: a count of axes, their lengths, the values."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
