"""Trying mutants: a copy of the project, a warm process in it, and the tests for each mutant."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.reliability.mutations import Mutation

ROOT = Path(__file__).parents[2]
MAPS = ROOT / "outputs" / "reliability" / "mutants"
COPIED = ("cnnexp", "conf", "docs", "experiments", "tests", "pyproject.toml", "README.md")
MAPPER = Path(__file__).with_name("mutant_map.py")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "results", "figures", "_build", "*.png")
FIRST = 8  # tests that are tried before the files of the others are imported
QUICK = 0.02  # seconds of a test that need not wait until all functions had their turn
MIRRORED = 0.25  # a test of the module itself comes first unless it takes four times as long

Outcome = dict[str, Any]


class Worker:
    """The processes that try mutants in one copy of the project: see `mutant_worker`.

    Parameters
    ----------
    folder : Path
        For the copy, and for what the tests write; nothing of the project itself is changed.
    tests : sequence of str
        Folders and files of the tests.
    """

    def __init__(self, folder: Path, tests: Sequence[str]) -> None:
        self.folder, self.copy = folder / "written", folder / "project"
        self.folder.mkdir(parents=True)
        _copy(self.copy)
        self._tests = {"warm": tuple(tests), "cold": ()}
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def ask(self, process: str, **job: Any) -> Outcome:
        """Send a job to the process that is ``warm`` or ``cold``, and wait for the answer."""
        running = self._processes.get(process) or self._start(process)
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(json.dumps(job) + "\n")
        running.stdin.flush()
        line = running.stdout.readline()
        if not line:
            log = (self.folder / "log.txt").read_text(errors="replace")
            raise SystemExit(f"{log[-5000:]}\nA process that tries mutants has ended.")
        answer: Outcome = json.loads(line)
        return answer

    def _start(self, process: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "experiments.reliability.mutant_worker", str(self.folder)]
        there = {**os.environ, "PYTHONPATH": str(self.copy)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started = subprocess.Popen(
            [*words, *self._tests[process]], cwd=self.copy, env=there, text=True, **pipes
        )
        self._processes[process] = started
        return started

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.wait()
            process.stdout.close()


@contextlib.contextmanager
def workers(count: int, tests: Sequence[str]) -> Iterator[list[Worker]]:
    """Start workers, each in its own copy of the project; copies are deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        started = [Worker(Path(folder) / str(k), tests) for k in range(count)]
        try:
            yield started
        finally:
            for worker in started:
                worker.close()


def _copy(copy: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=LEFT_OUT)
        elif source.exists():
            shutil.copy2(source, copy / name)


@dataclass
class Map:
    """Which tests execute which lines, and how long each takes.

    Parameters
    ----------
    tests : mapping
        Name of a test → its ``fixtures`` and ``seconds``, and what ``shared`` fixtures take.
    failed : sequence of str
        Tests that did not pass on the unchanged source, or were skipped.
    lines : mapping
        Path of a module → line → tests and fixtures (``"fixture NAME"``).
    """

    tests: dict[str, Any]
    failed: Sequence[str]
    lines: dict[str, dict[str, list[str]]]
    unreliable: set[str] = field(default_factory=set)

    @cached_property
    def users(self) -> dict[str, set[str]]:
        """Fixture → the tests that use it."""
        users: dict[str, set[str]] = {}
        for test, facts in self.tests.items():
            for name in facts["fixtures"]:
                users.setdefault(f"fixture {name}", set()).add(test)
        return users

    def seconds(self, test: str) -> float:
        """Return what a test takes by itself, all its fixtures included."""
        return float(self.tests[test]["seconds"] + sum(self.tests[test]["shared"].values()))

    def chosen(self, mutation: Mutation, most_seconds: float, most: int) -> list[str]:
        """Choose the tests for a mutation: the quick ones first, one of each function in turn.

        Parameters
        ----------
        mutation : Mutation
            What is changed. If no test executes its line, as is so for lines that run at import
            or in worker processes, those of the statement, function, class or module are chosen.
        most_seconds, most : float, int
            Bounds of the tests together.
        """
        kept: list[str] = []
        made: set[tuple[str, str]] = set()  # fixtures that several of the tests share
        total = 0.0
        for test in self._in_order(mutation):
            file, facts = test.partition("::")[0], self.tests[test]
            new = {(file, name) for name in facts["shared"]} - made
            total += facts["seconds"] + sum(facts["shared"][name] for _, name in new)
            made |= new
            if kept and (total > most_seconds or len(kept) == most):
                break
            kept.append(test)
        return kept

    def _in_order(self, mutation: Mutation) -> list[str]:
        by_function: dict[str, list[str]] = {}
        cost = {test: self._cost(test, mutation) for test in self._relevant(mutation)}
        for test in sorted(cost, key=lambda name: (cost[name], name)):
            by_function.setdefault(test.partition("[")[0], []).append(test)
        rounds = [
            (k if cost[test] > QUICK else 0, cost[test], test)
            for tests in by_function.values()
            for k, test in enumerate(tests)
        ]
        return [test for _, _, test in sorted(rounds)]

    def _cost(self, test: str, mutation: Mutation) -> float:
        stem = Path(mutation.module).stem.strip("_")
        file = test.partition("::")[0]
        mirrors = file == mutation.path or file.endswith(f"tests/{mutation.package}/test_{stem}.py")
        return self.seconds(test) * (MIRRORED if mirrors else 1)

    def _relevant(self, mutation: Mutation) -> set[str]:
        """Return the tests that execute the line, or the least that surrounds it."""
        lines = self.lines.get(mutation.path, {})
        for first, last in mutation.spans:
            found = {name for n in range(first, last + 1) for name in lines.get(str(n), ())}
            tests = {test for name in found for test in self.users.get(name, {name})}
            tests = (tests & set(self.tests)) - set(self.failed) - self.unreliable
            if tests:
                return tests
        return set()


def mapped(workers: Sequence[Worker], tests: Sequence[str], package: str) -> Map:
    """Run the tests once on the unchanged source, and find which lines each executes.

    It takes minutes, so what was found is kept in ``outputs`` for every file of tests, until it,
    what the tests share, a source, or how they are mapped changes.
    """
    kept = {file: MAPS / f"{name}.json" for file, name in _names(workers[0], tests, package)}
    waiting = [(file, path) for file, path in kept.items() if not path.exists()]
    MAPS.mkdir(parents=True, exist_ok=True)

    def map_some(worker: Worker) -> None:
        while waiting:
            file, path = waiting.pop()
            worker.ask("warm", kind="map", file=file, package=package)
            shutil.copy2(worker.folder / "map.json", path)

    with ThreadPoolExecutor(len(workers)) as threads:
        list(threads.map(map_some, workers))
    return _joined([json.loads(path.read_text()) for path in kept.values()])


def _names(worker: Worker, tests: Sequence[str], package: str) -> Iterator[tuple[str, str]]:
    """Yield the files of tests, and a name for what is found with each."""
    shared = hashlib.sha256(package.encode() + MAPPER.read_bytes())
    for path in sorted((worker.copy / "cnnexp").rglob("*.py")):
        shared.update(path.read_bytes())
    for path in sorted((worker.copy / "tests").rglob("*.py")):
        if not path.name.startswith("test_"):
            shared.update(path.read_bytes())
    for test in map(worker.copy.joinpath, tests):
        pattern = "*.py" if test.is_relative_to(worker.copy / "cnnexp") else "test_*.py"
        for path in sorted(test.rglob(pattern)) if test.is_dir() else [test]:
            digest = shared.copy()
            digest.update(path.read_bytes())
            file = path.relative_to(worker.copy).as_posix()
            yield file, f"{package}-{path.stem}-{digest.hexdigest()[:16]}"


def _joined(maps: Sequence[dict[str, Any]]) -> Map:
    """Return the maps of several files as one."""
    tests: dict[str, Any] = {}
    failed: list[str] = []
    lines: dict[str, dict[str, list[str]]] = {}
    for one in maps:
        tests |= one["tests"]
        failed += one["failed"]
        for path, by_line in one["lines"].items():
            known = lines.setdefault(path, {})
            for line, found in by_line.items():
                known.setdefault(line, []).extend(found)
    return Map(tests, failed, lines)


def tried(worker: Worker, known: Map, mutation: Mutation, seconds: float, most: int) -> Outcome:
    """Try a mutation in the warm process, or in the other one if it is not within functions.

    A test that also fails on the unchanged source, when it runs after the same others, kills
    nothing and is not used again.
    """
    start = time.perf_counter()
    again = True
    while again:
        timed = [(test, known.seconds(test)) for test in known.chosen(mutation, seconds, most)]
        found: Outcome = {"outcome": "survived", "test": ""}
        parts = [("warm", timed), ("cold", timed[:FIRST]), ("cold", timed[FIRST:])]
        again = False
        while parts and found["outcome"] not in ("killed", "timeout"):
            process, part = parts.pop(0)
            if not part:
                continue
            found = worker.ask(process, kind="try", tests=part, **_change(mutation))
            if process == "warm" and found["outcome"] == "survived":
                break
            if found["outcome"] in ("killed", "timeout"):
                again = not _is_confirmed(worker, process, part, found)
        known.unreliable |= {found["test"]} if again else set()
    return {**found, "tests": len(timed), "seconds": time.perf_counter() - start}


def _change(mutation: Mutation | None) -> dict[str, Any]:
    return {"path": mutation and mutation.path, "code": mutation and mutation.code}


_confirmed: set[tuple[str, str]] = set()


def _is_confirmed(
    worker: Worker, process: str, timed: list[tuple[str, float]], found: Outcome
) -> bool:
    """Say whether the test that failed passes on the unchanged source, after the same others."""
    test = found["test"]
    if (process, test) in _confirmed:
        return True
    names = [name for name, _ in timed]
    before = timed[: names.index(test) + 1 if test else 1]  # no test: it failed at import
    clean = worker.ask(process, kind="try", tests=before, **_change(None))
    if clean["outcome"] == "survived":
        _confirmed.add((process, test))
    return bool(clean["outcome"] == "survived")
