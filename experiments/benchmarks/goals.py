"""What was to be reached, beside what was: the goals that were set before anything was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from experiments.benchmarks.speed import MAIN_BATCH, MANY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

NETS = ("original_cnn", "lenet5", "deep", "flat")
# our time over PyTorch's, for each of these nets on one and on two threads
TRAINING = {
    "compiled": ((0.22, 0.25), (0.45, 0.45), (0.55, 0.60), (0.65, 0.80)),
    "fast": ((0.42, 0.42), (0.70, 0.65), (0.85, 0.95), (0.85, 0.95)),
}
INFERENCE = {
    "compiled": ((0.18, 1.0), (0.40, 1.0), (0.60, 1.0), (0.90, 1.0)),
    "fast": ((0.50, 1.05), (0.60, 1.05), (0.85, 1.05), (1.0, 1.05)),
}


class Goal(NamedTuple):
    """A goal, and what was measured; not a number if it was not."""

    which: str
    by: str
    net: str
    threads: int
    goal: float
    ratio: float


def reached(frame: pd.DataFrame) -> Iterator[Goal]:
    """Yield all goals, from the rows of ``speed.csv`` with OpenBLAS as it is set."""
    frame = frame[frame["blas_architecture"] == frame["blas_architecture"].iloc[0]]
    keys = ["pass", "by", "net", "batch", "threads"]
    ratios = frame.set_index(keys)["ratio"].to_dict()
    parts = (("training", MAIN_BATCH, TRAINING), ("inference", MANY, INFERENCE))
    for which, batch, goals in parts:
        for by, of_nets in goals.items():
            for net, pair in zip(NETS, of_nets, strict=True):
                for threads, goal in enumerate(pair, start=1):
                    ratio = ratios.get((which, by, net, batch, threads), float("nan"))
                    yield Goal(which, by, net, threads, goal, ratio)
