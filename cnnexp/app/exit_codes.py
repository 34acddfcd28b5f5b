"""With which codes the program ends; `cnnexp.app.main.main` says what each means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnexp.runs.record import Record

FAILED, USER_ERROR, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def code_of(record: Record) -> int:
    """Return the code of a single run that has come to its end."""
    return DIVERGED if record.status == "diverged" else 0
