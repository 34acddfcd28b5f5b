"""What commands print, foreign text too, and what they say of the files that they write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnexp.errors import OptionError, system_reason
from cnnexp.runs.foreign_text import printable


def say(*things: Any, end: str = "\n", flush: bool = False) -> None:
    """Print, as `print` does, without any control characters."""
    print(printable(" ".join(map(str, things))), end=end, flush=flush)


def warn(text: str) -> None:
    """Print a line where errors are printed, without any control characters."""
    print(printable(text), file=sys.stderr)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say why a file or folder could not be written.

    Raises
    ------
    OptionError
        Instead of OSError.
    """
    try:
        yield
    except OSError as error:
        folder = Path(path).parent
        if isinstance(error, FileNotFoundError) and not folder.exists():
            raise OptionError(
                f"{path}: there is no folder {folder} to write it into. Make it first, or name"
                " another place."
            ) from None
        raise OptionError(f"{path}: cannot be written: {system_reason(error)}.") from None


@contextmanager
def telling(path: str | Path) -> Iterator[None]:
    """Say that a file was written, or why it could not be."""
    with writing(path):
        yield
    warn(f"wrote {path}")
