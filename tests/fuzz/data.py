"""The readers of data sets: IDX, NumPy files, CIFAR-10."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnexp.data import Npz
from cnnexp.data.arrays import Npy
from cnnexp.data.cifar import ARCHIVE, RECORD, TEST, TRAIN, Cifar10
from cnnexp.data.cifar import FOLDER as INSIDE
from cnnexp.data.files import File
from cnnexp.data.idx import IdxSource
from cnnexp.data.sources import Source
from tests.data.made import NAMES, UNPACKED, digest, idx
from tests.fuzz.inputs import damaged
from tests.fuzz.reader import Reader, chosen, one_in

X = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
LABELS: tuple[Any, ...] = (
    np.array([0, 1, 2, 0, 1, 2]),
    np.array(["a", "b", "c", "a", "b", "c"]),
    np.eye(3)[[0, 1, 2, 0, 1, 2]],
    np.linspace(-1, 1, 6, dtype=np.float32),
    np.array([10**10, 0, 0, 0, 0, 0]),
    np.array([b"a", b"b", b"\xff", b"a", b"b", b"c"]),
)
HEADERS = (
    b"(6, 4, 3)",
    b"(6, -4, 3)",
    b"(99999999999, 4, 3)",
    b"()",
    b"(0,)",
    b"'<f8'",
    b"'|O'",
    b"'>c16'",
    b"'<M8[s]'",
    b"'<U4'",
    b"[('a', '<i4')]",
    b"True",
)


class DataReader(Reader):
    """Reads a data set."""

    group = "data"

    def load(self, source: Source, content: bytes) -> None:
        """Load what a source has; ask a few for all else that a run asks before."""
        if not one_in(8, content):
            raw = source.load()
            assert len(raw.X) == len(raw.Y)
            return
        source.check()
        _ = source.has_official_split, source.class_count(), source.target_shape()
        shape, count = source.image_shape(), source.sample_count()
        raw = source.load()
        assert shape in (None, raw.X.shape[1:]), (shape, raw.X.shape)
        assert count is None or count >= len(raw.X)


@dataclass
class Unchecked(IdxSource):
    """Four IDX files without checksums."""

    dir: str | None = None

    name, samples = "unchecked", 10
    classes = tuple("0123456789")
    mirrors = ()
    files = tuple(File(name, "", "") for name in NAMES)


class Idx(DataReader):
    """IDX files; the labels, or the images, are damaged."""

    name = "idx"
    ending = ""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for name, content in UNPACKED.items():
            (self.folder / f"{name}{self.ending}").write_bytes(self.packed(content))

    def packed(self, content: bytes) -> bytes:
        return content

    def made_seeds(self) -> list[bytes]:
        small = [idx(np.arange(6)), idx(np.zeros((2, 2))), b"\0\0\x08\x01\xff\xff\xff\xff" + b"a"]
        plain = [UNPACKED[name] for name in NAMES[:2]] * 4
        made = [
            *plain,
            *small,
            b"\0\0\x08\xff" + bytes(40),
            b"\0\0\x0d\x01\0\0\0\1abcd",
            b"\0\0\x08\xff" + 255 * b"\0\0\0\1" + b"a",
        ]
        return [self.packed(content) for content in made]

    def read(self, content: bytes) -> None:
        which = NAMES[0] if len(content) > 200 else NAMES[1]
        (self.folder / f"{which}{self.ending}").write_bytes(content)
        self.load(Unchecked(dir=str(self.folder)), content)


class IdxGz(Idx):
    """IDX files, packed; some inputs are damaged before they are packed."""

    name, ending = "idx_gz", ".gz"

    def packed(self, content: bytes) -> bytes:
        return gzip.compress(content, mtime=0, compresslevel=1)

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return super().make(rng)
        return self.packed(damaged(rng.choice(list(UNPACKED.values())), rng))


def npy(array: Any) -> bytes:
    """Return the bytes of a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(members: dict[str, bytes]) -> bytes:
    """Return the bytes of an archive of such files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


class NpzFile(DataReader):
    """An ``.npz`` archive: damaged, or made of damaged arrays."""

    name, words = "npz", HEADERS

    def made_seeds(self) -> list[bytes]:
        whole = [npz({"X": npy(X), "Y": npy(Y)}) for Y in LABELS]
        table = npz({"x": npy(X.reshape(6, 12) / 7), "y": npy(LABELS[0])})
        parts = {"x_train": npy(X), "y_train": npy(LABELS[1]), "x_test": npy(X[:2])}
        divided = npz(parts | {"y_test": npy(LABELS[1][:2])})
        odd = npz({"X": npy(X), "Y": npy(LABELS[0]), "X_test": npy(X)})
        return [*whole, table, divided, odd]

    def make(self, rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return super().make(rng)
        members = {"X": npy(X), "Y": npy(rng.choice(LABELS))}
        if rng.random() < 0.3:
            members |= {f"{k}_test": v for k, v in members.items()}
            members |= {f"{k}_train": members.pop(k) for k in ("X", "Y")}
        name = rng.choice(list(members))
        members[name] = damaged(members[name], rng, HEADERS)
        return npz(members)

    def read(self, content: bytes) -> None:
        path = self.folder / "x.npz"
        path.write_bytes(content)
        task = chosen((None, None, "classification", "regression"), content)
        self.load(Npz(file=str(path), task=task), content)


class NpyFile(DataReader):
    """``.npy`` files that stay on disk: images, or labels."""

    name, words = "npy", HEADERS

    def made_seeds(self) -> list[bytes]:
        return [npy(X), npy(X / 3), npy(np.full((6, 2, 2), np.nan)), *map(npy, LABELS)]

    def read(self, content: bytes) -> None:
        for name, array in (("x.npy", X), ("y.npy", LABELS[0])):
            (self.folder / name).write_bytes(npy(array))
        given = chosen(("x.npy", "y.npy"), content)
        (self.folder / given).write_bytes(content)
        paths = (str(self.folder / name) for name in ("x.npy", "y.npy"))
        self.load(Npy(*paths), content)


@dataclass
class SmallCifar(Cifar10):
    """CIFAR-10 with two pictures in each file."""

    name: ClassVar[str] = "cifar10"
    records: ClassVar[int] = 2


class CifarFile(DataReader):
    """CIFAR-10: a file of records, or the packed archive."""

    name = "cifar10"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.named = "cifar"

    def made_seeds(self) -> list[bytes]:
        rows = np.arange(2 * RECORD, dtype=np.int64) % 251
        rows[[0, RECORD]] = 3, 9
        self.whole = rows.astype(np.uint8).tobytes()
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
            for name in (*TRAIN, TEST):
                info = tarfile.TarInfo(f"{INSIDE}/{name}")
                info.size = len(self.whole)
                archive.addfile(info, io.BytesIO(self.whole))
        return [self.whole, file.getvalue()]

    def make(self, rng: random.Random) -> bytes:
        content = super().make(rng)
        if content[:2] != b"\x1f\x8b" and rng.random() < 0.3:
            return content[: 2 * RECORD].ljust(2 * RECORD, b"\0")
        if content[:2] == b"\x1f\x8b" and rng.random() < 0.6:
            unpacked = gzip.decompress(self.seeds[1])
            return gzip.compress(damaged(unpacked, rng), mtime=0, compresslevel=1)
        return content

    def read(self, content: bytes) -> None:
        packed = content[:2] == b"\x1f\x8b"
        folder = self.folder / ("packed" if packed else "plain")
        folder.mkdir(exist_ok=True)
        if packed:
            (folder / ARCHIVE).write_bytes(content)
            SmallCifar.archive_checksum = digest(content)
        else:
            for name in (*TRAIN, TEST):
                (folder / name).write_bytes(content if name == TRAIN[2] else self.whole)
        self.load(SmallCifar(dir=str(folder)), content)
