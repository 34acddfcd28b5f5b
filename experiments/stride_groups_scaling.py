"""On what the cost of a convolution depends: four loops against stride groups.

One convolution, forward and backward, on random images. One of four things is changed at a time:
the width of the image, the number of filters, their width, the stride. Iterations are those of the
Python loops. Seconds are those of the processor, which other programs do not lengthen: the least of
several passes, divided by the samples.

    python -m experiments.stride_groups_scaling           # half a minute
    python -m experiments.stride_groups_scaling --quick   # a few small cases, kept nowhere

The rows go to ``experiments/results/stride_groups_scaling.csv``; no data set is needed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from cnnexp.engine import IMPLEMENTATIONS, Context, Window
from cnnexp.engine.context import Array
from cnnexp.nn.blas import one_blas_thread
from experiments import outcomes as kept
from experiments.benchmarks import machine

NAME = "stride_groups_scaling"
BATCH = 64
SAMPLES = {"naive": 1, "sg": BATCH}  # of one pass; the four loops take long for more
REPEATS = {"naive": 2, "sg": 20}


@dataclass(frozen=True)
class Case:
    """A convolution of square images with one channel."""

    image: int = 28
    filters: int = 32
    width: int = 3
    stride: int = 1

    @property
    def window(self) -> Window:
        """Where the filters lie."""
        return Window.over((self.image, self.image), self.width, self.stride, "valid")


VALUES = {
    "image": (7, 14, 21, 28, 42, 56),
    "filters": (4, 8, 16, 32, 64),
    "width": (1, 2, 3, 4, 5, 6, 7),
    "stride": (1, 2, 3, 4, 5),
}
QUICK = {"image": (7, 9), "stride": (1, 3)}


def main(words: Sequence[str] | None = None) -> int:
    """Measure all cases, print them, and keep them."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog=f"experiments.{NAME}")
    parser.add_argument("--quick", action="store_true", help="a few small cases, kept nowhere")
    quick = parser.parse_args(words).quick
    with one_blas_thread():
        rows = list(
            measured(QUICK if quick else VALUES, replace(Case(), filters=4 if quick else 32))
        )
    frame = pd.DataFrame(rows)
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    if not quick:
        print(f"wrote {kept.save(kept.Results(NAME, facts(), frame))}")
    return 0


def measured(values: dict[str, Sequence[int]], base: Case) -> Iterator[dict[str, object]]:
    """Yield a row for each case and implementation."""
    for changed, choices in values.items():
        for value in choices:
            case = replace(base, **{changed: value})
            for impl in SAMPLES:
                yield {
                    "changed": changed,
                    **asdict(case),
                    "impl": impl,
                    "iterations": iterations(impl, case),
                    "seconds": seconds_a_sample(impl, case),
                }


def iterations(impl: str, case: Case) -> int:
    """Return how often the body of the loops is run, forward, for a whole batch."""
    if impl == "sg":
        return case.window.group_count
    oh, ow = case.window.out
    return BATCH * oh * ow * case.filters


def seconds_a_sample(impl: str, case: Case) -> float:
    """Time a pass forward and backward."""
    draw = np.random.default_rng(0)
    count, (conv, _) = SAMPLES[impl], IMPLEMENTATIONS[impl].find("conv")
    X = draw.random((count, case.image, case.image, 1), np.float32)
    W = draw.standard_normal((case.width, case.width, 1, case.filters), np.float32)
    b = np.zeros(case.filters, np.float32)
    window, params, context = case.window, {"W": W, "b": b}, Context(reuse=True)

    def once() -> Array | None:
        Z, cache = conv.forward(X, params, window, context)
        return conv.backward(Z, params, window, cache, context)[0]

    if impl != "naive":
        once()  # memory is handed out the first time
    return min(timed(once) for _ in range(REPEATS[impl])) / count


def timed(work: Callable[[], object]) -> float:
    """Return the processor seconds that some work takes in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def facts() -> dict[str, str]:
    """Say how, when and where."""
    return machine.facts(f"python -m experiments.{NAME}", "random images; one thread")


if __name__ == "__main__":
    sys.exit(main())
