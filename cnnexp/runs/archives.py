"""Archives of runs: files in a ``.zip`` file, read by paths that lead through it.

``grid.zip/3/run.json`` is a file in the archive ``grid.zip``. Every reader of run folders takes
such paths (`files.read_bytes`), so that an archive is read as its folder was, and nothing is
unpacked.

A ZIP file, because every system opens one, its files are found and read one by one, and its table
of contents says how large they are before anything is unpacked. A stranger's file is refused as a
whole if that table is too large, names what is no plain file, or promises more than such files
have. Nothing in it becomes a name on the disk.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import shlex
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cnnexp.errors import RunError, foreign

ENDING = ".zip"
LARGEST_TABLE = 1 << 23  # bytes of the table of contents; a sweep of 10,000 jobs has 6 million
MOST_TIMES, SMALL = 100, 1 << 20  # how much larger than packed a file may be, but for small ones
LONGEST_NAME, MOST_PARTS = 1000, 50  # letters, and folders around a file: each takes memory
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x2061  # bits of what is not plain: encrypted, patched, its table of contents hidden
LOCAL_HEADER = struct.Struct("<4s22xHH")  # magic number, lengths of the name and of what follows


class Entry(NamedTuple):
    """What lies in a folder of an archive; it has the interface of `os.DirEntry`."""

    name: str
    path: str
    is_folder: bool

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Say whether it is a folder; there are no links."""
        return self.is_folder


class Place(NamedTuple):
    """A path that leads through an archive, or to it.

    Attributes
    ----------
    archive : Path
        The file.
    name : str
        What is meant in it, for example ``3/run.json``; empty for the archive itself.
    """

    archive: Path
    name: str


class Archive:
    """The table of contents of an archive.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    RunError
        If it is no ZIP file, or one that no archive of runs would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with foreign(path):
            infos = _table_of(path)
            _check_all(infos, path.stat().st_size)
        names = {info.filename: info for info in infos if not info.is_dir()}
        tops = {PurePosixPath(name).parts[0] for name in names}
        start = len(f"{tops.pop()}/") if len(tops) == 1 and names.keys() != tops else 0
        self.files = {name[start:]: info for name, info in names.items() if name[start:]}
        self.folders: dict[str, dict[str, bool]] = {"": {}}
        for name in self.files:
            self._enter(name)

    def _enter(self, name: str) -> None:
        """Enter a file in its folder, and that in the one around it, and so on."""
        is_folder = False
        while name:
            parent, _, last = name.rpartition("/")
            inside = self.folders.setdefault(parent, {})
            if last in inside:
                return
            inside[last] = is_folder
            name, is_folder = parent, True

    def read(self, name: str, largest: int) -> bytes:
        """Return the contents of a file in it; see `files.read_bytes`."""
        info = self.files.get(name)
        if info is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._named(name))
        if info.file_size > largest:
            raise RunError(
                f"{self._named(name)}: has {info.file_size:,} bytes; at most {largest:,} are read."
            )
        with open(self.path, "rb") as file:  # anew: processes that are forked share a position
            file.seek(info.header_offset)
            magic, *lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            if magic != b"PK\3\4":
                raise ValueError("a file is not where the table of contents has it")
            file.seek(sum(lengths), os.SEEK_CUR)
            content = _unpacked(info, file.read(info.compress_size))
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise ValueError("its contents do not have the checksum in the archive")
        return content

    def _named(self, name: str) -> str:
        return f"{self.path}/{name}"


def _unpacked(info: zipfile.ZipInfo, packed: bytes) -> bytes:
    """Return the contents of a file, but no more than the table of contents says."""
    if info.compress_type == zipfile.ZIP_STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None


class _Bounded(io.FileIO):
    """A file of which no more is read at once than the largest table of contents has."""

    def read(self, size: int | None = -1, /) -> bytes:
        whole = size is None or size < 0
        found = super().read(LARGEST_TABLE + 1 if whole else min(size or 0, LARGEST_TABLE + 1))
        if len(found or b"") > LARGEST_TABLE:
            raise ValueError(f"its table of contents has more than {LARGEST_TABLE:,} bytes")
        return found or b""


def _table_of(path: Path) -> list[zipfile.ZipInfo]:
    """Return the table of contents of a ZIP file."""
    try:
        with _Bounded(path, opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RunError(f"{path}: is not a file that can be read.")
            with zipfile.ZipFile(file) as archive:
                return archive.infolist()
    except (zipfile.BadZipFile, struct.error, NotImplementedError) as error:
        raise ValueError(f"not a ZIP file that can be read: {error}") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to would block otherwise."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_all(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError for a table of contents that no archive of runs has."""
    if len({info.filename for info in infos}) < len(infos):
        raise ValueError("it has two files of one name")
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if fault := fault_of(info):
            raise ValueError(f"{info.orig_filename[:100]!r} {fault}")
        if info.header_offset < end:
            raise ValueError("its files lie in each other")
        end = info.header_offset + LOCAL_HEADER.size + info.compress_size
    if end > size:
        raise ValueError("it is cut off")


def fault_of(info: zipfile.ZipInfo) -> str:
    """Say why an entry is not one of an archive of runs; an empty text if it is."""
    parts = info.filename.removesuffix("/").split("/")
    odd = {"", ".", ".."} & {*parts} or info.filename != info.orig_filename
    if odd or "\\" in info.filename or ":" in parts[0]:
        return "is not the name of a file in a folder"
    if len(parts) > MOST_PARTS or len(info.filename) > LONGEST_NAME:
        return "has too long a name"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "is a link, or no file"
    if info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
        return "is encrypted, or packed in another way than by deflate"
    return "would be too large: it says that it was packed too well" if is_too_dense(info) else ""


def is_too_dense(info: zipfile.ZipInfo) -> bool:
    """Say whether a file becomes larger than it may when it is unpacked."""
    return info.file_size > max(MOST_TIMES * info.compress_size, SMALL)


def place_of(path: str | os.PathLike[str]) -> Place | None:
    """Return the archive that a path leads through or to; None where it leads to no archive.

    An archive is a file whose name ends with ``.zip``.
    """
    text = os.fspath(path)
    if ENDING not in text.lower():  # no look at the disk for other paths
        return None
    whole = Path(text)
    for part in (whole, *whole.parents):
        if part.suffix.lower() == ENDING and part.is_file():
            name = whole.relative_to(part).as_posix()
            return Place(part, "" if name == "." else name)
    return None


def opened(path: Path) -> Archive:
    """Return an archive; as long as its file is the same, it is read once."""
    with foreign(path):
        found = path.stat()
    return _opened(path, found.st_mtime_ns, found.st_size, found.st_ino)


@functools.lru_cache(maxsize=4)
def _opened(path: Path, *version: int) -> Archive:
    return Archive(path)


def read(place: Place, largest: int) -> bytes:
    """Return the contents of a file in an archive."""
    return opened(place.archive).read(place.name, largest)


def is_file(place: Place) -> bool:
    """Say whether a file is in an archive."""
    return place.name in opened(place.archive).files


def is_folder(place: Place) -> bool:
    """Say whether a folder is in an archive; the archive itself is one."""
    return place.name in opened(place.archive).folders


def entries(place: Place) -> list[Entry]:
    """Return what lies in a folder of an archive."""
    inside = opened(place.archive).folders.get(place.name, {})
    path = Path(place.archive, place.name)
    return [Entry(name, str(path / name), folder) for name, folder in inside.items()]


def refuse_archive(path: str | os.PathLike[str], remedy: str = "") -> None:
    """Raise RunError for what lies in an archive, where a folder is needed."""
    if (place := place_of(path)) is not None:
        unpack = f"Unpack it first: python -m zipfile -e {shlex.quote(str(place.archive))} FOLDER"
        what = "is an archive" if not place.name else "lies in an archive"
        raise RunError(f"{path}: {what}, in which nothing can be changed. {remedy or unpack}")
