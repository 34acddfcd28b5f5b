"""What was to be reached, beside what was: the goals that were set before anything was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

BATCH, AT_ONCE = 128, 10_000
SETTINGS = ("SkylakeX", "Haswell")  # OpenBLAS with AVX-512, and without
# our time over PyTorch's: with AVX-512 on 1 and on 2 threads, then without
TRAINING = {
    "original_cnn": (0.30, 0.30, 0.38, 0.38),
    "lenet5": (0.57, 0.60, 0.70, 0.75),
    "deep": (0.56, 0.60, 0.87, 0.88),
    "flat": (0.50, 0.80, 0.55, 0.90),
}
# with AVX-512 and without, on 1 thread
INFERENCE = {"original_cnn": (0.18, 0.25), "lenet5": (0.38, 0.55), "deep": (0.48, 0.75)}


def reached(frame: pd.DataFrame) -> Iterator[tuple[str, str, str, int, float, float]]:
    """Yield what, net, setting, threads, goal and ratio, from the rows of ``speed.csv``."""
    ours = frame[frame["by"] == "fast"]
    for net, goals in TRAINING.items():
        for place, goal in enumerate(goals):
            setting, threads = SETTINGS[place // 2], place % 2 + 1
            yield (
                f"training, batches of {BATCH}",
                net,
                setting,
                threads,
                goal,
                _ratio(ours, ("training", net, setting, threads, BATCH)),
            )
    for net, pair in INFERENCE.items():
        for setting, goal in zip(SETTINGS, pair, strict=True):
            found = _ratio(ours, ("inference", net, setting, 1, AT_ONCE))
            yield f"inference, {AT_ONCE:,} images", net, setting, 1, goal, found


def _ratio(ours: pd.DataFrame, wanted: tuple[str, str, str, int, int]) -> float:
    """Return the ratio of one row; not a number if it was not measured."""
    keys = ["pass", "net", "blas_architecture", "threads", "batch"]
    rows = ours[(ours[keys] == list(wanted)).all(axis=1)]
    return float(rows["ratio"].iloc[0]) if len(rows) else float("nan")
