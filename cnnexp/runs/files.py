"""Files that are there whole or not at all, and logs that lose no row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cnnexp.errors import RunError, foreign
from cnnexp.runs import archives

LARGEST_TEXT = 1 << 30  # bytes of a log or a record; a log of ten million batches has half of it


def read_bytes(path: Path, largest: int = LARGEST_TEXT) -> bytes:
    """Return the contents of a regular file, if it is not too large; also of one in an archive.

    Raises
    ------
    FileNotFoundError
        If there is none.
    RunError
        If it is no regular file, such as a pipe, which would never end, or is too large.
    """
    with foreign(path):
        if (place := archives.place_of(path)) is not None and place.name:
            return archives.read(place, largest)
    with foreign(path), open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise RunError(f"{path}: is not a file that can be read.")
        if found.st_size > largest:
            raise RunError(f"{path}: has {found.st_size:,} bytes; at most {largest:,} are read.")
        return file.read(found.st_size)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to would block otherwise."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_file(path: Path) -> bool:
    """Say whether there is a file; it may be in an archive."""
    place = archives.place_of(path)
    return path.is_file() if place is None or not place.name else archives.is_file(place)


def is_folder(path: Path) -> bool:
    """Say whether there is a folder; it may be in an archive, or be one."""
    place = archives.place_of(path)
    return path.is_dir() if place is None else archives.is_folder(place)


def entries_of(folder: str) -> list[os.DirEntry[str] | archives.Entry]:
    """Return what lies in a folder; it may be in an archive, or be one."""
    if (place := archives.place_of(folder)) is not None:
        return [*archives.entries(place)]
    with os.scandir(folder) as entries:
        return list(entries)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file of a run whole: into a temporary file beside it, to disk, then into its place.

    Raises
    ------
    RunError
        If a symbolic link is in its place. A hard link is replaced; what it shared stays as it is.
    """
    refuse_link(path)
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary file beside a file, and put it in its place when all was written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as file:  # x: neither a file nor a link that is there already
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_output(path: Path, content: bytes) -> None:
    """Write a file whole where the user asked for it.

    A link stays a link, and its target is written; what is no file, such as a pipe, is written to.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        replace_file(path, content)


def refuse_link(path: Path) -> None:
    """Raise RunError for a symbolic link: a run writes into its own folder only."""
    if path.is_symlink():
        raise RunError(
            f"{path}: is a symbolic link, and a run writes only into its own folder. Put the file"
            " itself in its place."
        )


def refuse_links(folder: Path) -> None:
    """Raise RunError if something that a run could write to is a symbolic link."""
    for inner in (folder, folder / ".hydra"):
        if inner.is_dir():
            for path in sorted(inner.iterdir()):
                refuse_link(path)


def open_to_append(path: Path) -> BinaryIO:
    """Open a log of a run; a file that has other names too is copied first, and they keep theirs.

    Raises
    ------
    RunError
        If it is a symbolic link, or no file.
    """
    refuse_link(path)
    if path.is_file() and path.stat().st_nlink > 1:
        replace_file(path, read_bytes(path))
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: is not a file that a log can be appended to.")
    return open(path, "ab", opener=_without_following)


def _without_following(path: str, flags: int) -> int:
    """Open a file, but no link that took its place just now, and without waiting for a pipe."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | more, 0o666)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a process left in a folder when it was killed."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def replace_json(path: Path, content: Any) -> None:
    """Write a JSON file whole."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    replace_file(path, f"{text}\n".encode())


def replace_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file whole; an empty cell stands for None."""
    replace_file(path, csv_text(columns, rows).encode())


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the text of a CSV file."""
    return "".join(csv_line(row) for row in (columns, *rows))


def csv_line(row: Sequence[Any]) -> str:
    """Return one line of a CSV file; an empty cell stands for None."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["" if cell is None else cell for cell in row])
    return out.getvalue()


class Prefix(NamedTuple):
    """How long a log was at some moment, and a checksum of it."""

    size: int
    checksum: str

    @classmethod
    def of(cls, content: bytes) -> Prefix:
        """Return that of some bytes."""
        return cls(len(content), checksum(content))


def checksum(content: bytes) -> str:
    """Return a checksum of some bytes.

    Examples
    --------
    >>> checksum(b"")[:20]
    'sha256:e3b0c44298fc1'
    """
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class CsvLog:
    """A CSV file that grows by a row at a time, each flushed as it is written.

    Parameters
    ----------
    path : Path
        The file; a header is written when it is new.
    columns : sequence of str
        Names of the columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        content = read_bytes(path) if path.exists() else b""
        self._size, self._digest = len(content), hashlib.sha256(content)
        self._file = open_to_append(path)
        if not content:
            self.append(self.columns)

    def append(self, row: Sequence[Any]) -> None:
        """Write one row; numbers are written so that reading gives the same number."""
        line = csv_line(row).encode()
        self._file.write(line)
        self._file.flush()
        self._size += len(line)
        self._digest.update(line)

    @property
    def prefix(self) -> Prefix:
        """Size and checksum of all rows."""
        return Prefix(self._size, f"sha256:{self._digest.hexdigest()}")

    def sync(self) -> None:
        """See to it that all rows are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def whole_lines(path: Path) -> str:
    """Return the text of a log without a last line that has no end: a kill cut it off.

    Raises
    ------
    RunError
        If it is no text.
    """
    with foreign(path):
        return lines_of(read_bytes(path))


def lines_of(content: bytes) -> str:
    """Return text without a last line that has no end."""
    return content[: content.rfind(b"\n") + 1].decode()


def keep_rows(path: Path, wanted: Callable[[dict[str, str]], bool]) -> None:
    """Rewrite a CSV file, whole, with only those rows for which `wanted(row)` is true.

    Raises
    ------
    RunError
        If a row cannot be read.
    """
    if not path.exists():
        return
    refuse_link(path)
    reader = csv.reader(io.StringIO(whole_lines(path)))
    kept: list[list[str]] = []
    try:
        columns = next(reader, None)
        names = columns or ()
        kept += [row for row in reader if row and wanted(dict(zip(names, row, strict=True)))]
    except (csv.Error, KeyError, ValueError):
        raise RunError(
            f"{path}, line {reader.line_num}: damaged. Remove the line to go on without it."
        ) from None
    if columns is None:
        path.unlink()
    else:
        replace_csv(path, columns, kept)
