"""What one training step passes through: functions, files and concepts of the package.

A *concept* is a class of `cnnexp` of which a method runs or an instance is made, or a function of a
module that is called from another file. Fewer of them are easier to follow. The step is the second
one of a network of a convolution, a max-pool and two dense layers, on one worker, from one event of
the trainer to the next::

    python -m experiments.step_trace                 a table, beside version 0.1.0's
    python -m experiments.step_trace --list fast     the files and concepts of one of them
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import cnnexp
from cnnexp.data.dataset import Dataset, Samples, Scale
from cnnexp.nn.network import Network
from cnnexp.train import OPTIMIZERS, SCHEDULES, Trainer

PACKAGE = str(Path(cnnexp.__file__).parent)
IMPLEMENTATIONS = ("naive", "sg", "im2col", "fast")
BEFORE = {  # functions, files and concepts at commit 2526773, by this script
    "naive": (73, 19, 33),
    "sg": (84, 20, 39),
    "im2col": (73, 19, 33),
    "fast": (90, 25, 43),
}


@dataclasses.dataclass
class Trace:
    """The functions, files and concepts that were seen."""

    functions: set[str] = dataclasses.field(default_factory=set)
    files: set[str] = dataclasses.field(default_factory=set)
    concepts: set[str] = dataclasses.field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note a call; this is what `sys.setprofile` takes."""
        if event != "call":
            return
        if (made := _made(frame)) is not None:
            self.concepts.add(f"{made.__module__}.{made.__qualname__}")
            return
        file = _file(frame)
        if file is None or frame.f_code.co_name.startswith("<"):
            return
        name = frame.f_code.co_qualname
        self.functions.add(f"{file}:{name}")
        self.files.add(file)
        module = sys.modules.get(frame.f_globals["__name__"])
        owner = name.split(".")[0]
        if inspect.isclass(getattr(module, owner, None)):
            self.concepts.add(f"{frame.f_globals['__name__']}.{owner}")
        elif "." not in name and _file(_caller(frame)) not in (None, file):
            self.concepts.add(f"{frame.f_globals['__name__']}.{name}")


def _file(frame: FrameType | None) -> str | None:
    """Return the file of a frame within the package, or None if it is of another."""
    path = frame.f_code.co_filename if frame is not None else ""
    return os.path.relpath(path, PACKAGE) if path.startswith(PACKAGE + os.sep) else None


def _caller(frame: FrameType) -> FrameType | None:
    """Return the nearest caller that is of the package."""
    caller = frame.f_back
    while caller is not None and _file(caller) is None:
        caller = caller.f_back
    return caller


def _made(frame: FrameType) -> type | None:
    """Return the class of the package that a generated constructor makes an instance of."""
    if frame.f_code.co_name not in ("__init__", "__new__"):
        return None
    first = next(iter(frame.f_locals.values()), None)
    made = first if isinstance(first, type) else type(first)
    generated = not Path(frame.f_code.co_filename).is_file()
    return made if generated and made.__module__.split(".")[0] == "cnnexp" else None


def trainer(impl: str) -> Trainer:
    """Return a trainer of a small network under an implementation."""
    rng = np.random.default_rng(0)
    X, Y = rng.random((64, 12, 12, 1), np.float32), rng.integers(0, 10, 64)
    part = Samples(X, Y)
    classes, scale = tuple("0123456789"), Scale(1.0, 0.0, 1.0)
    dataset = Dataset("noise", part, part, None, classes, "sha256:0", scale)
    layers = [
        cnnexp.Conv2D(8, 3, activation="relu"),
        cnnexp.MaxPool2D(2),
        cnnexp.Flatten(),
        cnnexp.Dense(16, activation="relu"),
        cnnexp.Dense(10, activation="softmax"),
    ]
    network = Network(layers, impl=impl, threads=1)
    optimizer = OPTIMIZERS["sgd"](momentum=0.9, nesterov=True)
    return Trainer(network, dataset, optimizer, SCHEDULES["cosine"](), 0.1, 2, 16)


def trace(impl: str) -> Trace:
    """Return what the second step of a training passes through."""
    events = trainer(impl).events()
    next(events)
    found = Trace()
    before = sys.getprofile()
    sys.setprofile(found)
    try:
        next(events)
    finally:
        sys.setprofile(before)
    return found


def main(write: Callable[[str], Any] = print) -> None:
    """Print the table, or one list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--list", metavar="IMPL", choices=IMPLEMENTATIONS)
    chosen = parser.parse_args().list
    if chosen:
        found = trace(chosen)
        write("\n".join([*sorted(found.files), "", *sorted(found.concepts)]))
        return
    write("impl      functions (before)  files (before)  concepts (before)")
    for impl in IMPLEMENTATIONS:
        found, before = trace(impl), BEFORE[impl]
        counts = (len(found.functions), len(found.files), len(found.concepts))
        cells = (f"{n} ({m})" for n, m in zip(counts, before, strict=True))
        write("{:8}  {:>18}  {:>14}  {:>17}".format(impl, *cells))


if __name__ == "__main__":
    main()
