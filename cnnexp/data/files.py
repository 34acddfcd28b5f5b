"""Files of a data set: found packed or not, and trusted only if their checksums are right."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from cnnexp.errors import DataError

MEBI = 2**20


class File(NamedTuple):
    """A file: its name, and the checksums of it packed and unpacked.

    Where only the packed file has a published checksum, `unpacked` is empty: a packed file is then
    checked before it is unpacked, and one that lies there unpacked is only looked at for its form,
    as are files without any published checksum.
    `most` is a bound on its size, packed or unpacked. `ending` is what its packed name has more.
    """

    name: str
    packed: str
    unpacked: str = ""
    most: int = 64 * MEBI
    ending: str = ".gz"

    @property
    def packed_name(self) -> str:
        """The name under which mirrors have it."""
        return self.name + self.ending


def find(folder: Path, file: File) -> Path | None:
    """Return the path of a file, packed or not, or None."""
    for path in (folder / file.name, folder / file.packed_name):
        if path.is_file():
            return path
    return None


def read(folder: Path, file: File) -> bytes:
    """Return the unpacked bytes of a file, after checking them.

    Raises
    ------
    DataError
        If the file is damaged, larger than it can be, or is not the file it should be.
    """
    path = find(folder, file)
    if path is None:
        raise DataError(f"{folder / file.name}: there is no such file, packed or not.")
    if path.suffix == ".gz" and file.packed and not file.unpacked:
        expect(path, file.packed)
    content = unpacked(path, file)
    if file.unpacked:
        found = checksum(content, file.unpacked.partition(":")[0])
        if found != file.unpacked:
            raise DataError(wrong_file(path, f"contents with {file.unpacked}", found, len(content)))
    return content


def unpacked(path: Path, file: File) -> bytes:
    """Return the bytes of a file, unpacked; no more than it may have are ever unpacked."""
    try:
        with open(path, "rb") as plain:
            source: IO[bytes] = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain  # type: ignore[assignment]
            content = source.read(file.most + 1)
    except (OSError, EOFError, zlib.error) as error:
        contents = f" whose contents have {file.unpacked}" if file.unpacked else ""
        raise DataError(
            f"{path}: cannot be unpacked ({error}). Expected a gzip file{contents}. It was left as"
            " it is: delete it to have it downloaded again."
        ) from None
    if len(content) > file.most:
        raise DataError(
            f"{path}: not the file it should be: it has more than {file.most:,} bytes. It was left"
            " as it is: delete it to have it downloaded again."
        )
    return content


def expect(path: Path, expected: str) -> None:
    """Raise DataError unless a file, as it lies there, has a checksum."""
    algorithm = expected.partition(":")[0]
    with open(path, "rb") as file:
        found = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
    if found != expected:
        raise DataError(wrong_file(path, expected, found, path.stat().st_size))


def wrong_file(path: Path, expected: str, found: str, size: int) -> str:
    """Say that a file is another one."""
    return (
        f"{path}: not the file it should be. Expected {expected}, found"
        f" {found} ({size:,} bytes). It was left as it is: delete it to have it downloaded again."
    )


def checksum(content: bytes, algorithm: str) -> str:
    """Return ``<algorithm>:<hexadecimal digest>``."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
