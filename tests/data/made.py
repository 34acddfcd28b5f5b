"""Small data sets made by hand: a source in memory, and one of four IDX files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnexp.data import Source
from cnnexp.data.files import File
from cnnexp.data.idx import IdxSource
from cnnexp.data.sources import Raw

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Numbered(Source):
    """Images of one pixel, which is the number of the sample; labels go round."""

    name = "numbered"
    default_split = 0.8
    stratified = False

    def __init__(self, count: int = 50, test: int = 0, classes: int = 5) -> None:
        self.count, self.test, self.classes = count, test, classes

    def load(self) -> Raw:
        pixels = np.arange(self.count + self.test, dtype=np.uint8)[:, None, None, None]
        labels = (pixels[:, 0, 0, 0] % self.classes).astype(np.uint8)
        cut = self.count
        official = (pixels[cut:], labels[cut:]) if self.test else (None, None)
        classes = tuple(str(k) for k in range(self.classes))
        return Raw(pixels[:cut], labels[:cut], 200.0, classes, "sha256:made", *official)


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file: two zeros, the type, the axes, their lengths, the values."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def contents() -> dict[str, bytes]:
    """The unpacked bytes of the four files: 6 and 4 images of 28x28."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (6, 28, 28)),
        np.arange(6),
        rng.integers(0, 256, (4, 28, 28)),
        np.arange(4),
    ]
    return {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


UNPACKED = contents()
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in UNPACKED.items()}


@dataclass
class Tiny(IdxSource):
    """A data set of four small files."""

    dir: str | None = None

    name = "tiny"
    classes = tuple("0123456789")
    mirrors = ()
    files = tuple(
        File(name, digest(PACKED[f"{name}.gz"]), digest(UNPACKED[name])) for name in NAMES
    )


def put(folder: Path, packed: bool) -> Path:
    """Put all four files into a folder."""
    folder.mkdir(exist_ok=True)
    for name, content in (PACKED if packed else UNPACKED).items():
        (folder / name).write_bytes(content)
    return folder
