"""Which tests execute which lines: the default tests are run once, and each is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter  # tests give the module another clock
from typing import Any

import pytest


def write_map(items: Sequence[Any], package: str, path: Path) -> None:
    """Run tests, and write to a JSON file which lines of a package each executes.

    What runs at import belongs to no test, so all of the package must be imported before.
    """
    import coverage

    include = [f"*/cnnexp/{package}/*"]
    measured = coverage.Coverage(data_file=None, config_file=False, include=include)
    measured.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured"])
    measured.start()
    mapper = _Mapper(measured)
    if items:
        items[0].config.pluginmanager.register(mapper)
    for item, following in zip(items, [*items[1:], None], strict=False):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    measured.stop()
    data, lines = measured.get_data(), {}
    for file in data.measured_files():
        name = Path(file).relative_to(Path.cwd()).as_posix()
        by_line = data.contexts_by_lineno(file)
        lines[name] = {str(n): sorted(filter(None, found)) for n, found in by_line.items()}
    result = {"tests": mapper.tests, "failed": sorted(mapper.failed), "lines": lines}
    path.write_text(json.dumps(result))


class _Mapper:
    """Tells the measurement which test runs, and notes what tests and fixtures take.

    A fixture that several tests share runs in the first of them only, so its lines are noted
    under ``fixture NAME``, and its seconds are noted with every test that uses it.
    """

    def __init__(self, measured: Any) -> None:
        self.measured = measured
        self.tests: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.own: dict[str, float] = {}  # what fixtures take, those of each test
        self.shared: dict[str, float] = {}  # and those that several tests share
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
            facts = self.tests[item.nodeid]
            facts["shared"] = {name: self.shared[name] for name in fixtures if name in self.shared}
            facts["seconds"] += sum(self.own.get(name, 0.0) for name in fixtures)
            self._switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Iterator[Any]:
        """Note the seconds of a test without its fixtures."""
        start = perf_counter()
        try:
            return (yield)
        finally:
            self.tests[item.nodeid]["seconds"] += perf_counter() - start

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        """Measure a fixture that tests share under its own name."""
        shared, start, before = fixturedef.scope != "function", perf_counter(), self.context
        if shared:
            self._switch(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            known, name = self.shared if shared else self.own, fixturedef.argname
            known[name] = max(perf_counter() - start, known.get(name, 0.0))
            self._switch(before)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note tests that do not pass; they can kill nothing."""
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def _switch(self, context: str) -> None:
        self.context = context
        self.measured.switch_context(context)
