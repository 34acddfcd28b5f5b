"""Damaged and hostile run folders, tried in a process with a limit of time and memory.

``python -m tests.runs.fuzz FOLDER SEED COUNT READER…`` makes inputs from seeds, gives them to the
readers, and prints a JSON list of what went wrong: an exception that is none of the family, a
traceback, more than `SECONDS` of processor time for one input, or more than `MEMORY` bytes. The
input that is being tried lies in ``FOLDER/current``; it is what remains if the process itself dies.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnexp import load_run, load_runs
from cnnexp.app.main import main as command
from cnnexp.errors import CnnexpError
from cnnexp.runs import environment, pickles
from cnnexp.runs.histograms import read_histograms
from tests.runs.small import train, write_data

SECONDS, MEMORY = 5.0, 1 << 30
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**30,
    -(10**400),
    "",
    "x" * 3000,
    "\x1b[2J\x07\u202e",
    "../../etc/passwd",
    "9" * 400,
    [],
    {},
    [[[[]]]],
    [None],
    {"name": "x"},
    {"": {"": {"": 3}}},
    [1, "a", {}],
]
OPCODES = b"".join(
    [
        pickle.EMPTY_DICT,
        pickle.EMPTY_LIST,
        pickle.EMPTY_TUPLE,
        pickle.MARK,
        pickle.TUPLE,
        pickle.TUPLE1,
        pickle.TUPLE2,
        pickle.TUPLE3,
        pickle.APPEND,
        pickle.APPENDS,
        pickle.SETITEM,
        pickle.SETITEMS,
        pickle.MEMOIZE,
        pickle.REDUCE,
        pickle.BUILD,
        pickle.STACK_GLOBAL,
        pickle.NONE,
        pickle.NEWTRUE,
    ]
)


class TooSlow(BaseException):
    """An input took too long."""


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with one or a few faults: flipped bits, parts lost, doubled or put in."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found) + 1)
        part = slice(at, at + rng.choice((1, 4, 60, 1000)))
        kind = rng.randrange(5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[part]
        elif kind == 2:
            found[at:at] = found[part]
        elif kind == 3:
            found[at:at] = rng.randbytes(rng.choice((1, 4, 40)))
        else:
            found[part] = rng.choice((b"\xff", b"\0", b"9", b"[", b",")) * rng.choice((1, 30))
    return bytes(found)


def programs(rng: random.Random) -> bytes:
    """Return random opcodes that a run writes, in an order that it does not."""
    parts = (
        lambda: bytes([rng.choice(OPCODES)]),
        lambda: b"h" + bytes([rng.randrange(8)]),
        lambda: b"K" + rng.randbytes(1),
        lambda: b"\x8c\x01" + rng.choice((b"a", b"b")),
        lambda: b"C\x04abcd",
        lambda: b"\x8c\x05numpy\x8c\x07ndarray\x93",
        lambda: b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f4\x85R",
        lambda: b"\x8c\x16numpy._core.multiarray\x8c\x0c_reconstruct\x93",
        lambda: b"\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93",
    )
    made = [rng.choice(parts)() for _ in range(rng.randrange(1, 60))]
    return b"".join([b"\x80\x04", *made, b"."])


def changed(content: bytes, rng: random.Random) -> bytes:
    """Return JSON in which one value is another, absent, or nested very deeply."""
    whole = json.loads(content)
    places = list(_places(whole))
    holder, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder["more"] = holder[key]
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    text = json.dumps(whole)
    if kind == 2:
        depth = rng.choice((60, 900, 200_000))
        text = json.dumps(whole | {"results": "@"}).replace('"@"', "[" * depth + "]" * depth)
    return text.encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every object with each of its keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _places(inner)


class Readers:
    """What reads the files of one run; each method makes an input, and reads it."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root, self.rng = root, rng
        whole = root / "whole"
        if not whole.exists():
            with contextlib.redirect_stdout(io.StringIO()):
                train(whole, write_data(root / "data.npz"), "profile=true", "checkpoint.every=2")
            Image.new("L", (20, 20), 255).save(root / "seven.png")
            with Image.open(root / "seven.png") as picture:
                picture.putpixel((9, 9), 0)
                picture.save(root / "seven.png")
        self.record = json.loads((whole / "run.json").read_bytes())
        self.record |= {"checksums": None, "status": "interrupted"}
        self.run = root / "run"

    def _fresh(self) -> Path:
        """Return the folder as it was, without checksums, so that what is read is looked at."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.root / "whole", self.run)
        (self.run / "run.json").write_text(json.dumps(self.record))
        return self.run

    def _write(self, name: str, make: Callable[..., bytes], content: bytes) -> None:
        found = make(content, self.rng)
        (self.root / "current").write_bytes(found)
        (self.run / name).write_bytes(found)

    def pickle(self) -> None:
        """Read bytes that were a pickle, and opcodes in any order."""
        content = (self.root / "whole" / "checkpoint.pkl").read_bytes()
        for _ in range(20):
            made = programs(self.rng) if self.rng.random() < 0.5 else damaged(content, self.rng)
            (self.root / "current").write_bytes(made)
            with contextlib.suppress(CnnexpError):
                pickles.loads(made)

    def weights(self) -> None:
        """Rebuild the network from damaged weights, and from plausible but wrong ones."""
        run = self._fresh()
        if self.rng.random() < 0.5:
            self._write("weights.pkl", damaged, (run / "weights.pkl").read_bytes())
        else:
            weights: Any = pickle.loads((run / "weights.pkl").read_bytes())
            wrong = [3, "a", None, np.zeros(0), np.zeros((3, 3)), np.full((16, 5), np.nan), [1.0]]
            weights[self.rng.choice([*weights, "../x", 3])] = self.rng.choice(wrong)
            self._write("weights.pkl", lambda c, _: c, pickle.dumps(weights))
        self._call("evaluate", run)
        self._call("export", run, self.root / "weights.npz")

    def checkpoint(self) -> None:
        """Resume from a damaged checkpoint, and from one with other values inside."""
        run = self._fresh()
        content: Any = (run / "checkpoint.pkl").read_bytes()
        if self.rng.random() < 0.3:
            self._write("checkpoint.pkl", damaged, content)
        else:
            saved = pickle.loads(content)
            holder, key = self.rng.choice(list(_places(saved)))
            holder[key] = copy.deepcopy(self.rng.choice([*ODD, np.zeros(2), np.zeros((2, 2, 2))]))
            self._write("checkpoint.pkl", lambda c, _: c, pickle.dumps(saved))
        self._call("resume", run)

    def record_file(self) -> None:
        """Read ``run.json`` by every command."""
        run = self._fresh()
        make = changed if self.rng.random() < 0.7 else damaged
        self._write("run.json", make, (run / "run.json").read_bytes())
        self._call("show", run, "--config")
        self._call("compare", self.root / "whole", run)
        self._call(self.rng.choice(("evaluate", "resume")), run)
        with contextlib.suppress(CnnexpError):
            found = load_run(run)
            repr(found), found.results, found.weights_checksum
        load_runs(run)

    def logs(self) -> None:
        """Read damaged logs."""
        run = self._fresh()
        name = self.rng.choice(("epochs.csv", "batches.csv", "histograms.csv", "layers.csv"))
        self._write(name, damaged, (run / name).read_bytes())
        self._call("show", run)
        self._call("compare", run, "--target", "error=0.02")
        for read in (
            lambda: load_run(run).epochs,
            lambda: load_run(run).batches,
            lambda: read_histograms(run),
        ):
            with contextlib.suppress(CnnexpError):
                read()
        self._call("resume", run)

    def inspect(self) -> None:
        """Draw a run whose record was changed, and predict with it."""
        run = self._fresh()
        self._write("run.json", changed, (run / "run.json").read_bytes())
        self._call("predict", run, self.root / "seven.png", "--json")
        self._call("inspect", run)

    def _call(self, *words: object) -> None:
        """Run a command in this process; it must end with a code, and print no traceback."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = command([str(word) for word in words])
        text = out.getvalue()
        if code not in (0, 1, 2) or "Traceback" in text or "\x1b" in text:
            raise AssertionError(f"{words[0]}: code {code}: {text[-500:]}")


def limit_memory() -> None:
    """Allow this process so much more memory than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def try_reader(readers: Readers, name: str, count: int) -> Iterator[dict[str, str]]:
    """Try so many inputs on one reader, and yield what went wrong."""

    def too_slow(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, too_slow)
    for k in range(count):
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            getattr(readers, name)()
            signal.setitimer(signal.ITIMER_PROF, 0)
        except (Exception, TooSlow) as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            kept = readers.root / f"{name}.{k}"
            shutil.copy(readers.root / "current", kept)
            last = traceback.format_exc().splitlines()[-12:]
            seconds = f"{time.perf_counter() - start:.1f}"
            yield {"input": str(kept), "error": repr(error)[:300], "seconds": seconds,
                   "where": "\n".join(last)}  # fmt: skip


def main() -> None:
    """Try all readers that are named, and print what went wrong."""
    folder, seed, count, *names = sys.argv[1:]
    warnings.simplefilter("ignore")
    environment.git = lambda: None
    os.fsync = lambda _: None
    readers = Readers(Path(folder), random.Random(int(seed)))
    for word in ("show", "inspect" if "inspect" in names else "compare"):
        readers._call(word, readers.root / "whole")  # what is imported takes time of its own
    limit_memory()
    found = [fault for name in names for fault in try_reader(readers, name, int(count))]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
