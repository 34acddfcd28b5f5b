"""What holds while passes run: BLAS on one thread, and no warnings of overflow.

Workers share micro-batches, so BLAS must not start threads of its own; besides, its products
differ in the last bits between thread counts.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def ignore_fp_warnings() -> np.errstate:
    """Keep NumPy from warning of infinity, in this thread: whoever trains looks at the loss."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@functools.cache
def _blas() -> Any:
    """Return the controller of the BLAS libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _OneThread:
    """Holds BLAS to one thread as long as anybody wants it; nested and parallel uses count."""

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
    """Hold BLAS to one thread for a while, and give it back its setting afterwards."""
    _one_thread.enter()
    try:
        with ignore_fp_warnings():
            yield
    finally:
        _one_thread.leave()
