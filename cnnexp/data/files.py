"""Files of a data set: found packed or not, and trusted only if their checksums are right."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import NamedTuple

from cnnexp.errors import DataError


class File(NamedTuple):
    """A file: its name, and the checksums of it packed and unpacked."""

    name: str
    packed: str
    unpacked: str


def find(folder: Path, file: File) -> Path | None:
    """Return the path of a file, packed or not, or None."""
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if path.is_file():
            return path
    return None


def read(folder: Path, file: File) -> bytes:
    """Return the unpacked bytes of a file, after checking them.

    Raises
    ------
    DataError
        If the file is damaged, or is not the file it should be.
    """
    path = find(folder, file)
    if path is None:
        raise DataError(f"{folder / file.name}: there is no such file, packed or not.")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error}). Expected a gzip file whose contents have"
            f" {file.unpacked}. It was left as it is: delete it to have it downloaded again."
        ) from None
    found = checksum(content, file.unpacked.partition(":")[0])
    if found != file.unpacked:
        raise DataError(
            f"{path}: not the file it should be. Expected contents with {file.unpacked}, found"
            f" {found} ({len(content):,} bytes). It was left as it is: delete it to have it"
            " downloaded again."
        )
    return content


def checksum(content: bytes, algorithm: str) -> str:
    """Return ``<algorithm>:<hexadecimal digest>``."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
