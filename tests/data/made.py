"""Small data sets made by hand: a source in memory, and one of four IDX files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Sequence
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


# Sets in the form of the published ones --------------------------------------------------------


def put_idx(folder: Path, names: Sequence[str], labels: Sequence[int], ending: str = "") -> Path:
    """Put four IDX files into a folder: images of 28x28 that show their label, and labels."""
    folder.mkdir(exist_ok=True, parents=True)
    labels = np.array(labels, np.uint8)
    for k in (0, 2):
        rng = np.random.default_rng(k)
        images = rng.integers(0, 100, (len(labels), 28, 28)).astype(np.uint8)
        images[np.arange(len(labels)), labels % 28, :9] = 255  # a bar in a row, at the left
        for name, array in ((names[k], images), (names[k + 1], labels)):
            content = idx(array)
            packed = gzip.compress(content, mtime=0) if ending else content
            (folder / f"{name}{ending}").write_bytes(packed)
    return folder


def put_cifar(folder: Path, records: int, classes: int = 10) -> Path:
    """Put the six files of CIFAR-10's binary format into a folder; the red plane says the class."""
    folder.mkdir(exist_ok=True, parents=True)
    for k, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        rng = np.random.default_rng(k)
        rows = rng.integers(0, 60, (records, 3073)).astype(np.uint8)
        rows[:, 0] = np.arange(records) % classes
        rows[:, 1 : 1 + 1024] += 15 * rows[:, :1]
        (folder / name).write_bytes(rows.tobytes())
    return folder
