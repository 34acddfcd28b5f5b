"""Inputs chosen by coverage: a process like ``child`` in which atheris makes them.

atheris keeps every input that reaches a new line of this package, and changes those further. It
takes one reader at a time, one that only computes and whose inputs may be of any bytes.

References
----------
Google, Atheris: A Coverage-Guided, Native Python Fuzzer, https://github.com/google/atheris
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

LONGEST = 20_000  # bytes of an input


def is_there() -> bool:
    """Say whether atheris is installed."""
    return find_spec("atheris") is not None


def main() -> None:
    """Try what was asked for, as ``child`` does."""
    import atheris

    folder, seed, jobs = sys.argv[1:]
    ((name, first, count),) = json.loads(jobs)
    root = Path(folder)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["cnnexp"]):
        from tests.fuzz.child import Child, limit_memory, load_readers, open_rows, warm_up

        reader = load_readers()[name](root)
    warm_up(reader, commands=False)
    limit_memory()
    child, rows = Child(root, int(seed)), open_rows(root, name)
    start, tried = time.process_time(), iter(range(first, first + count))

    def try_one(content: bytes) -> None:
        k = next(tried, None)
        if k is None:
            child.note_time(name, time.process_time() - start)
            os._exit(0)  # atheris itself does not return
        rows[k] = child.try_one(reader, k, content, random.Random(k), commands=False)

    interesting = root / "interesting"
    interesting.mkdir(exist_ok=True)
    for k, content in enumerate(reader.seeds):
        (interesting / f"seed{k}").write_bytes(content)
    options = [f"-seed={int(seed) + first + 1}", f"-max_len={LONGEST}", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *options, "-verbosity=0", str(interesting)], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
