"""Readers with faults of every kind: what a trial must find."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

from cnnexp.errors import DataError
from tests.fuzz.reader import Reader


def refuse() -> None:
    """Refuse as a reader should, but without the name of the file."""
    raise DataError("no")


def lack_memory() -> None:
    """Ask for much, and turn the error into one of the family."""
    try:
        bytes(9 << 30)
    except MemoryError:
        raise DataError("it is too large") from None


def take_memory() -> None:
    """Use much, and refuse in the end as a reader should."""
    len(b"x" * (1500 << 20))
    raise DataError("broken is too large")


def loop() -> None:
    """Run for ever, in Python."""
    while True:
        pass


def loop_in_c() -> None:
    """Run for ever where no signal reaches Python."""
    re.match("(a|a)*b", "a" * 40)


class Broken(Reader):
    """Fails as the name of its input says."""

    name, group = "broken", "broken"
    kinds: dict[bytes, Callable[[], object]] = {
        b"well": lambda: None,
        b"error": lambda: {}["x"],
        b"no name": refuse,
        b"memory": lack_memory,
        b"resident": take_memory,
        b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    }

    def made_seeds(self) -> list[bytes]:
        return list(self.kinds)

    def make(self, rng: object) -> bytes:
        """Return each kind in its turn."""
        self.seeds.append(self.seeds.pop(0))
        return self.seeds[0]

    def read(self, content: bytes) -> None:
        self.kinds[content]()


class Stuck(Broken):
    """Does not end."""

    name = "stuck"
    kinds = {b"well": lambda: None, b"python": loop, b"c": loop_in_c}
