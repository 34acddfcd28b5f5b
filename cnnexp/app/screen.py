"""Where commands print what may come from a foreign file."""

from __future__ import annotations

import sys
from typing import Any

from cnnexp.runs.foreign_text import printable


def say(*things: Any, end: str = "\n", flush: bool = False) -> None:
    """Print, as `print` does, without any control characters."""
    print(printable(" ".join(map(str, things))), end=end, flush=flush)


def warn(text: str) -> None:
    """Print a line where errors are printed, without any control characters."""
    print(printable(text), file=sys.stderr)
