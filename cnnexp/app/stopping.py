"""Ctrl-C, SIGTERM and SIGHUP: the first ends a run at its next batch, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnexp.app.exit_codes import INTERRUPTED

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(KeyboardInterrupt):
    """A run was ended by a signal, after its state was saved."""


class StopRequest:
    """Whether someone has asked the run to end.

    Attributes
    ----------
    signals : list of int
        The signals that came, in their order.
    """

    def __init__(self) -> None:
        self.signals: list[int] = []

    @property
    def asked(self) -> bool:
        """Whether any signal came."""
        return bool(self.signals)

    def note(self, number: int, frame: Any = None) -> None:
        """Note a signal."""
        self.signals.append(number)

    def note_or_exit(self, number: int, frame: Any = None) -> None:
        """Note the first signal; at the second, stop at once."""
        if self.asked:
            os._exit(INTERRUPTED)
        self.note(number)


@contextmanager
def on_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle all of them for a while; outside the main thread they are left alone.

    One that is ignored, as ``nohup`` does with SIGHUP, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let signals ask for a stop at the next batch."""
    request = StopRequest()
    with on_signals(request.note_or_exit):
        yield request


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Let signals end what goes on by raising Interrupted."""

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupted

    with on_signals(interrupt):
        yield
