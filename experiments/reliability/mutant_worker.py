"""A process that tries mutants: each in a fork, with the tests that it is told.

``python -m experiments.reliability.mutant_worker FOLDER [TEST …]``, started in a copy of the
project. A job is a line of JSON on standard input, the answer one on standard output.

- With tests it is warm: it has collected them and imported all of cnnexp. A fork changes the code
  of one function and runs some of the tests at once. That is for mutants within functions.
- Without it has imported libraries and nothing of cnnexp. A fork imports the changed module anew,
  which takes ten times as long and is for all mutants.

A test that takes much longer than it should ends the fork and its children.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments.reliability.mutant_map import write_map
from experiments.reliability.mutant_patch import Patches

LIBRARIES = (
    *("numpy", "scipy.signal", "hydra", "omegaconf", "pandas", "PIL.Image", "sklearn.datasets"),
    *("matplotlib.pyplot", "torch"),
)
ADDRESS_SPACE = 6 << 30  # bytes, of a fork and of each of its children
IDLE = 12.0  # times the limit, for a test that only waits
START_SECONDS = 60.0  # until the first test begins
SLACK_SECONDS, SLOWER = 10.0, 10.0  # a test may take SLACK + SLOWER x what it took
# what a fork says at its end: exit codes of pytest, and that the function could not be changed;
# 2 is an error at import, 4 one in the files that tests share, 5 that a changed table has none of
# the tests
OUTCOMES = {
    "0": "survived",
    "1": "killed",
    "2": "killed",
    "4": "killed",
    "5": "survived",
    "cold": "cold",
}
PYTEST = (
    *("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # a library was imported before
)

Say = Callable[[str], None]


def main() -> None:
    """Answer jobs until standard input ends."""
    folder, tests = Path(sys.argv[1]), sys.argv[2:]
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    _redirect(folder / "log.txt")
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if tests:
        pytest.main(
            [*PYTEST, f"--basetemp={folder / 'tmp'}", *tests], [_Warm(jobs, answers, folder)]
        )
        return
    for line in jobs:
        _answer(answers, _try_cold(json.loads(line), folder))


def _answer(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _redirect(log: Path) -> None:
    """Let what the tests say go into a file, and have nothing to read."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


class _Warm:
    """Answers jobs in place of running the tests that were collected."""

    def __init__(self, jobs: Any, answers: Any, folder: Path) -> None:
        self.jobs, self.answers, self.folder = jobs, answers, folder

    def pytest_runtestloop(self, session: Any) -> bool:
        """Answer jobs until there are no more."""
        items = {item.nodeid: item for item in session.items}
        patches = Patches()
        gc.freeze()  # a fork need not copy what it does not change
        for line in self.jobs:
            job = json.loads(line)
            if job["kind"] == "map":
                _import_all(job["package"])
                of_file = [i for i in session.items if i.nodeid.startswith(f"{job['file']}::")]

                def run(say: Say, job: dict[str, Any] = job, chosen: Any = of_file) -> str:
                    write_map(chosen, job["package"], self.folder / "map.json")
                    return "0"

                answer = _watched(run, {}, self.folder, start_seconds=None)
            else:
                chosen = [items[name] for name, _ in job["tests"] if name in items]

                def run(say: Say, job: dict[str, Any] = job, chosen: Any = chosen) -> str:
                    if job["path"] and not patches.apply(job["path"], job["code"]):
                        return "cold"
                    return _run(chosen, say)

                answer = _watched(run, dict(job["tests"]), self.folder)
            _answer(self.answers, answer)
        return True


def _import_all(package: str) -> None:
    base = importlib.import_module(f"cnnexp.{package}")
    for found in pkgutil.walk_packages(base.__path__, f"{base.__name__}."):
        importlib.import_module(found.name)


def _run(items: Sequence[Any], say: Say) -> str:
    """Run tests until one fails."""
    failed: list[str] = []

    class Noter:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

    if items:
        items[0].config.pluginmanager.register(Noter())
    for item, following in zip(items, [*items[1:], None], strict=False):
        say(f"test {item.nodeid}")
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failed:
            return "1"
    return "0"


def _try_cold(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run tests on a changed module that is imported anew."""
    tests = dict(job["tests"])
    files = dict.fromkeys(test.partition("::")[0] for test in tests)

    def run(say: Say) -> str:
        words = [*PYTEST, "-x", f"--basetemp={folder / 'tmp'}", *files]
        return str(int(pytest.main(words, [_Chooser(list(tests), say)])))

    with _changed(job["path"], job["code"]):
        return _watched(run, tests, folder)


class _Chooser:
    """Runs the chosen tests in the order of the choice, and says which one begins."""

    def __init__(self, tests: list[str], say: Say) -> None:
        self.places = {test: k for k, test in enumerate(tests)}
        self.say = say

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the chosen tests; a changed table may have lost some."""
        chosen = [item for item in items if item.nodeid in self.places]
        items[:] = sorted(chosen, key=lambda item: self.places[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say that a test begins."""
        self.say(f"test {nodeid}")


@contextlib.contextmanager
def _changed(path: str | None, code: str | None) -> Iterator[None]:
    """Change a module of the copy for a moment; None changes nothing."""
    if path is None or code is None:
        yield
        return
    source = Path(path)
    before, status = source.read_bytes(), source.stat()
    compiled = Path(importlib.util.cache_from_source(path))
    compiled.unlink(missing_ok=True)  # two mutants may have the same time and size
    source.write_text(code, encoding="utf-8")
    try:
        yield
    finally:
        source.write_bytes(before)
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
        compiled.unlink(missing_ok=True)


def _watched(
    run: Callable[[Say], str],
    tests: dict[str, float],
    folder: Path,
    start_seconds: float | None = START_SECONDS,
) -> dict[str, Any]:
    """Run tests in a fork, and end it when one takes too long.

    Parameters
    ----------
    run : callable
        Runs the tests, says ``test NAME`` before each, and returns the word for the end.
    tests : mapping of str to float
        What each test takes, in seconds.
    folder : Path
        Where tests write.
    start_seconds : float or None
        What may pass until the first test begins; None is without end.

    Returns
    -------
    dict
        The ``outcome``, and the ``test`` that failed; none if it failed before the first.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(run, writing)
    os.close(writing)
    test, word, text, limit, begun = "", "", "", start_seconds, _clocks(pid)
    with os.fdopen(reading, "rb") as pipe:
        while word not in ("end", "timeout", "crash"):
            if select.select([pipe], [], [], 1.0)[0]:
                word, _, text = pipe.readline().decode().rstrip("\n").partition(" ")
                word = word or "crash"
                if word == "test":
                    test, limit = text, SLACK_SECONDS + SLOWER * tests.get(text, 1.0)
                    begun = _clocks(pid)
            elif limit is not None and _is_over(limit, begun, _clocks(pid)):
                word = "timeout"
    _end(pid, folder)
    if word == "end" and text not in OUTCOMES:
        raise SystemExit(f"{text}: see {folder / 'log.txt'}")
    if word == "timeout":
        return {"outcome": "timeout", "test": test}
    outcome = OUTCOMES[text] if word == "end" else "killed"  # without a word it crashed
    return {"outcome": outcome, "test": test if outcome == "killed" else ""}


def _clocks(pid: int) -> tuple[float, float]:
    """Return the time, and the processor seconds of a process and those that it started."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(one.cpu_times()[:4])
    return time.monotonic(), total


def _is_over(limit: float, begun: tuple[float, float], now: tuple[float, float]) -> bool:
    """Say whether a test takes too long: by its own work, since others may use the processor."""
    return now[1] - begun[1] > limit or now[0] - begun[0] > IDLE * limit


def _child(run: Callable[[Say], str], file: int) -> None:
    """Run tests in this process, a fork, and end it."""

    def say(text: str) -> None:
        os.write(file, f"{text}\n".encode())

    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        say(f"end {run(say)}")
    except BaseException:
        traceback.print_exc()
        say("end exception")
    finally:
        os._exit(0)


def _end(pid: int, folder: Path) -> None:
    """End a fork and everything that it started, and delete what it wrote."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for name in ("tmp", "hypothesis"):
        shutil.rmtree(folder / name, ignore_errors=True)


if __name__ == "__main__":
    main()
