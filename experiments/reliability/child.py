"""A child process that is limited in time and memory, on this tree or on an old commit's."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

HERE = Path(__file__).parents[2]
SECONDS = 20.0  # of processor time; and half as much again by the clock
MEMORY = 3 << 30  # resident bytes
SHORT = 100  # characters of a message that are shown


class Ended(NamedTuple):
    """How a child process ended."""

    code: int
    out: str
    err: str
    stopped: str = ""  # why it did not end by itself

    @property
    def refused(self) -> bool:
        """Whether it ended as for a user's mistake: one message, exit code 2."""
        return not self.stopped and self.code == 2 and "Traceback" not in self.err

    @property
    def well(self) -> bool:
        """Whether it ended well."""
        return not self.stopped and self.code == 0

    @property
    def said(self) -> str:
        """How it ended, in a few words."""
        if self.stopped:
            return self.stopped
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        lines = (self.err.strip() or self.out.strip() or "no message").splitlines()
        if "Traceback" in self.err:
            return f"exit {self.code}, traceback: {short(lines[-1])}"
        return f"exit {self.code}: {short(' '.join(lines))}"


def short(text: str) -> str:
    """Return the beginning of a text on one line, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def limited(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """Run a program in a folder; it is killed after `SECONDS` or at `MEMORY` bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        stopped = _watched(process)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 22).decode("utf-8", "replace"))
    return Ended(process.returncode, texts[0], texts[1], stopped)


def _watched(process: subprocess.Popen[bytes]) -> str:
    """Wait for the end; return why it was brought about, or an empty text."""
    watched, end = psutil.Process(process.pid), time.monotonic() + 1.5 * SECONDS
    while True:
        try:
            process.wait(0.02)
            return ""
        except subprocess.TimeoutExpired:
            pass
        reason = ""
        if watched.memory_info().rss > MEMORY:
            reason = f"stopped at {MEMORY >> 30} GiB of memory"
        elif sum(watched.cpu_times()[:2]) > SECONDS or time.monotonic() > end:
            reason = f"stopped after {SECONDS:g} s"
        if reason:
            process.kill()
            process.wait()
            return reason


def old_tree(commit: str, folder: Path) -> Path:
    """Unpack the tree of a commit of this repository into a folder, and return the folder."""
    packed = subprocess.run(["git", "archive", commit], cwd=HERE, capture_output=True)
    if packed.returncode:
        raise SystemExit(
            f"--before {commit}: git has no such commit here. A whole clone of the repository is"
            f" needed ({packed.stderr.decode(errors='replace').strip()})."
        )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Place:
    """A new folder for one reproduction, and the package of one tree.

    Attributes
    ----------
    folder : Path
        Empty at the beginning, and the working folder of what is run.
    run : Path
        A copy of a small run that this tree trained, if the reproduction asked for one.
    """

    def __init__(self, tree: Path, folder: Path) -> None:
        self.tree, self.folder, self.run = tree, folder, folder / "run"
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PYTHONPATH": str(tree),
            "CNNEXP_CONFIG_DIR": str(folder / "config"),
            "OPENBLAS_NUM_THREADS": "1",
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def cnnexp(self, *words: object, where: Path | None = None, **environment: str) -> Ended:
        """Run ``python -m cnnexp WORDS``."""
        return self.python("-m", "cnnexp", *words, where=where, **environment)

    def python(self, *words: object, where: Path | None = None, **environment: str) -> Ended:
        """Run Python with these words."""
        command = [sys.executable, *map(str, words)]
        return limited(command, where or self.folder, self.environment | environment)
