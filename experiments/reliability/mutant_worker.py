"""A warm process that tries mutants: each in a fork, with the tests that it is told.

``python -m experiments.reliability.mutant_worker FOLDER``, started in a copy of the project. It
has pytest and the libraries imported, and nothing of cnnexp, so a fork begins its tests at once
and imports the changed source. A job is a line of JSON on standard input, the answer one on
standard output. A test that takes much longer than it should ends the fork and its children.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

LIBRARIES = (
    *("numpy", "scipy.signal", "hydra", "omegaconf", "pandas", "PIL.Image", "sklearn.datasets"),
    *("matplotlib.pyplot", "torch"),
)
ADDRESS_SPACE = 4 << 30  # bytes, of a fork and of each of its children
START_SECONDS = 60.0  # until the first test begins
SLACK_SECONDS, SLOWER = 10.0, 10.0  # a test may take SLACK + SLOWER x what it took
# exit codes of pytest; 2 is an error at import, 5 that a changed table has none of the tests
OUTCOMES = {"0": "survived", "1": "killed", "2": "killed", "5": "survived"}
PYTEST = (
    *("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # a library was imported before
)


def main() -> None:
    """Answer jobs until standard input ends."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        job = json.loads(line)
        answer = tried(job, folder) if job["kind"] == "try" else mapped(job, folder)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def tried(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run tests on a changed module: killed, timeout or survived, by which test, seconds."""
    start = time.perf_counter()
    with changed(job["path"], job["code"]):
        outcome, test = _watched(job["tests"], folder)
    return {"outcome": outcome, "test": test, "seconds": time.perf_counter() - start}


@contextlib.contextmanager
def changed(path: str | None, code: str | None) -> Iterator[None]:
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


def _watched(tests: list[tuple[str, float]], folder: Path) -> tuple[str, str]:
    """Run tests in a fork, and end it when a test takes too long."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _run([name for name, _ in tests], folder, writing)
    os.close(writing)
    limits = {name: SLACK_SECONDS + SLOWER * seconds for name, seconds in tests}
    test, word, limit = "", "timeout", START_SECONDS
    with os.fdopen(reading, "rb") as pipe:
        while select.select([pipe], [], [], limit)[0]:
            word, _, text = pipe.readline().decode().rstrip("\n").partition(" ")
            if word != "test":
                break
            test, limit, word = text, limits[text], "timeout"
    _end(pid, folder)
    if word == "timeout":
        return "timeout", test
    if word == "end" and text not in OUTCOMES:
        raise SystemExit((folder / "log.txt").read_text())
    outcome = OUTCOMES[text] if word == "end" else "killed"  # without a word it crashed
    return outcome, test if outcome == "killed" else ""


class _Chooser:
    """Runs the chosen tests in the order of the choice, and writes which one begins."""

    def __init__(self, tests: list[str], file: int) -> None:
        self.places = {test: k for k, test in enumerate(tests)}
        self.file = file

    def say(self, text: str) -> None:
        """Write a line."""
        os.write(self.file, f"{text}\n".encode())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the chosen tests; a changed table may have lost some."""
        chosen = [item for item in items if item.nodeid in self.places]
        items[:] = sorted(chosen, key=lambda item: self.places[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say that a test begins."""
        self.say(f"test {nodeid}")


def _run(tests: list[str], folder: Path, file: int) -> NoReturn:
    """Run tests in this process, a fork, and end it."""
    try:
        _settle(folder)
        chooser = _Chooser(tests, file)
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        code = pytest.main([*PYTEST, "-x", f"--basetemp={folder / 'tmp'}", *files], [chooser])
        chooser.say(f"end {int(code)}")
    except BaseException:
        traceback.print_exc()
        os.write(file, b"end exception\n")
    finally:
        os._exit(0)


def _settle(folder: Path) -> None:
    """Make this fork a group of its own that says nothing and cannot take all memory."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")


def _end(pid: int, folder: Path) -> None:
    """End a fork and everything that it started, and delete what it wrote."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for name in ("tmp", "hypothesis"):
        shutil.rmtree(folder / name, ignore_errors=True)


def mapped(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the tests once, and find which lines each executes; written to ``map.json``."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            _settle(folder)
            code = _map(job["tests"], job["package"], folder)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


def _map(tests: list[str], package: str, folder: Path) -> int:
    import coverage

    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[f"*/cnnexp/{package}/*"]
    )
    measured.start()
    base = importlib.import_module(f"cnnexp.{package}")
    for found in pkgutil.walk_packages(base.__path__, f"{base.__name__}."):
        importlib.import_module(found.name)  # at import a line belongs to no test
    mapper = _Mapper(measured)
    pytest.main([*PYTEST, f"--basetemp={folder / 'tmp'}", *tests], [mapper])
    measured.stop()
    data, lines = measured.get_data(), {}
    for path in data.measured_files():
        name = Path(path).relative_to(Path.cwd()).as_posix()
        by_line = data.contexts_by_lineno(path)
        lines[name] = {str(n): sorted(filter(None, found)) for n, found in by_line.items()}
    result = {"tests": mapper.tests, "failed": sorted(mapper.failed), "lines": lines}
    (folder / "map.json").write_text(json.dumps(result))
    return 0


class _Mapper:
    """Tells the measurement which test runs, and notes what tests and fixtures take.

    A fixture that several tests share runs in the first of them only, so its lines are noted
    under ``fixture NAME``, and its seconds belong to every test that uses it.
    """

    def __init__(self, measured: Any) -> None:
        self.measured = measured
        self.tests: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.context = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[Any]:
        """Measure a test under its name."""
        self._switch(item.nodeid)
        fixtures = [name for name in getattr(item, "fixturenames", []) if name != "request"]
        self.tests[item.nodeid] = {"fixtures": fixtures, "seconds": 0.0}
        try:
            return (yield)
        finally:
            for name in fixtures:
                self.tests[item.nodeid]["seconds"] += self.seconds.get(name, 0.0)
            self._switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Iterator[Any]:
        """Note the seconds of a test without its fixtures."""
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.tests[item.nodeid]["seconds"] += time.perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Measure a fixture that tests share under its own name."""
        shared, start, before = fixturedef.scope != "function", time.perf_counter(), self.context
        if shared:
            self._switch(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - start
            known = self.seconds.get(fixturedef.argname, 0.0)
            self.seconds[fixturedef.argname] = max(seconds, known)
            self._switch(before)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note tests that do not pass; they can kill nothing."""
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def _switch(self, context: str) -> None:
        self.context = context
        self.measured.switch_context(context)


if __name__ == "__main__":
    main()
