"""Ctrl-C and SIGTERM: the first ends a run at its next batch, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was ended by a signal, after its state was saved."""


class StopRequest:
    """Whether someone has asked the run to end."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: Any) -> None:
        """Note the first signal; at the second, stop at once."""
        if self.asked:
            os._exit(EXIT_CODE)
        self.asked = True


@contextmanager
def on_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle both signals for a while; outside the main thread they are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let signals ask for a stop."""
    request = StopRequest()
    with on_signals(request.ask):
        yield request
