"""What is shown while kernels of impl=compiled are compiled: a bar on a terminal, or lines."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

LOGGER = "cnnexp.compiling"


class Compiling(logging.Handler):
    """Shows the records of the logger, which say how many kernels are compiled, and of how many."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._start = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Begin at 0 of them, and end at the last."""
        done, count = record.args  # type: ignore[misc]
        if not isinstance(done, int) or not isinstance(count, int):
            return
        if done == 0:
            self._begin(count)
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        if done == count:
            self._end(count)

    def _begin(self, count: int) -> None:
        self._start = time.monotonic()
        if not sys.stdout.isatty():
            print(f"compiling {_kernels(count)} for this processor, once", flush=True)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        text = TextColumn("compiling for this processor, once")
        self._bar = Progress(text, BarColumn(bar_width=20), MofNCompleteColumn(), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("", total=count)

    def _end(self, count: int) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        print(f"compiled {_kernels(count)} in {time.monotonic() - self._start:.1f} s", flush=True)


def show_compiling() -> None:
    """Show it from now on, on standard output."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, Compiling) for handler in logger.handlers):
        logger.addHandler(Compiling())
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _kernels(count: int) -> str:
    return f"{count} kernel{'s' if count > 1 else ''}"
