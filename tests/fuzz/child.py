"""A process in which inputs are tried: ``python -m tests.fuzz.child ROOT SEED JOBS``.

JOBS is a JSON list of ``[reader, first, count]``. What came of input k of a reader stands in row k
of ``ROOT/READER.tried``, faults stand in ``ROOT/faults.jsonl``, and the input that is being tried
lies in ``ROOT/current``: that is what remains if the process dies. Inputs below 0 are those of the
corpus.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.errors import CnnexpError
from tests.fuzz.reader import READERS, Reader, corpus_of

SECONDS, MEMORY = 5.0, 1 << 30  # of the processor, and bytes of resident memory
ADDRESSES = 6 << 30  # bytes of memory that may be asked for; most of it is never used
MODULES = (
    "runs",
    "archives",
    "networks",
    "data",
    "tables",
    "pictures",
    "settings",
    "downloads",
    "broken",
)
REFUSED, READ, ERROR, SLOW, LARGE, CRASH = range(1, 7)
ROW = np.dtype([("outcome", "u1"), ("microseconds", "u4"), ("kilobytes", "u4")])
SAME = 3  # faults of one kind that are kept
FEW = 100  # inputs for which it is not worth while to warm up all commands


class TooSlow(BaseException):
    """An input took too long."""


def load_readers() -> dict[str, type[Reader]]:
    """Import all readers, and return those that can be tried here."""
    for name in MODULES:
        importlib.import_module(f"tests.fuzz.{name}")
    return {name: cls for name, cls in READERS.items() if cls.is_there()}


class Child:
    """Tries inputs on one reader after the other.

    Parameters
    ----------
    root : Path
        Its folder.
    seed : int
        Of all inputs.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed
        self.current = os.open(root / "current", os.O_RDWR | os.O_CREAT)
        self.peak = open("/proc/self/clear_refs", "w")  # noqa: SIM115
        self.kinds: dict[str, int] = {}
        signal.signal(signal.SIGPROF, _too_slow)

    def try_all(self, name: str, first: int, count: int) -> None:
        """Try inputs `first` to `first + count` of a reader."""
        reader = load_readers()[name](self.root)
        corpus = [path.read_bytes() for path in corpus_of(name)]
        warm_up(reader, commands=count > FEW)
        limit_memory()
        rows = open_rows(self.root, name)
        start = time.process_time()
        for k in range(first, first + count):
            rng = random.Random(f"{self.seed} {name} {k}")
            content = corpus[k] if k < len(corpus) else reader.make(rng)
            rows[k] = self.try_one(reader, k, content, rng)
        self.note_time(name, time.process_time() - start)

    def note_time(self, name: str, seconds: float) -> None:
        """Write down the processor time that a reader's inputs took."""
        with open(self.root / f"{name}.cpu", "a") as file:
            file.write(f"{seconds}\n")

    def try_one(
        self, reader: Reader, k: int, content: bytes, rng: random.Random, commands: bool = True
    ) -> tuple[int, int, int]:
        """Try one input, and return outcome, microseconds, and kilobytes of memory."""
        os.ftruncate(self.current, 0)
        os.pwrite(self.current, content, 0)
        self.peak.write("5")
        self.peak.flush()
        before = peak_kilobytes()
        start = time.perf_counter()
        outcome, error = READ, None
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcome = _outcome(reader, content)
            if commands and reader.every and rng.randrange(reader.every) == 0:
                reader.command(content, rng)
        except TooSlow as found:
            outcome, error = SLOW, found
        except MemoryError as found:
            outcome, error = LARGE, found
        except Exception as found:
            outcome, error = ERROR, found
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.perf_counter() - start
        kilobytes = peak_kilobytes() - before
        if kilobytes > MEMORY >> 10:
            outcome = LARGE
        if outcome > READ:
            self._note(reader.name, k, content, error)
        return outcome, int(seconds * 1e6), max(kilobytes, 0)

    def _note(self, name: str, k: int, content: bytes, error: BaseException | None) -> None:
        """Keep an input that went wrong, unless it is one more of the same kind."""
        frames = traceback.extract_tb(error.__traceback__) if error else []
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        kind = f"{name} {type(error).__name__} {place}"
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] > SAME:
            return
        kept = self.root / f"{name}.{self.seed}.{k}"
        kept.write_bytes(content)
        last = "".join(traceback.format_exception(error))[-3000:] if error else "too much memory"
        fault = {"reader": name, "index": k, "input": str(kept), "error": repr(error)[:300]}
        with open(self.root / "faults.jsonl", "a") as file:
            file.write(json.dumps(fault | {"where": last}) + "\n")


def open_rows(root: Path, name: str) -> Any:
    """Return the rows in which it is written what came of each input."""
    return np.memmap(root / f"{name}.tried", ROW, "r+")


def _outcome(reader: Reader, content: bytes) -> int:
    """Read an input, and say what came of it."""
    try:
        reader.read(content)
    except CnnexpError as error:
        if _lacked_memory(error):
            raise MemoryError(str(error)) from error
        if reader.named not in str(error):
            raise AssertionError(f"the message does not name the file: {error}") from error
        return REFUSED
    return READ


def _lacked_memory(error: BaseException | None) -> bool:
    """Say whether an error of the family stands for one of too little memory."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__context__
    return False


def warm_up(reader: Reader, commands: bool) -> None:
    """Read what is right: what is imported and cached then takes time and memory of its own."""
    for content in reader.seeds[: 4 if reader.group != "broken" else 0]:
        try:
            reader.read(content)
        except Exception:
            continue
    if reader.every and commands:
        for k in range(8):
            reader.command(reader.seeds[0], random.Random(k))
    gc.collect()
    gc.freeze()


def peak_kilobytes() -> int:
    """Return the most resident memory since the peak was set back.

    `resource.getrusage` would count that of the process this one was started from as well.
    """
    status = Path("/proc/self/status").read_bytes()
    return int(status[status.index(b"VmHWM:") + 6 :].split(None, 1)[0])


def limit_memory() -> None:
    """Keep this process from asking for all of the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _too_slow(*_: Any) -> None:
    raise TooSlow


def main() -> None:
    """Try what was asked for."""
    root, seed, jobs = sys.argv[1:]
    warnings.simplefilter("ignore")
    child = Child(Path(root), int(seed))
    for name, first, count in json.loads(jobs):
        child.try_all(name, first, count)


if __name__ == "__main__":
    main()
