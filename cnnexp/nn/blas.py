"""Settings while passes run: BLAS on one thread, and no warnings of overflow.

Workers share the micro-batches, so BLAS must not start threads itself; besides, its products differ
in the last bits between thread counts.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def ignore_fp_warnings() -> np.errstate:
    """Suppress NumPy's warnings of overflow in this thread: the trainer checks the loss."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@functools.cache
def _blas() -> Any:
    """Return the controller of the BLAS libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _OneThread:
    """Limits BLAS to one thread while there is any user; nested and parallel uses are counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit = _blas().limit(limits=1)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


_one_thread = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread, and restore its setting afterwards."""
    _one_thread.enter()
    try:
        with ignore_fp_warnings():
            yield
    finally:
        _one_thread.leave()
