"""A convolution from four loops to im2col, each step in both layouts and in the same memory.

The code is that of the notebook ``docs/notebooks/6_naive_to_fast.ipynb``: its cells with the tag
``measured`` are run, and what they define is timed, all in turns in one process on one thread of
BLAS. Time is that of the processor, in microseconds for one sample. Two layers are measured: one
with a single channel, as the first of a network has, and one with 16. Rows of both passes also say
how long each part takes: the copy of the inputs, the products, the output, adding gradients back.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnexp.nn.blas import one_blas_thread
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import spread

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "a convolution from four loops to im2col, in both layouts"
NEEDS = ()
SHOWN = ("layer", "step", "layout", "memory", "pass", "microseconds_per_sample")
NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "6_naive_to_fast.ipynb"
LAYERS = {
    "28x28x1, 32 filters": {"size": 28, "n_c": 1, "n_f": 32},
    "14x14x16, 32 filters": {"size": 14, "n_c": 16, "n_f": 32},
}
LAYOUTS = ("batch-first", "batch-last")
SAMPLES = 64
LOOPS = "four loops"  # see one sample, a few times
POOL = 2

Row = dict[str, Any]
Case = tuple[str, str, str]  # step, layout, memory
Times = dict[str, list[float]]  # of forward, backward, and each part of both


class Passes(NamedTuple):
    """What is done before a pass, unseen by the clock, the pass, and the seconds of its parts."""

    begin: Callable[[], None]
    forward: Callable[[], Any]
    backward: Callable[[], Any]
    parts: Callable[[], dict[str, float]]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=25)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time all steps of both layers."""
    rounds, samples = (1, 4) if asked.quick else (asked.rounds, SAMPLES)
    code, machine = notebook_code(NOTEBOOK), describe()
    with one_blas_thread():
        for layer, sizes in LAYERS.items():
            for row in measure_layer(code, sizes, rounds, samples):
                yield {"layer": layer} | row | machine


def notebook_code(path: Path) -> dict[str, Any]:
    """Return what the measured cells of a notebook define."""
    names: dict[str, Any] = {}
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["import time\nfrom math import prod\n\nimport numpy as np\n"]
    texts += ["".join(cell["source"]) for cell in cells if "measured" in _tags(cell)]
    exec(compile("\n".join(texts), str(path), "exec"), names)
    return names


def _tags(cell: dict[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def measure_layer(
    code: dict[str, Any], sizes: dict[str, int], rounds: int, samples: int
) -> Iterator[Row]:
    """Time all steps of one layer in turns; the four loops on their own."""
    loops = (LOOPS, "batch-last", "kept")
    yield from _rows(loops, _timed({loops: passes(code, loops, sizes, 1)}, min(rounds, 2), 1))
    cases: list[Case] = [
        (name, layout, memory)
        for memory in ("kept", "new")
        for name in (*code["CONVOLUTIONS"], *code["POOLED"])
        for layout in LAYOUTS
        if name != LOOPS and (memory == "kept" or name == "im2col")
    ]
    works = {case: passes(code, case, sizes, samples) for case in cases}
    figures = _timed(works, rounds, samples)
    for case in cases:
        yield from _rows(case, figures)


def passes(code: dict[str, Any], case: Case, sizes: dict[str, int], samples: int) -> Passes:
    """Return what takes a layer forward, and what takes it backward."""
    name, layout, kept = case
    memory = code["Memory"](layout)
    X, W, dZ = code["example"](memory, n_m=samples, **sizes)
    forward, backward = (code["CONVOLUTIONS"] | code["POOLED"])[name]
    gradient = dZ
    if name in code["POOLED"]:
        small = [len(dZ), *(side // POOL for side in dZ.shape[1:3]), samples]
        gradient = memory("dA in", *small)
        gradient[...] = dZ[:, ::POOL, ::POOL]

    def begin() -> None:
        if kept == "new":
            memory.arrays.clear()
        memory.start()

    return Passes(
        begin,
        lambda: forward(X, W, memory),
        lambda: backward(gradient, X, W, memory),
        lambda: dict(memory.seconds),
    )


def _timed(works: dict[Case, Passes], rounds: int, samples: int) -> dict[Case, Times]:
    """Time forward and backward of all cases in turns, after one round that is not counted."""
    times: dict[Case, Times] = {case: {} for case in works}
    for turn in range(rounds + 1):
        for case, work in works.items():
            work.begin()
            laps = {"forward": _seconds(work.forward), "backward": _seconds(work.backward)}
            laps["both"] = laps["forward"] + laps["backward"]
            for name, lap in (laps | work.parts()).items():
                if turn:
                    times[case].setdefault(name, []).append(lap / samples * 1e6)
    return times


def _seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _rows(case: Case, figures: dict[Case, Times]) -> Iterator[Row]:
    """Yield a row for each pass of a case, and one for both, with the medians of the parts."""
    step, layout, memory = case
    times = dict(figures[case])
    passes = {name: times.pop(name) for name in ("forward", "backward", "both")}
    parts = {name.replace(" ", "_"): spread(laps)["median"] for name, laps in times.items()}
    for which, laps in passes.items():
        found = spread(laps)
        yield {
            "step": step,
            "layout": layout,
            "memory": memory,
            "pass": which,
            "microseconds_per_sample": found["median"],
            "low": found["low"],
            "high": found["high"],
            **dict.fromkeys(parts, ""),
            **(parts if which == "both" and step != LOOPS else {}),
        }


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw a bar for each step in each layout, the four loops left out."""
    from experiments.benchmarks.pictures import draw_layouts

    draw_layouts(frame[(frame["memory"] == "kept") & (frame["step"] != LOOPS)], path)
