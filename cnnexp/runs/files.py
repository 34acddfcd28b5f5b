"""Files that are there whole or not at all, and logs that lose no row."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cnnexp.errors import RunError


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole: into a temporary file beside it, to disk, then into its place.

    A link stays a link, and its target is written; what is no file, such as a pipe, is written to.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    replace_file(path, out.getvalue().encode())


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
        new = not path.exists() or path.stat().st_size == 0
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if new:
            self.append(self.columns)

    def append(self, row: Sequence[Any]) -> None:
        """Write one row; numbers are written so that reading gives the same number."""
        self._writer.writerow(["" if cell is None else cell for cell in row])
        self._file.flush()

    def sync(self) -> None:
        """See to it that all rows are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def whole_lines(path: Path) -> str:
    """Return the text of a file without a last line that has no end: a kill cut it off."""
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]


def keep_rows(path: Path, wanted: Callable[[dict[str, str]], bool]) -> None:
    """Rewrite a CSV file, whole, with only those rows for which `wanted(row)` is true."""
    if not path.exists():
        return
    reader = csv.DictReader(io.StringIO(whole_lines(path)))
    columns = reader.fieldnames
    if columns is None:
        path.unlink()
        return
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for number, row in enumerate(reader, 2):
        try:
            kept = wanted(row)
        except (TypeError, ValueError):
            raise RunError(
                f"{path}, line {number}: damaged. Remove the line to go on without it."
            ) from None
        if kept:
            writer.writerow(row)
    replace_file(path, out.getvalue().encode())
