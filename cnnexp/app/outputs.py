"""What commands write: a file that cannot be written is told in one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnexp.app.screen import warn
from cnnexp.errors import OptionError, system_reason


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
        raise OptionError(f"{path}: cannot be written: {system_reason(error)}.") from None


@contextmanager
def telling(path: str | Path) -> Iterator[None]:
    """Say that a file was written, or why it could not be."""
    with writing(path):
        yield
    warn(f"wrote {path}")
