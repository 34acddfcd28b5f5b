"""Two runs side by side: in what they differ, part by part, and what came of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnnexp.errors import CnnexpError
from cnnexp.report.formats import aligned, text
from cnnexp.report.histories import read_history
from cnnexp.report.table import comparable, is_missing, is_result
from cnnexp.runs import code
from cnnexp.runs.checksums import WEIGHTS
from cnnexp.runs.files import checksum, read_bytes
from cnnexp.runs.finding import flatten, name_in
from cnnexp.runs.fingerprint import FOR_PEOPLE
from cnnexp.runs.policy import GROUPS
from cnnexp.runs.reading import Run
from cnnexp.runs.sources import Source

RESULTS = "results"
CHECKSUM = "sha256:"
SHORT = len(CHECKSUM) + 12  # characters of a checksum that people see
OF_MACHINE = (
    "cnnexp",
    "results_version",
    "python",
    "packages",
    "machine",
    "system",
    "cpu",
    "cores",
    "blas",
    "openblas_coretype",
    "user",
    "folder",
)
AS_WORDS = ("status", "reason")  # of the results: shown where they differ
MOST_LINES = 5_000  # of a file of code; comparing takes up to the square of it

Values = dict[str, Any]


class Difference(NamedTuple):
    """One value that two runs have, each its own; None where a run has none.

    Attributes
    ----------
    part : str
        What it belongs to: settings, code, results, and so on.
    what : str
        Its name.
    a, b : object
        The values.
    change : float, optional
        ``b - a``, of a result.
    """

    part: str
    what: str
    a: Any
    b: Any
    change: float | None = None


def differences(a: Run, b: Run) -> list[Difference]:
    """Return in what two runs differ; all figures of the results, also those that are the same.

    Raises
    ------
    RunError
        If a record is damaged.
    """
    found = []
    for part, values_of in PARTS.items():
        one, other = values_of(a), values_of(b)
        for what in {**one, **other}:
            first, second = one.get(what), other.get(what)
            figure = part == RESULTS and what not in AS_WORDS
            if figure or comparable(first) != comparable(second):
                change = _change(first, second) if figure else None
                found.append(Difference(part, what, first, second, change))
    return found


def _change(first: Any, second: Any) -> float | None:
    """Return by how much a figure grew, where both runs have it."""
    known = [isinstance(value, (int, float)) for value in (first, second)]
    return second - first if all(known) and not is_missing(second - first) else None


def _settings(run: Run) -> Values:
    """Return the settings that say what is trained, the choices from the groups first."""
    settings: Values = {group: name_in(run, group) for group in GROUPS}
    own = {key: value for key, value in run.config.items() if key not in ("sweep", *FOR_PEOPLE)}
    flatten(own, "", settings)
    return settings


def _labels(run: Run) -> Values:
    """Return what is written on a run for people."""
    return {key: run.config.get(key) or None for key in FOR_PEOPLE}


def _code(run: Run) -> Values:
    """Return the commits, and checksums of the user's modules and of what was changed."""
    found = run.recorded.environment
    values = {
        "commit of cnnexp": _commit(found.get("git")),
        "commit of the project": _commit(found.get("project")),
    }
    values |= {f"module {source['name']}": source["checksum"] for source in _modules(run)}
    kept = _kept(run, code.DIFF)
    return values | {f"{code.FOLDER}/{code.DIFF}": None if kept is None else checksum(kept)}


def _commit(repository: Mapping[str, Any] | None) -> str | None:
    if not repository:
        return None
    return f"{repository['commit']}{', with changes' if repository['dirty'] else ''}"


def _modules(run: Run) -> list[Source]:
    """Return name and checksum of each of the user's modules."""
    return [*run.recorded.plugins["modules"]] if run.recorded.plugins else []


def _kept(run: Run, name: str) -> bytes | None:
    """Return a file that a run kept of its code; None where it has no such file."""
    try:
        return read_bytes(run.path / code.FOLDER / name, code.LARGEST_KEPT)
    except (OSError, CnnexpError):
        return None


def _data(run: Run) -> Values:
    return _flat(run.recorded.data)


def _network(run: Run) -> Values:
    return _flat(run.recorded.network)


def _environment(run: Run) -> Values:
    """Return versions, machine and place."""
    found = run.recorded.environment
    values = _flat({key: found.get(key) for key in OF_MACHINE})
    return values | {"host": run.recorded.process.get("host")}


def _flat(values: Mapping[str, Any] | None) -> Values:
    """Return nested values under dotted paths."""
    row: Values = {}
    flatten(dict(values or {}), "", row)
    return row


def _results(run: Run) -> Values:
    """Return how a run ended, its figures, the best ones of its epochs, and what it took."""
    record = run.recorded
    values = {"status": run.status, "reason": record.reason}
    values |= {WEIGHTS: record.checksums.get(WEIGHTS)}
    values |= run.results | dict(_lowest(run.path))
    return values | record.usage


def _lowest(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the lowest errors and losses of all epochs, of the samples that were held back."""
    for name, values in read_history(path).items():
        held_back = name.startswith(("test_", "validation_")) and name.endswith(("_error", "_loss"))
        known = [value for value in values if not is_missing(value)]
        if held_back and known:
            yield f"lowest {name}", min(known)


PARTS: dict[str, Callable[[Run], Values]] = {
    "settings": _settings,
    "labels": _labels,
    "code": _code,
    "data": _data,
    "network": _network,
    "environment": _environment,
    RESULTS: _results,
}


def sections(found: list[Difference]) -> dict[str, list[str]]:
    """Return the lines of a table for each part in which something stands, for people to read."""
    tables = {}
    for part in PARTS:
        rows = [one for one in found if one.part == part]
        if rows:
            head = ("", "a", "b", "b - a" if part == RESULTS else "")
            tables[part] = aligned([head, *map(_cells, rows)])
    return tables


def _cells(one: Difference) -> tuple[str, ...]:
    """Return one row as text."""
    same = comparable(one.a) == comparable(one.b)
    change = "same" if same else _signed(one.what, one.change)
    return (one.what, _shown(one.what, one.a), _shown(one.what, one.b), change)


def _shown(what: str, value: Any) -> str:
    if isinstance(value, str) and value.startswith(CHECKSUM):
        return value[:SHORT]
    return text(what.removeprefix("lowest "), value) or "-"


def _signed(what: str, change: float | None) -> str:
    """Return a change with its sign."""
    if change is None:
        return ""
    name = what.removeprefix("lowest ")
    shown = text(name, abs(change))
    if is_result(name) and not float(shown.replace(",", "") or 0):
        shown = f"{abs(change):.1e}"  # smaller than the digits of its table
    return f"{'-' if change < 0 else '+'}{shown}"


def same_parts(found: list[Difference]) -> list[str]:
    """Return the parts in which two runs do not differ."""
    return [part for part in PARTS if part not in {one.part for one in found}]


def code_lines(a: Run, b: Run) -> list[str]:
    """Return how the kept code of two runs differs, as unified diffs."""
    names = dict.fromkeys(f"{one['name']}.py" for run in (a, b) for one in _modules(run))
    lines: list[str] = []
    for name in (code.DIFF, *names):
        one, other = (_lines(_kept(run, name)) for run in (a, b))
        old, new = (str(run.path / code.FOLDER / name) for run in (a, b))
        if max(len(one), len(other)) > MOST_LINES:
            lines += [f"{name}: has more than {MOST_LINES:,} lines; compare {old} and {new}"]
        else:
            lines += difflib.unified_diff(one, other, old, new, lineterm="")
    return lines


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines()
