"""Implementations side by side, layer by layer: a table for people, and one for programs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnexp.report.formats import aligned, amount

if TYPE_CHECKING:
    from cnnexp.nn.profile import ProfileRow
    from cnnexp.nn.timing import Measured

COLUMNS = (
    "impl",
    "layer",
    "type",
    "output_shape",
    "parameters",
    "multiply_adds",
    "forward_seconds_per_sample",
    "backward_seconds_per_sample",
    "gflops",
    "cache_bytes",
    "samples",
    "passes",
    "extrapolated",
)
MARK = "*"  # of an implementation that was measured on fewer samples


class Group(NamedTuple):
    """Layers that are one row for all implementations, and their rows by implementation."""

    name: str
    multiply_adds: int
    rows: list[list[ProfileRow]]


def table_of(found: Sequence[Measured]) -> list[str]:
    """Return the lines of the table: microseconds per sample, forward and backward together.

    Where one implementation computes layers together, the rows of all others are added up.
    """
    several = len(found) > 1
    names = [measured.impl + MARK * measured.extrapolated for measured in found]
    head = ["layer", "multiply-adds", *names, *["slowest/fastest"] * several]
    body = [
        _line(group.name, f"{group.multiply_adds:,}", [_seconds(rows) for rows in group.rows])
        for group in groups_of(found)
    ]
    ways: list[tuple[str, list[float]]] = [
        ("all layers", [_seconds(m.rows) for m in found]),
        ("  forward", [sum(row.forward_seconds for row in m.rows) for m in found]),
        ("  backward", [sum(row.backward_seconds for row in m.rows) for m in found]),
        ("by the clock", [m.seconds for m in found]),
    ]
    operations = sum(group.multiply_adds for group in groups_of(found))
    sums = [_line(name, f"{operations:,}" * (k == 0), s) for k, (name, s) in enumerate(ways)]
    rates = ["samples a second", "", *(amount(1 / m.seconds) for m in found), *[""] * several]
    lines = aligned([head, *body, *sums, rates], right=range(1, len(head)))
    rule = "-" * max(map(len, lines))
    after = 1 + len(body)
    return [lines[0], rule, *lines[1:after], rule, *lines[after:], *_sentences(found)]


def csv_rows(found: Sequence[Measured]) -> list[list[Any]]:
    """Return a row for each step of each implementation, in the order of `COLUMNS`."""
    return [
        [
            measured.impl,
            row.layer,
            row.type,
            row.output_shape,
            row.parameters,
            row.multiply_adds,
            row.forward_seconds,
            row.backward_seconds,
            row.gflops,
            row.cache_bytes,
            measured.samples,
            measured.passes,
            str(measured.extrapolated).lower(),
        ]
        for measured in found
        for row in measured.rows
    ]


def groups_of(found: Sequence[Measured]) -> list[Group]:
    """Join rows until all implementations have the same ones; the last is the loss."""
    ends = set.intersection(*(set(_ends(measured.rows)) for measured in found))
    parts = [_cut(measured.rows, ends) for measured in found]
    groups = [
        Group("+".join(row.layer for row in rows[0]), sum(r.multiply_adds for r in rows[0]), rows)
        for rows in map(list, zip(*parts, strict=True))
    ]
    loss = [measured.rows[-1:] for measured in found]
    return [*groups, Group(loss[0][0].layer, 0, loss)]


def _ends(rows: Sequence[ProfileRow]) -> list[int]:
    """Return how many layers there are up to the end of each row but the loss."""
    return list(itertools.accumulate(row.type.count("+") + 1 for row in rows[:-1]))


def _cut(rows: Sequence[ProfileRow], ends: set[int]) -> list[list[ProfileRow]]:
    """Cut the rows but the loss after those ends."""
    parts: list[list[ProfileRow]] = [[]]
    for row, end in zip(rows[:-1], _ends(rows), strict=True):
        parts[-1].append(row)
        if end in ends:
            parts.append([])
    return parts[:-1]


def _seconds(rows: Sequence[ProfileRow]) -> float:
    """Return the seconds of some rows, there and back."""
    return sum(row.forward_seconds + row.backward_seconds for row in rows)


def _line(name: str, operations: str, seconds: Sequence[float]) -> list[str]:
    """Return one line; the last cell says how far apart the implementations are."""
    cells = [name, operations, *(amount(1e6 * value) for value in seconds)]
    if len(seconds) > 1:
        apart = max(seconds) / min(seconds) if min(seconds) > 0 else 0.0
        cells.append(f"{amount(apart)}x" if apart else "")
    return cells


def _sentences(found: Sequence[Measured]) -> list[str]:
    """Say what was measured less exactly, and how the implementations compare."""
    lines = [
        f"{MARK} {measured.impl} is too slow for whole batches in this time: extrapolated"
        f" (samples of a pass: {measured.samples}, passes: {measured.passes})"
        for measured in found
        if measured.extrapolated
    ]
    slowest = max(found, key=lambda measured: measured.seconds)
    if len(found) > 1:
        others = [
            f"{measured.impl} {amount(slowest.seconds / measured.seconds)} times"
            for measured in found
            if measured is not slowest
        ]
        lines.append(f"as fast as {slowest.impl}, by the clock: {', '.join(others)}")
    return ["", *lines] if lines else []
