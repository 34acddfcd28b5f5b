"""A layer to which accidents happen, once in the run's second epoch, unless they are mended."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cnnexp import LAYERS, Layer

BY_NUMBER = {3: "raise", 5: "diverge", 8: "kill"}
SECOND_EPOCH = 7  # its first batch


def meet() -> None:
    """Wait until another job is here too: two side by side meet, one after the other do not."""
    Path(f"met.{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while len(list(Path.cwd().glob("met.*"))) < 2:
        if time.monotonic() > deadline:
            raise RuntimeError("nobody else came")
        time.sleep(0.02)


@dataclass
class Accident(Layer):
    """Gives on what it gets.

    Parameters
    ----------
    what : {"nothing", "raise", "diverge", "kill", "slow", "meet", "by number"}
        What happens.
    number : int
        Tells what happens ``by number``.
    """

    what: str = "nothing"
    number: int = 0

    calls: ClassVar[int] = 0

    def forward(self, A_prev, context):
        self.calls += context.training
        what = BY_NUMBER.get(self.number) if self.what == "by number" else self.what
        if what == "slow" and not Path("mended").exists():
            time.sleep(0.05)
        elif context.training and self.calls == SECOND_EPOCH and not Path("mended").exists():
            if what == "raise":
                raise RuntimeError("a bolt came loose")
            if what == "meet":
                meet()
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        if what == "diverge" and self.calls >= SECOND_EPOCH:
            A_prev = np.full_like(A_prev, np.inf)
        return A_prev, None

    def backward(self, cache, dA, context):
        return dA, {}


if __name__ == "accidents":  # as a plugin, and not when tests are collected
    LAYERS.register("accident")(Accident)
