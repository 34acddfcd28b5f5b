"""A sign of life every few seconds, also while one batch takes minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Heartbeat:
    """Calls a function every so many seconds, on a thread of its own, until it is stopped.

    Parameters
    ----------
    beat : callable
        What is called. An OSError of it is passed over: the next beat may do better.
    seconds : float
        Between two beats.
    """

    def __init__(self, beat: Callable[[], None], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._beat()
            except OSError:
                continue

    def stop(self) -> None:
        """End the thread; no beat comes after this returns."""
        self._stopped.set()
        self._thread.join()
